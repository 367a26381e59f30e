import importlib
from pathlib import Path

import pytest

from gcvideo.atomic import read_table
from gcvideo.cli import main as gcvideo
from gcvideo.data.decoding import open_video
from tests.data.encoding import numbers_shown
from tests.data_prep.fake_cvdf import (
    BROKEN,
    CUT,
    NUM_TRAIN,
    REPLACED,
    commands,
    file_name,
    lists_of,
    put_up,
)
from tests.data_prep.site import serving

CONFIGS = Path(__file__).parents[2] / "configs"
DEEP = "train/a/b/c/d/e/f/g/"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The walk-through, from a web site to the lists that training reads."""
    root = tmp_path_factory.mktemp("from nothing")
    with serving() as site:
        put_up(site, root / "made")
        for step, arguments in commands(site.url, root):
            assert importlib.import_module(f"data_prep.{step}").main(arguments) == 0, step
    return root


def test_each_listed_clip_is_in_the_manifest_or_named_with_the_reason(prepared: Path) -> None:
    manifest = {row["path"]: row for row in read_table(prepared / "k400/train.csv")}
    bad = {row["path"]: row["reason"] for row in read_table(prepared / "k400/bad.csv")}
    missing = [row["clip"] for row in read_table(prepared / "lists/missing.csv")]
    expected = {
        (DEEP if number > 3 else "train/") + file_name("train", number) for number in range(NUM_TRAIN - 1)
    }
    assert {*manifest, *bad} == expected
    assert list(bad) == [DEEP + file_name("train", BROKEN)]
    assert bad[DEEP + file_name("train", BROKEN)].startswith("not transcoded: is no video file that FFmpeg")
    assert missing == ["-t000000007_000007_000017", "-v000000001_000001_000011"]
    failed = [row for row in read_table(prepared / "k400/transcode_report.csv") if row["status"] == "failed"]
    assert [row["path"] for row in failed] == list(bad)


def test_the_replaced_and_the_cut_clip_have_their_frames(prepared: Path) -> None:
    for number, shown in ((REPLACED, range(24)), (CUT, range(7, 24))):
        with open_video(prepared / "k400" / DEEP / file_name("train", number)) as reader:
            frames = reader.frames_at(range(len(reader))).numpy()
        assert numbers_shown(frames) == list(shown)


def test_everything_that_was_prepared_is_plain(prepared: Path) -> None:
    rows = [row for split in ("train", "val", "test") for row in read_table(prepared / f"k400/{split}.csv")]
    assert len(rows) == 8
    assert {row["plain"] for row in rows} == {"1"}
    assert read_table(prepared / "k400/not_plain.csv") == []


def test_training_takes_a_step_on_it(prepared: Path) -> None:
    run_dir = prepared / "run"
    gcvideo(
        [
            "fit",
            *("--config", str(CONFIGS / "base.yaml")),
            *("--config", str(CONFIGS / "data/folder.yaml")),
            *("--config", str(CONFIGS / "paper/slow_r50_gc_all.yaml")),
            *("--data.root", str(prepared / "k400"), "--run_dir", str(run_dir)),
            *("--model.network.init_args.width", "0.0625", "--data.train_transform.crop_size", "32"),
            *("--data.batch_size", "5", "--data.num_workers", "0", "--trainer.accelerator", "cpu"),
            *("--trainer.max_epochs", "1", "--trainer.logger", "false"),
            *("--trainer.enable_progress_bar", "false"),
        ]
    )
    assert (run_dir / "checkpoints/last.ckpt").is_file()


def test_a_second_walk_does_nothing_and_writes_the_same_lists(prepared: Path) -> None:
    before = lists_of(prepared)
    videos = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.mp4")}
    with serving() as site:
        put_up(site, prepared / "made")
        for step, arguments in commands(site.url, prepared)[1:]:
            assert importlib.import_module(f"data_prep.{step}").main(arguments) == 0
    assert lists_of(prepared) == before
    made = {path for path in videos if "made" in path.parts}
    assert all(p.stat().st_mtime_ns == time for p, time in videos.items() if p not in made)
