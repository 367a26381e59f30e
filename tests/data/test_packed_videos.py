"""Videos in shards are those on the disk, bit by bit."""

import os
import shutil
import time
from pathlib import Path
from typing import Literal

import pytest
import torch

from data_prep import pack, verify
from gcvideo.data import ClipFrames, EvaluationViews, ScaleJitter, VideoDataModule
from gcvideo.data.decoding import DecodeError, open_video
from gcvideo.data.decoding.opening import open_record
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.loading.batch import last_resort
from gcvideo.data.packed_videos import PackedSet, PackedVideos
from gcvideo.processes import begin_anew
from gcvideo.video_files import is_video_name
from tests.data.annotated import write_dataset
from tests.shards.packed import write_shard_of
from tests.shards.server import serving

REAL_VIDEOS = Path(
    os.environ.get("GCVIDEO_REALVIDEOS", Path(__file__).parents[2].parent / "shared" / "realvideos")
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A verified set of seven videos, and three shards of it."""
    root = write_dataset(tmp_path_factory.mktemp("packed") / "videos", train=7, val=2, test=1)
    lists = [str(root / f"{split}.csv") for split in ("train", "val", "test")]
    assert verify.main(["--root", str(root), "--output", str(root / "verified"), "--lists", *lists]) == 0
    lists = [str(root / f"verified/{split}.csv") for split in ("train", "val", "test")]
    shards = root.parent / "shards"
    size = sum(file.stat().st_size for file in root.glob("*.mp4")) // 3
    options = ["--lists", *lists, "--shard-size", f"{size}"]
    assert pack.main(["--root", str(root), "--output", str(shards), *options]) == 0
    return root, shards


def test_every_frame_of_every_member_is_that_of_the_file(packed):
    root, shards = packed
    opens = PackedVideos(PackedSet(str(shards)), videos=root)
    for file in sorted(root.glob("*.mp4")):
        with open_video(file) as loose, open_video(file, opens) as member:
            assert member.fps == loose.fps
            numbers = [*range(len(loose))]
            assert torch.equal(member.frames_at(numbers), loose.frames_at(numbers))
            assert torch.equal(member.boundaries(), loose.boundaries())


SMALL = {
    "clip": ClipFrames(num_frames=2, stride=2),
    "train_transform": ScaleJitter(crop_size=32, min_short_side=32, max_short_side=40),
    "val_views": EvaluationViews(1, 1, short_side=32, crop_size=32),
    "test_views": EvaluationViews(2, 1, short_side=40, crop_size=40),
    "batch_size": 2,
}


def test_batches_and_the_digest_of_their_order_are_those_of_loose_files(packed):
    root, shards = packed
    loose = VideoDataModule(root / "verified", videos=root, num_workers=0, **SMALL)
    members = VideoDataModule(shards, shards=PackedSet(), num_workers=2, **SMALL)
    for split in ("train", "val", "test"):
        files, parts = (getattr(data, f"{split}_dataloader")() for data in (loose, members))
        record = members.records(split)[0]
        with open_record(record, members.packed, packets=members.records(split).packets_of(record)) as reader:
            assert reader.name == "pyav, indexed"
        assert files.order_fingerprint == parts.order_fingerprint
        for file, part in zip(files, parts, strict=True):
            assert file.video_id == part.video_id
            assert torch.equal(file.frames, part.frames)
            assert torch.equal(file.label, part.label)
            assert not part.unreadable
    members.setup("fit")


def message(data: VideoDataModule) -> str:
    with pytest.raises(ValueError, match=r".") as refused:
        data.setup("fit")
    return str(refused.value)


@pytest.fixture
def shards(packed, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(packed[1], tmp_path / "copy")


def test_a_set_that_is_not_whole_is_refused_before_a_run(shards):
    def said() -> str:
        return message(VideoDataModule(shards, shards=PackedSet(), num_workers=0, **SMALL))

    first, second, index = (shards / name for name in ("shard-00000.tar", "shard-00001.tar", "shards.arrow"))
    size = first.stat().st_size
    os.truncate(first, size - 1)
    found = f"lie in shards that are not whole, as {first}: has {size - 1:,} bytes, and had {size:,};"
    assert found in said()
    first.unlink()
    assert f"{first}: No such file or directory" in said()
    content = index.read_bytes()
    index.write_bytes(content[: len(content) // 2])
    assert f"{index}: is no whole index of shards" in said()
    damaged = bytearray(content)
    damaged[content.index(b"00.mp4")] = ord("7")
    index.write_bytes(damaged)
    assert said() == f"{index}: is damaged, its checksum is another; fetch it or pack it again"
    index.write_bytes(content.replace(b'"version": 1', b'"version": 9'))
    assert f"{index}: is an index of version 9, and version 1 is read here; pack" in said()
    index.write_bytes(second.read_bytes())
    assert f"{index}: is no whole index of shards" in said()
    index.unlink()
    assert f"{index}: " in said()
    assert "No such file or directory" in said()


def test_a_list_of_other_videos_than_were_packed_is_refused_by_name(shards):
    file = shards / "train.csv"
    rows = file.read_text().splitlines()
    cells = rows[1].split(",")
    cells[-2] = str(int(cells[-2]) ^ 1)
    file.write_text("\n".join([rows[0], ",".join(cells), *rows[2:], rows[2].replace("01.mp4", "new.mp4")]))
    said = message(VideoDataModule(shards, shards=PackedSet(), num_workers=0, **SMALL))
    assert f"{file}: 2 of 8 videos are not there: '00.mp4', 'new.mp4': 1 are no members of {shards}" in said
    assert (
        "1 were other files when they were packed, by their checksums; pack the list's videos again" in said
    )
    skipping = VideoDataModule(
        shards, shards=PackedSet(), num_workers=0, on_error="skip", max_unreadable_share=0.5, **SMALL
    )
    (warning, *_) = skipping.look_for_videos("fit")
    assert "no members of" in warning
    found = [video for batch in skipping.val_dataloader() for video in batch.unreadable]
    assert found == []
    records = {record.video_id: record for record in skipping.records("train")}
    for name, reason in {"00.mp4": "its checksum is", "new.mp4": "has no member new.mp4"}.items():
        with pytest.raises(DecodeError, match=reason):
            open_video(records[name].path, skipping.opens_listed, verified=records[name].verified)


def test_a_damaged_member_is_named_with_its_shard_and_the_others_are_read(shards):
    data = VideoDataModule(shards, shards=PackedSet(), num_workers=0, **SMALL)
    member = data.packed.shards.index.find("00.mp4")
    file = shards / data.packed.shards.index.shards[member.shard].name
    content = bytearray(file.read_bytes())
    content[member.offset : member.offset + member.size] = bytes(member.size)
    file.write_bytes(content)
    data.setup("fit")
    (unreadable,) = [video for batch in data.val_dataloader() for video in batch.unreadable]
    assert unreadable.record.video_id == "00.mp4"
    assert unreadable.reason == (
        f"{file}, member 00.mp4: is damaged from byte 0 on, its checksum is another; pack or fetch the "
        "shard again"
    )


@pytest.mark.parametrize("kept", [False, True])
def test_no_more_is_fetched_than_what_lies_between_the_packets_of_a_clip(packed, tmp_path, monkeypatch, kept):
    """And a packet that is damaged is noticed, and the member named."""
    _, shards = packed
    monkeypatch.setattr("gcvideo.data.packed_videos.MOST_BETWEEN", 0)
    with serving(shutil.copytree(shards, tmp_path / "copy")) as server:
        cache = tmp_path / "cache" if kept else None
        data = VideoDataModule(shards, shards=PackedSet(server.url, cache=cache), num_workers=0, **SMALL)
        records = data.records("train")
        name, size = "06.mp4", data.packed.shards.index.find("06.mp4").size
        record = next(record for record in records if record.video_id == name)

        def frames(numbers: list[int]) -> torch.Tensor:
            with open_record(record, data.opens_listed, packets=records.packets_of(record)) as reader:
                return reader.frames_at(numbers)

        server.asked.clear()
        with open_video(packed[0] / name) as loose:
            assert torch.equal(frames([0, 1]), loose.frames_at([0, 1]))
        ends = [tuple(map(int, asked.removeprefix("bytes=").split("-"))) for _, asked in server.asked]
        fetched = sum(last + 1 - start for start, last in ends)
        assert 0 < fetched <= size if kept else fetched < size / 2
        member = data.packed.shards.index.find(name)
        file = tmp_path / "copy" / data.packed.shards.index.shards[member.shard].name
        content = bytearray(file.read_bytes())
        content[member.offset : member.offset + member.size] = bytes(member.size)
        file.write_bytes(content)
        shutil.rmtree(cache or tmp_path / "none", ignore_errors=True)
        with pytest.raises(DecodeError, match=rf"{file.name}, member {name}: is damaged from byte 0 on"):
            frames([0, 1])


def test_waiting_for_a_server_is_not_the_decoder_s_time(tmp_path, monkeypatch):
    codes = []
    monkeypatch.setattr("os._exit", codes.append)
    with last_resort(tmp_path / "video", 0.2):
        for _ in range(30):
            time.sleep(0.02)
            begin_anew()
    assert codes == []
    with last_resort(tmp_path / "video", 0.2):
        time.sleep(0.6)
    assert codes == [1]


def found_in(path: Path, backend: PackedVideos | Literal["pyav"]) -> list[torch.Tensor] | str:
    """Some frames and all times of a video, or why there are none."""
    try:
        with open_video(path, backend) as reader:
            return [reader.frames_at([0, len(reader) // 2, len(reader) - 1]), reader.boundaries()]
    except DecodeError as error:
        return str(error)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_VIDEOS.is_dir(), reason="there are no real videos")
def test_real_videos_of_every_kind_are_the_same_in_a_shard(tmp_path: Path):
    paths = [
        str(file.relative_to(REAL_VIDEOS)) for file in REAL_VIDEOS.rglob("*") if is_video_name(file.name)
    ]
    write_shard_of(tmp_path / "shards", REAL_VIDEOS, paths)
    opens = PackedVideos(PackedSet(str(tmp_path / "shards")), videos=REAL_VIDEOS)
    for path in paths:
        loose, member = (found_in(REAL_VIDEOS / path, how) for how in ("pyav", opens))
        if isinstance(loose, str):
            assert member == loose
        else:
            assert all(map(torch.equal, loose, member)), path


@pytest.mark.parametrize("other", [{"backend": "decord"}, {"source": "frames"}, {"reader": PyAVReader}])
def test_what_reads_files_alone_is_refused_with_shards(tmp_path, other):
    with pytest.raises(ValueError, match=rf"data.{next(iter(other))} .* leave data.shards out"):
        VideoDataModule(tmp_path, shards=PackedSet(), **other)
