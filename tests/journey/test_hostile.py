"""Files from strangers say what they say, and run nothing."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from gcvideo.atomic import read_table
from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.journey.test_two_processes import with_settings
from tests.journey.trained import train


class Touch:
    """When a pickle of it is loaded as pickles are, a file appears."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return os.mknod, (str(self.file),)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The file that is there once foreign code has run."""
    return tmp_path / "trace"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", train=2, val=1, test=1)


@pytest.mark.parametrize("command", ["fit", "validate", "test"])
@pytest.mark.parametrize("tag", ["apply:os.mknod [{}]", "new:os.mknod {{args: [{}]}}"])
def test_a_config_runs_no_code(
    command: str, tag: str, trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"data:\n  root: !!python/object/{tag.format(trace)}\n")
    yaml.unsafe_load(config.read_text())
    trace.unlink()  # it would have run
    with pytest.raises(SystemExit):
        main([command, "--config", str(config)])
    assert "could not determine a constructor for the tag" in capsys.readouterr().err
    assert not trace.exists()


@pytest.mark.parametrize("command", ["fit", "test"])
def test_a_checkpoint_runs_no_code(
    command: str, trace: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6", "x": Touch(trace)}, checkpoint)
    torch.load(checkpoint, weights_only=False)
    trace.unlink()  # it would have run
    arguments = [command, "--data.root", str(root), "--run_dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit):
        main(with_settings(*arguments, "--ckpt_path", str(checkpoint), devices=1))
    assert "names code that loading it would run; nothing was loaded" in capsys.readouterr().err
    assert not trace.exists()


def test_names_of_files_and_classes_are_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    escape = "\x1b[31m"
    classes = [f"={escape}</script><script>alert(1)</script>", f"[bold]{escape}", f"$\\frac{escape}{{"]
    videos = ["=a\x1b]0;title\x07[bold]$\\frac{.mp4", "-0.5.mp4", "@b\nwrote 9 predictions.mp4"]
    checkpoint = train(tmp_path)
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"]["class_names"] = classes
    torch.save(content, checkpoint)
    (tmp_path / "data" / "classes.txt").unlink()
    for video in videos:
        shutil.copy(tmp_path / "data" / "00.mp4", tmp_path / video)
    broken = "+\x1b[2J.mp4"
    (tmp_path / broken).write_bytes(b"no video")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    named = [f"./{video}" if video.startswith("-") else video for video in [*videos, broken]]
    out = ["--timeline", "--annotate", "--out", "predicted", "--num_workers", "0"]
    with pytest.raises(SystemExit):
        main(["predict", *named, "--checkpoint", str(checkpoint), *out])
    said = capsys.readouterr()
    assert "\x1b" not in said.out + said.err
    assert r"=a\x1b]0;title\x07[bold]$\frac{.mp4" in said.out
    assert r"@b\nwrote 9 predictions.mp4" in said.out
    assert r"\x1b[31m" in said.out
    assert r"+\x1b[2J.mp4: " in said.err.splitlines()[-1]
    table, timeline = (read_table(Path("predicted") / f"{name}.csv") for name in ("predictions", "timeline"))
    assert {row["video"] for row in table} == {row["video"] for row in timeline} == set(videos)
    assert {row["top1"] for row in table} <= set(classes)
    written = json.loads(Path("predicted/predictions.json").read_text())
    assert {one["video"] for one in written["videos"]} == set(videos)

    main(["test", "--config", str(tmp_path / "run" / "config.yaml"), "--ckpt_path", str(checkpoint)])
    main(["report", str(tmp_path / "run"), "--cost", "false"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b" not in "".join(capsys.readouterr())
