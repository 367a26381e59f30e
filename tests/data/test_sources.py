"""Samples of any source are read alike: by loader processes, in time, past faults, and shared by ranks."""

import csv
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from gcvideo.clip import ClipBatch
from gcvideo.data import ClipFrames, EvaluationViews, ScaleJitter, VideoDataModule, datamodule
from gcvideo.data.decoding import DecodeError, FrameNames, OpenAny, VideoReader
from gcvideo.data.loading.epochs import Place
from tests.data.sources import NUM_VIDEOS, SOURCES, TEMPLATE

HANGS, BROKEN = "02", "03"
"""Videos of which `faulty` opens none."""
VIEWS = EvaluationViews(1, 1, 32, 32)

pytestmark = [
    pytest.mark.parametrize("source", SOURCES),
    pytest.mark.timeout(120, method="thread"),
]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("sources")
    return {name: (folder / name, source.make(folder / name)) for name, source in SOURCES.items()}


def module(roots: dict[str, tuple[Path, dict[str, Any]]], source: str, **settings: Any) -> VideoDataModule:
    root, of_source = roots[source]
    of_source = {**of_source, "frames": FrameNames(**of_source.get("frames", {}))}
    return VideoDataModule(
        root,
        clip=ClipFrames(num_frames=2, stride=2),
        train_transform=ScaleJitter(crop_size=32, min_short_side=32, max_short_side=40),
        val_views=VIEWS,
        test_views=VIEWS,
        **{"batch_size": 2, "num_workers": 0, **of_source, **settings},
    )


def faulty(path: Path) -> VideoReader:
    """Open a video; or wait for ever, or raise."""
    if path.stem == HANGS:
        threading.Event().wait()
    if path.stem == BROKEN:
        raise DecodeError(f"{path}: is broken")
    return OpenAny(frames=FrameNames(TEMPLATE, fps=25.0))(path)


def names_of(batches: Iterator[ClipBatch]) -> list[str]:
    return [name for batch in batches for name in batch.video_id]


def listed(roots: dict[str, tuple[Path, dict[str, Any]]], source: str, *stems: str) -> list[str]:
    """The samples of the training list, or of those videos in it."""
    records = module(roots, source).records("train")
    return sorted(record.video_id for record in records if not stems or record.path.stem in stems)


def test_loader_processes_change_nothing(roots, source) -> None:
    alone, two = (module(roots, source, num_workers=number).train_dataloader() for number in (0, 2))
    batches = list(zip(alone, two, strict=True))
    assert len(batches) == len(listed(roots, source)) // 2
    for one, other in batches:
        assert torch.equal(one.frames, other.frames)
        assert torch.equal(one.label, other.label)
        assert one[2:] == other[2:]


def test_what_hangs_or_is_broken_is_left_out_by_its_name_and_nothing_else_is(
    roots, source, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where unreadable.csv goes
    settings = {"on_error": "skip", "max_unreadable_share": 0.5, "timeout_seconds": 1.0, "num_workers": 2}
    data = module(roots, source, reader=faulty, **settings)
    names = names_of(iter(data.train_dataloader()))
    lost = listed(roots, source, HANGS, BROKEN)
    assert sorted(names) == sorted(set(listed(roots, source)) - set(lost))
    with (tmp_path / "unreadable.csv").open() as file:
        reasons = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert sorted(reasons) == lost
    assert {reasons[name] for name in listed(roots, source, HANGS)} == {"decoding took more than 1 s"}
    assert {reasons[name] for name in listed(roots, source, BROKEN)} == {"is broken"}


def test_what_is_broken_ends_the_run_unless_it_may_be_skipped(roots, source) -> None:
    data = module(roots, source, reader=faulty, timeout_seconds=1.0, num_workers=2)
    with pytest.raises(DecodeError, match=rf"{HANGS}\S*: decoding took more|{BROKEN}\S*: is broken"):
        list(data.train_dataloader())


def test_ranks_share_the_samples_of_an_epoch(roots, source, monkeypatch) -> None:
    names = {"train": [], "val": []}
    for rank in (0, 1):
        monkeypatch.setattr(
            datamodule.Place, "of", classmethod(lambda cls, trainer, rank=rank: Place(rank, 2))
        )
        data = module(roots, source, batch_size=1)
        names["train"] += names_of(iter(data.train_dataloader()))
        names["val"] += names_of(iter(data.val_dataloader()))
    assert sorted(names["train"]) == listed(roots, source)
    assert sorted(names["val"]) == sorted(r.video_id for r in data.records("val"))
    assert len(names["train"]) in (NUM_VIDEOS, 2 * NUM_VIDEOS)
