"""The help of runs: short, by topic, and of keys that there are."""

import inspect
import re
import subprocess
import sys

import pytest

from gcvideo.backbones import VideoResNet
from gcvideo.backbones.checkpoints.loading import Weights
from gcvideo.cli import main
from gcvideo.cli.arguments import synthetic
from gcvideo.cli.run_help import STARTS, TOPICS, short_help
from gcvideo.data.synthetic import write_synthetic
from gcvideo.images.cli import synthetic_arguments
from gcvideo.images.synthetic.folders import write_synthetic_pictures

COMMANDS = {"fit": [], "test": [], "tune": ["learning_rate"], "preflight": [], "peek": []}
"""With what they are called."""
SETTINGS = {"model.network": VideoResNet, "model.weights": Weights}
"""Keys whose settings are those of a class, which the parser learns when it is named."""


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", STARTS)
def test_the_short_help_fits_a_screen_or_two(command: str) -> None:
    lines = short_help(command).splitlines()
    assert len(lines) <= 80
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_short_help_is_there_before_anything_heavy_is_imported(flag: str) -> None:
    code = f"import sys; from gcvideo.cli import main; main(['fit', '{flag}']); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("usage: gcvideo fit")
    assert {"torch", "lightning", "jsonargparse", "yaml"} & set(said.splitlines()[-1].split()) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_of_the_short_help_is_one_of_the_parsers(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = printed([command, *COMMANDS[command], "--help", "all"], capsys)
    known = set(re.findall(r"--([\w.]+)", whole))
    of_classes = {
        f"{key}.{name}" for key, kind in SETTINGS.items() for name in inspect.signature(kind).parameters
    }
    topics = [topic for topic in TOPICS if not topic.commands or command in topic.commands]
    listed = {argument.split()[0].removeprefix("--") for topic in topics for argument in topic.arguments}
    assert len(listed) > 10
    assert listed - known - of_classes == set()


def test_arguments_of_the_synthetic_sets_are_those_of_the_functions() -> None:
    for parser, function in (
        (synthetic.parser(), write_synthetic),
        (synthetic_arguments.parser(), write_synthetic_pictures),
    ):
        parameters = inspect.signature(function).parameters.values()
        theirs = {one.name: None if one.default is one.empty else one.default for one in parameters}
        assert parser.get_defaults().as_dict() == theirs


def test_help_on_a_topic_is_of_its_keys_alone(capsys: pytest.CaptureFixture[str]) -> None:
    said = printed(["fit", "--help", "clip"], capsys)
    assert set(re.findall(r"^  --([\w.]+)", said, flags=re.MULTILINE)) >= {"clip", "data.clip.stride"}
    assert all("clip" in key.split(".") for key in re.findall(r"^  --([\w.]+)", said, flags=re.MULTILINE))


def test_help_on_what_there_is_not_says_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "--help", "optimiser"])
    assert ended.value.code == 1
    assert "--help has nothing on 'optimiser'; did you mean optimizer?" in capsys.readouterr().err
