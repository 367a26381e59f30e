"""A path may begin with ~ wherever one is taken, never with a variable, and is no URL."""

import re
from pathlib import Path

import pytest

from data_prep.annotations import main as write_lists
from gcvideo.cli import main, predict, weights
from gcvideo.paths import user_path
from tests.journey.trained import write_checkpoint


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("text", ["~/a b", "~", "~nobody-of-this-name/x", "a/~/x", "/abs", "a$b/x", "$"])
def test_the_home_folder_alone_is_expanded(home, text):
    expected = {"~/a b": home / "a b", "~": home}
    assert user_path(text) == expected.get(text, Path(text))


@pytest.mark.parametrize("text", ["$HOME/x", "${HOME}/x", "$x"])
def test_a_variable_is_said_to_be_no_path(home, text, monkeypatch):
    with pytest.raises(
        ValueError, match=r"is no path: variables are not expanded; write the folder itself, or ~"
    ):
        user_path(text)
    (home / text).mkdir(parents=True)
    monkeypatch.chdir(home)
    assert user_path(text) == Path(text)


@pytest.mark.parametrize("text", ["https://host/a//b.pth", "s3://bucket/x", "rtsp://camera/1"])
def test_a_url_keeps_its_slashes_and_is_said_to_be_no_file(text, capsys):
    said = f"{text} is a URL, and files are read from disks alone; fetch it, and pass the file"
    with pytest.raises(ValueError, match=re.escape(said)):
        user_path(text)
    with pytest.raises(SystemExit):
        main(["weights", "inspect", text])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("config", [[], ["--config", "/gone.yaml"]])
def test_a_checkpoint_on_the_web_ends_in_one_line(config, capsys):
    with pytest.raises(SystemExit):
        main(["test", *config, "--ckpt_path", "https://host/a.ckpt"])
    assert len(capsys.readouterr().err.splitlines()) == 1
    with pytest.raises(SystemExit):
        main(["test", "--ckpt_path"])
    assert "expected one argument" in capsys.readouterr().err


def test_options_of_commands_are_expanded(home):
    options = predict.parser().parse_args(["~/x", "--checkpoint=~/y", "--out=~/z", "--root=~/r"])
    assert (options.videos, options.checkpoint, options.out, options.root) == (
        [home / "x"],
        home / "y",
        home / "z",
        home / "r",
    )
    assert weights.parser().parse_args(["inspect", "~/x.pth"]).inspect.path == home / "x.pth"


def test_a_run_takes_its_data_its_folder_and_its_checkpoint_from_the_home_folder(home, capsys):
    run = write_checkpoint(home).parents[1]
    (home / "data/classes.txt").rename(home / "classes.txt")
    config = home / "config.yaml"
    config.write_text((run / "config.yaml").read_text().replace(str(home), "~"))
    chosen = ["test", "--config=~/config.yaml", "--ckpt_path=~/run/checkpoints/last.ckpt"]
    main([*chosen, "--data.classes=~/classes.txt", "--run_dir=~/run"])
    assert (run / "test_metrics.json").exists()
    with pytest.raises(SystemExit):
        main([*chosen, "--data.root=$HOME/data"])
    assert "'$HOME/data' is no path: variables are not expanded" in capsys.readouterr().err


def test_data_prep_expands_its_options(home, capsys):
    (home / "clips/run").mkdir(parents=True)
    (home / "clips/run/x.mp4").touch()
    assert write_lists(["folder", "--videos=~/clips", "--output=~/lists", "--val-fraction=0"]) == 0
    assert (home / "lists/train.csv").read_text() == "path,label\nrun/x.mp4,0\n"
    with pytest.raises(SystemExit):
        write_lists(["folder", "--videos=$HOME/clips", "--output=~/lists"])
    assert (
        "argument --videos: '$HOME/clips' is no path: variables are not expanded" in capsys.readouterr().err
    )
