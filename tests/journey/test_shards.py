"""From clips as they were downloaded to a network that is trained and tested on shards of them."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from data_prep import pack, transcode, verify
from gcvideo.cli import main
from gcvideo.cli.inputs import load
from gcvideo.cli.report import thumbnails
from tests.data.annotated import write_dataset
from tests.shards.server import serving
from tests.training.runs import differences, run, said, write_config
from tests.training.trials import NUM_VIDEOS, Kill, Outcome, try_kill, whole_run

SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set of files, and the one that was packed of it."""
    folder = tmp_path_factory.mktemp("sets")
    downloaded, small, shards = (folder / name for name in ("downloaded", "small", "shards"))
    write_dataset(downloaded, **NUM_VIDEOS)

    def lists(of: Path) -> list[str]:
        return ["--lists", *(str(of / f"{split}.csv") for split in SPLITS)]

    between = ["--root", str(small), "--output"]
    short = ["--short-side", "64"]
    assert (
        transcode.main(["--root", str(downloaded), "--output", str(small), *lists(downloaded), *short]) == 0
    )
    assert verify.main([*between, str(small), *lists(small / "lists")]) == 0
    assert pack.main([*between, str(shards), *lists(small), "--shard-size", "20kB"]) == 0
    assert len([*shards.glob("*.tar")]) > 2
    return small, shards


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "run/predictions.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_run_of_two_processes_on_shards_is_killed_and_goes_on_as_one_on_files_that_was_not(
    sets: tuple[Path, Path], tmp_path: Path
) -> None:
    files, shards = sets
    whole = whole_run(tmp_path / "whole", files, processes=2)
    with serving(shards) as server:
        server.faults = ["", "503", "reset", "", "drop"] * 4
        where = {"address": server.url, "cache": str(tmp_path / "cache"), "cache_gb": 0.0001}
        kill = Kill(4, workers=1, every=2, processes=2)
        killed = try_kill(kill, tmp_path / "killed", shards, whole, data={"shards": where})
        assert server.faults == []
    assert killed == Outcome(survived=True, unlike=[])

    # Tested on either, and by either's settings
    tested = {}
    for name, root, where in (("whole", files, None), ("killed", shards, {})):
        checkpoint = tmp_path / name / "run/checkpoints/last.ckpt"
        config = write_config(tmp_path / name, root, data={"shards": where})
        assert run(config, "--ckpt_path", str(checkpoint), command="test") == [0], said(tmp_path / name)
        metrics = json.loads((tmp_path / name / "run/test_metrics.json").read_text())
        tested[name] = (rows(tmp_path / name), metrics["test/top1"], metrics["test/loss"])
    assert tested["whole"] == tested["killed"]


def test_a_run_may_go_on_from_files_to_shards(sets: tuple[Path, Path], tmp_path: Path) -> None:
    files, shards = sets
    for name, second in (("stays", (files, None)), ("moves", (shards, {}))):
        for epochs, (root, where) in ((1, (files, None)), (2, second)):
            config = write_config(
                tmp_path / name, root, data={"shards": where}, trainer={"max_epochs": epochs}
            )
            main(["fit", "--config", str(config), "--resume", "auto"])
    assert differences(tmp_path / "moves", tmp_path / "stays") == []


def test_other_commands_read_shards_too(
    sets: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    refused: Callable[..., str],
) -> None:
    _, shards = sets
    config = str(write_config(tmp_path, shards, data={"shards": {}}, trainer={"max_epochs": 1}))
    main(["fit", "--config", config])
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    main(["peek", "--config", str(tmp_path / "run/config.yaml"), "--out", str(tmp_path / "peek")])
    assert (tmp_path / "peek/clips.png").is_file()

    # A list's videos where no file is; pictures of a report
    given = ["--root", str(shards), "--checkpoint", str(checkpoint), "--trust", "tests"]
    main(["predict", str(shards / "val.csv"), *given, "--out", str(tmp_path / "out")])
    with (tmp_path / "out/predictions.csv").open() as file:
        assert len(list(csv.DictReader(file))) == NUM_VIDEOS["val"]
    _, data = load(checkpoint, device="cpu")
    assert [*thumbnails(["00.mp4"], data)] == ["00.mp4"]
    capsys.readouterr()

    # What is not as it should be is one line, before anything begins
    away = ["fit", "--config", config, "--run_dir", str(tmp_path / "other")]
    assert "No such file or directory" in refused([*away, "--data.shards.address", str(tmp_path)])
    assert "data.backend decord reads files" in refused([*away, "--data.backend", "decord"])
    assert "data.shards.cache_gb is -1.0; expected more" in refused([*away, "--data.shards.cache_gb", "-1"])
    with serving(shards) as server:
        server.ignores_ranges = True
        line = refused([*away, "--data.shards.address", server.url])
    assert f"{server.url}/shards.arrow: the server ignores Range" in line
    line = refused([*away, "--data.shards.address", server.url, "--data.shards.give_up_seconds", "0.5"])
    assert f"{server.url}/shards.arrow: " in line
    assert "given up after" in line
    assert not (tmp_path / "other/checkpoints").exists()
