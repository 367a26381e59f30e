"""A validation none of whose videos can be read ends the run, before a best checkpoint is chosen from it."""

from pathlib import Path

import pytest

from tests.data.annotated import write_dataset
from tests.training.runs import run, said, write_config

REFUSAL = "none of the 5 validation videos could be read"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lists none.csv of five files that are no videos, last.csv with a video behind them."""
    root = write_dataset(tmp_path_factory.mktemp("data") / "videos", train=6, val=1, test=1)
    rows = [f"no-video-{number}.mp4,0" for number in range(5)]
    for row in rows:
        (root / row.partition(",")[0]).write_text("text")
    (root / "none.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    (root / "last.csv").write_text("\n".join(["path,label", *rows, "00.mp4,0"]) + "\n")
    return root


def checkpoints(folder: Path) -> set[str]:
    return {file.name for file in (folder / "run" / "checkpoints").glob("*")}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("sanity_check", [0, 1])
def test_a_run_ends_at_its_first_validation(tmp_path, root, processes, sanity_check):
    """Also where the sanity check is of all the videos of one process and not of the other's."""
    trainer = {"num_sanity_val_steps": sanity_check}
    config = write_config(tmp_path, root, data={"val": "none.csv"}, trainer=trainer)
    assert run(config, processes=processes) == [1] * processes, said(tmp_path)
    assert said(tmp_path).count(REFUSAL) == processes
    assert "Traceback" not in said(tmp_path)
    assert checkpoints(tmp_path) == {"last.ckpt"}  # from which it goes on, once they are mended


def test_a_sanity_check_of_all_the_videos_is_enough(tmp_path, root):
    trainer = {"num_sanity_val_steps": -1}
    config = write_config(tmp_path, root, data={"val": "none.csv"}, trainer=trainer)
    assert run(config) == [1]
    assert said(tmp_path).strip().splitlines()[-1].startswith(f"gcvideo fit: {REFUSAL}")
    assert checkpoints(tmp_path) == set()


def test_a_sanity_check_of_unreadable_videos_only_is_no_reason_to_end(tmp_path, root):
    """One process has nothing but unreadable videos in every validation, the other one that it can read."""
    trainer = {"num_sanity_val_steps": 1}
    config = write_config(tmp_path, root, data={"val": "last.csv"}, trainer=trainer)
    assert run(config, processes=2) == [0, 0], said(tmp_path)
    assert checkpoints(tmp_path) == {"best.ckpt", "last.ckpt"}


def test_validate_refuses_as_well(tmp_path, root):
    config = write_config(tmp_path, root, data={"val": "none.csv"})
    assert run(config, command="validate") == [1]
    assert f"gcvideo validate: {REFUSAL}" in said(tmp_path)
    assert not (tmp_path / "run" / "val_metrics.json").exists()
