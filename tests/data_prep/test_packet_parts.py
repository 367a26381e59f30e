"""From verify.py to training: the packet index beside the lists."""

import logging
import shutil
from pathlib import Path

import pytest
import torch

from data_prep import verify
from data_prep.lists import packet_parts
from data_prep.running import unfinished
from data_prep.running.workers import CallResult
from gcvideo.clip import ClipBatch
from gcvideo.data import VideoDataModule
from gcvideo.data.decoding import opening
from gcvideo.data.decoding.packet_file import PACKET_INDEX, PacketFile
from gcvideo.data.lists.folds import Folds
from gcvideo.data.sampling import ClipFrames
from tests.data.encoding import cut_by_stream_copy, h264, write_video

SMALL = {"num_frames": 24, "height": 64, "width": 64, "options": h264(keyint=8)}
NAMES = ("a/0.mp4", "a/1.mp4", "b/2.mp4", "b/cut.mp4")


@pytest.fixture(scope="module")
def verified(tmp_path_factory) -> Path:
    """Videos and lists, and what verify.py makes of them, in two shards and together."""
    root = tmp_path_factory.mktemp("set")
    for number, name in enumerate(NAMES[:3]):
        (root / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(root / "videos" / name, **SMALL | {"fps": 20 + number})
    cut_by_stream_copy(root / "videos" / NAMES[0], root / "videos" / NAMES[3], first_frame=5)
    (root / "lists").mkdir()
    rows = "".join(f"{name},{name.startswith('b'):d}\n" for name in NAMES)
    (root / "lists" / "train.csv").write_text("path,label\n" + rows)
    (root / "lists" / "val.csv").write_text(f"path,label\n{NAMES[1]},0\n")
    for shard in ("--shard 1 --num-shards 2", "--shard 0 --num-shards 2", ""):
        run(root, "train", options=shard)
    return root


def run(root: Path, *lists: str, options: str = "") -> None:
    """verify.py, in this process."""

    def call_each(function, items, **_):
        return (CallResult(item, list(function(item)), None) for item in items)

    files = [str(root / "lists" / f"{name}.csv") for name in lists]
    folders = ["--root", str(root / "videos"), "--output", str(root / "verified")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfinished, "run_killable", call_each)
        verify.main([*folders, *options.split(), "--lists", *files])


def batches(root: Path, split: str = "train", **how) -> list[ClipBatch]:
    settings = {"videos": root / "videos", "clip": ClipFrames(4, 2), "batch_size": 4, "num_workers": 0}
    data = VideoDataModule(root / "verified", **settings | {"num_classes": 2} | how)
    return list(data.train_dataloader() if split == "train" else data.val_dataloader())


def said_of_reading(caplog: pytest.LogCaptureFixture) -> str:
    (said,) = [message for message in caplog.messages if " read " in message and " files" in message]
    return said


def same(some: list[ClipBatch], other: list[ClipBatch]) -> bool:
    return len(some) == len(other) and all(
        torch.equal(one.frames, two.frames) and one.video_id == two.video_id
        for one, two in zip(some, other, strict=True)
    )


@pytest.mark.parametrize("num_workers", [0, 1])
def test_training_reads_by_the_index_what_is_in_it_to_the_same_bits(verified, caplog, num_workers):
    caplog.set_level(logging.INFO)
    by_index = batches(verified, num_workers=num_workers)
    cut = "1: an edit list hides packets of it"
    assert said_of_reading(caplog) == f"pyav read 1 files ({cut}), pyav, indexed read 3 files"
    caplog.clear()
    hidden = (verified / "verified" / PACKET_INDEX).rename(verified / "hidden")
    try:
        assert same(by_index, batches(verified))
        assert said_of_reading(caplog) == "pyav read 4 files"
        assert f"train.csv has no {PACKET_INDEX} beside it" in caplog.text
    finally:
        hidden.rename(verified / "verified" / PACKET_INDEX)


def test_what_is_indexed_is_not_demuxed_nor_read_whole(verified, monkeypatch):
    settings = {"train": Path("indexed.csv"), "batch_size": 3}
    lines = (verified / "verified" / "train.csv").read_text().splitlines(keepends=True)
    (verified / "verified" / "indexed.csv").write_text("".join(lines[:4]))
    expected = batches(verified, **settings)
    monkeypatch.setattr(opening, "index_stream", None)
    monkeypatch.setattr(opening, "crc32_of", None)
    assert same(batches(verified, **settings), expected)


def test_folds_and_moved_videos_find_their_rows(verified, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    shutil.copytree(verified / "videos", tmp_path / "elsewhere")  # with other times of modification
    batches(verified, videos=tmp_path / "elsewhere", folds=Folds(0, num_folds=2), batch_size=1)
    assert "pyav, indexed read" in said_of_reading(caplog)
    assert "it is not in the packet index" not in caplog.text


def test_a_second_run_adds_its_lists_and_changed_videos_are_indexed_anew(verified, tmp_path, monkeypatch):
    root = tmp_path / "set"
    shutil.copytree(verified, root, copy_function=shutil.copy2)
    index = PacketFile(root / "verified" / PACKET_INDEX)
    before = {name: index.row(name) for name in NAMES}
    assert all(before.values())
    # Another list into the same folder: its video is known, and the others stay
    monkeypatch.setattr(packet_parts.PacketParts, "add", None)
    run(root, "val")
    index = PacketFile(root / "verified" / PACKET_INDEX)
    assert {name: index.row(name) for name in NAMES} == before
    monkeypatch.undo()
    # A video is replaced, one is gone, and the parts end in one that a kill has torn
    write_video(root / "videos" / NAMES[0], **SMALL | {"num_frames": 20})
    (root / "videos" / NAMES[2]).unlink()
    (root / "verified" / ".journal" / "verify.0-of-1.packets").write_bytes(b"packets\x01 torn")
    run(root, "train")
    index = PacketFile(root / "verified" / PACKET_INDEX)
    assert index.row(NAMES[0]) not in (None, before[NAMES[0]])
    assert index.row(NAMES[1]) == before[NAMES[1]]
    assert index.row(NAMES[2]) is None
    train = (root / "verified" / "train.csv").read_text().splitlines()
    (root / "verified" / "train.csv").write_text("\n".join(train[:3]))
    frames = batches(root, batch_size=2)[0].frames
    (root / "verified" / PACKET_INDEX).unlink()
    assert torch.equal(batches(root, batch_size=2)[0].frames, frames)


def test_a_cut_off_index_is_warned_of_once_and_all_is_demuxed(verified, tmp_path, caplog):
    shutil.copytree(verified, tmp_path / "set", copy_function=shutil.copy2)
    index = tmp_path / "set" / "verified" / PACKET_INDEX
    index.write_bytes(index.read_bytes()[:-1])
    caplog.set_level(logging.INFO)
    assert same(batches(tmp_path / "set"), batches(verified))
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith(f"{index}: has ")
    assert "every video is demuxed when it is opened" in warning
