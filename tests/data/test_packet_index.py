"""Videos that are read by a packet index: the frames of demuxing, without it."""

import logging
import os
import pickle
import re
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gcvideo.data.decoding.opening as opening_module
from data_prep.videos.packet_rows import packet_row
from gcvideo.clip import Verified
from gcvideo.data.decoding import DecodeError, VideoReader, open_video
from gcvideo.data.decoding.byte_ranges import ByteRange, LocalFile
from gcvideo.data.decoding.checksum import crc32_of
from gcvideo.data.decoding.indexed import INDEXED
from gcvideo.data.decoding.packet_file import (
    PACKET_INDEX,
    PacketFile,
    RowPlace,
    key_of,
    mapped,
    write_packet_file,
)
from gcvideo.data.decoding.packet_row import (
    DecoderState,
    PacketColumns,
    PacketRow,
    RowUselessError,
    row_that_says,
)
from gcvideo.data.decoding.stored_index import BYTES_AT_ONCE
from tests.data.corpus import SVT, cut, x265
from tests.data.encoding import h264, numbers_shown, write_video

NUM_FRAMES = 30
SMALL = {"num_frames": NUM_FRAMES, "height": 64, "width": 64}
VPX = {"deadline": "realtime", "cpu-used": "8", "g": "12", "b": "1M"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
KEPT = {
    "a.mp4": {"options": h264(keyint=12)},
    "pyramid.mkv": {"options": h264(keyint=15, bframes=5, b_pyramid=2)},
    "open.mp4": {"options": h264(keyint=12, open_gop=1)},
    "fragments.mp4": {"options": h264(keyint=12), "container_options": FRAGMENTS},
    "turned.mp4": {"options": h264(keyint=12), "quarter_turns": 1, "width": 96},
    "uneven.mp4": {
        "options": h264(keyint=12),
        "times_ms": [40 * n + 7 * (n % 3) for n in range(NUM_FRAMES)],
    },
    "motion.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "asp.mp4": {"codec": "mpeg4", "options": {"g": "12", "bf": "2", "b": "2M"}, "height": 240, "width": 320},
    "hevc.mp4": {"codec": "libx265", "options": x265()},
    "vp9.webm": {"codec": "libvpx-vp9", "options": VPX},
    "vp8.webm": {"codec": "libvpx", "options": VPX},
    "av1.mkv": {"codec": "libsvtav1", "options": SVT},
}
REQUESTS = ([5], [29], [0, 8, 16, 24], [23, 3, 3, 14], list(range(NUM_FRAMES)))


def write(path: Path) -> Path:
    return write_video(path, **SMALL | KEPT[path.name])


def row_of(path: Path) -> bytes:
    return packet_row(path, crc32=crc32_of(path))


@pytest.fixture(scope="module")
def indexed(tmp_path_factory) -> tuple[Path, bytes]:
    """A video of two and a half groups of pictures, and its row."""
    path = write(tmp_path_factory.mktemp("indexed") / "a.mp4")
    return path, row_of(path)


def copied(indexed: tuple[Path, bytes], folder: Path, *, flipped: int | None = None) -> Path:
    """A copy of the video in which one bit of a byte may be another."""
    content = bytearray(indexed[0].read_bytes())
    if flipped is not None:
        content[flipped] ^= 4
    path = folder / "a.mp4"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", KEPT)
def test_frames_times_and_length_are_those_of_demuxing(tmp_path, monkeypatch, name):
    path = write(tmp_path / name)
    row = row_of(path)
    with open_video(path) as demuxed:
        fps, boundaries = demuxed.fps, demuxed.boundaries()
        frames = [demuxed.frames_at(indices) for indices in REQUESTS]
    monkeypatch.setattr(opening_module, "index_stream", None)  # it would fail
    with open_video(path, packets=row) as reader:
        assert (reader.name, len(reader), reader.fps) == (INDEXED, NUM_FRAMES, fps)
        assert torch.equal(reader.boundaries(), boundaries)
        for indices, expected in zip(REQUESTS, frames, strict=True):
            found = reader.frames_at(indices)
            assert torch.equal(found, expected)
            if name != "av1.mkv":  # whose small pictures are blurred
                assert numbers_shown(found.numpy()) == indices


@pytest.mark.parametrize(
    ("name", "write_file", "reason"),
    [
        ("a.ts", partial(write_video, **SMALL, options=h264(keyint=12)), "data beside them"),
        ("cut.mp4", cut(18), "an edit list hides packets"),
        ("b.avi", partial(write_video, **SMALL, options=h264(keyint=12)), "its time stamps announce"),
        (
            "a.mpg",
            partial(write_video, **SMALL, codec="mpeg2video", options={"g": "12"}),
            "in one piece each",
        ),
    ],
)
def test_what_is_not_proven_is_demuxed_and_counted_with_the_reason(tmp_path, name, write_file, reason):
    write_file(tmp_path / name)
    row = row_of(tmp_path / name)
    with open_video(tmp_path / name) as demuxed, open_video(tmp_path / name, packets=row) as reader:
        assert reader.name.startswith("pyav: ")
        assert reason in reader.name
        assert torch.equal(reader.frames_at([7, 3]), demuxed.frames_at([7, 3]))


def test_no_more_is_read_than_the_packets_that_are_decoded(indexed, monkeypatch):
    path, packets = indexed
    asked: list[ByteRange] = []
    read = LocalFile.read
    monkeypatch.setattr(LocalFile, "read", lambda self, ranges: asked.extend(ranges) or read(self, ranges))
    with open_video(path, packets=packets) as reader:
        assert asked == []
        reader.frames_at([13])
    row = PacketRow.from_bytes(packets).packets
    key = row.start[row.is_key][1]  # of frame 12, from which on 13 is decoded
    assert min(asked).start == key
    assert len(asked) < 8
    in_order = row.start.tolist()
    assert all(part.start in in_order for part in asked)


def test_long_videos_are_read_part_after_part(indexed, monkeypatch):
    path, packets = indexed
    row = PacketRow.from_bytes(packets).packets
    monkeypatch.setattr("gcvideo.data.decoding.stored_index.BYTES_AT_ONCE", int(row.size.max()))
    most = 0
    read = LocalFile.read

    def counting(self: LocalFile, ranges: list[ByteRange]) -> list[memoryview]:
        nonlocal most
        most = max(most, sum(part.end - part.start for part in ranges))
        return read(self, ranges)

    monkeypatch.setattr(LocalFile, "read", counting)
    with open_video(path, packets=packets) as reader:
        assert numbers_shown(reader.frames_at(range(NUM_FRAMES)).numpy()) == list(range(NUM_FRAMES))
    assert most <= row.size.max() < BYTES_AT_ONCE


def test_a_damaged_packet_is_noticed_if_it_is_decoded_and_only_then(tmp_path, indexed):
    row = PacketRow.from_bytes(indexed[1]).packets
    path = copied(indexed, tmp_path, flipped=int(row.start[row.is_key][1]) + 40)
    verified = Verified(NUM_FRAMES, 25.0, 64, 64, plain=True, crc32=crc32_of(indexed[0]))

    def opened(**how) -> VideoReader:
        return open_video(path, packets=indexed[1], **how)

    with open_video(indexed[0]) as sound:
        before, after = sound.frames_at([3]), sound.frames_at([26])
    with opened(verified=verified) as reader:
        assert torch.equal(reader.frames_at([3]), before)
        assert torch.equal(reader.frames_at([26]), after)
        assert reader.name == INDEXED
        with pytest.raises(DecodeError, match=rf"{path}: its checksum is .*, and was {verified.crc32}"):
            reader.frames_at([3, 13, 26])
    # Without a checksum in the list the file is read as without the index.
    with opened() as reader, open_video(path) as demuxed:
        try:
            expected = demuxed.frames_at([13])
        except DecodeError as error:
            with pytest.raises(DecodeError, match=re.escape(str(error))):
                reader.frames_at([13])
        else:
            assert torch.equal(reader.frames_at([13]), expected)
        assert reader.name == "pyav: its bytes are not those of the packet index"


def test_a_replaced_file_is_read_as_without_the_index_or_refused_by_its_list(tmp_path, indexed):
    path = write_video(tmp_path / "a.mp4", **SMALL | {"num_frames": 20}, options=h264(keyint=7))
    with open_video(path, packets=indexed[1]) as reader:
        assert reader.name == "pyav: its size is not that of the packet index"
        assert numbers_shown(reader.frames_at([11, 4]).numpy()) == [11, 4]
    verified = Verified(NUM_FRAMES, 25.0, 64, 64, plain=True, crc32=crc32_of(indexed[0]))
    with pytest.raises(DecodeError, match=f"and was {verified.crc32} when it was verified"):
        open_video(path, verified=verified, packets=indexed[1])
    with pytest.raises(DecodeError, match="has 20 frames, and its list says 30"):
        open_video(path, num_frames=30, packets=indexed[1])
    # A list of another file than the index
    other = verified._replace(num_frames=20, crc32=crc32_of(path))
    with open_video(path, verified=other, packets=indexed[1]) as reader:
        assert reader.name == "pyav: its row of the packet index is of another file"
        assert numbers_shown(reader.frames_at([11, 4]).numpy()) == [11, 4]
    # Of the same size, replaced while it is open
    path = copied(indexed, tmp_path)
    with open_video(path, packets=indexed[1]) as reader:
        write_video(path, **SMALL | {"num_frames": 12}, options=h264(keyint=7))
        path.write_bytes(path.read_bytes().ljust(indexed[0].stat().st_size, b"\0"))
        with pytest.raises(DecodeError, match="has 12 frames, and 30 by its packet index"):
            reader.frames_at([11, 4])


def test_files_that_are_not_there_or_no_files_are_errors_as_without_the_index(tmp_path, indexed):
    os.mkfifo(tmp_path / "pipe")
    for name, said in {"absent.mp4": "No such file", "pipe": "neither a file nor a folder"}.items():
        with pytest.raises(DecodeError, match=said):
            open_video(tmp_path / name, packets=indexed[1])


def test_decoders_that_are_faster_do_not_use_it_and_those_that_cannot_read_a_file_do(indexed):
    path, packets = indexed
    plain = Verified(NUM_FRAMES, 25.0, 64, 64, plain=True, crc32=crc32_of(path))
    with open_video(path, "decord", verified=plain, packets=packets) as reader:
        assert reader.name == "decord"
    with open_video(path, "decord", verified=plain._replace(plain=False), packets=packets) as reader:
        assert reader.name == f"{INDEXED}: its list says that it is not plain"


@given(
    st.lists(st.tuples(st.integers(0, 2**33), st.integers(0, 2**20), st.integers(0, 2**32 - 1)), min_size=1),
    st.integers(-(2**40), 2**40),
    st.integers(1, 2**14),
    st.binary(max_size=60),
    st.sampled_from([None, Fraction(30000, 1001)]),
    st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=60)
def test_a_row_is_kept_as_it_was(packets, first, unit, extradata, rate, draw):
    start, size, crc32 = np.array(packets, np.int64).T
    n = len(start)
    pts = first + unit * np.array([draw.randrange(-5, 400) for _ in range(n)])
    flags = [np.array([draw.random() < 0.5 for _ in range(n)]) for _ in range(3)]
    columns = PacketColumns(start, size, crc32, pts, np.array([draw.randrange(900)] * n), *flags)
    state = DecoderState("h264", "avc1", extradata, "yuv420p", 340, 256, 2, 24, 1, 9, 16, 9)
    row = PacketRow(2**40, 2**32 - 1, state, True, -90, Fraction(1, 90000), rate, columns)
    kept = row.to_bytes()
    found = PacketRow.from_bytes(kept)
    assert found[:-1] == row[:-1]
    for column, expected in zip(found.packets, columns, strict=True):
        assert np.array_equal(column, expected)
    place = draw.randrange(len(kept))
    damaged = kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :]
    if place:  # the first byte tells rows from reasons
        with pytest.raises(RowUselessError, match="its row of the packet index is damaged"):
            PacketRow.from_bytes(damaged)
    with pytest.raises(RowUselessError, match=r"\Aa reason\Z"):
        PacketRow.from_bytes(row_that_says("a reason"))


@pytest.fixture
def index_file(tmp_path: Path) -> Path:
    rows = {f"b/{number}.mp4": f"row {number}".encode() * number for number in range(50)}
    (tmp_path / "parts").write_bytes(b"before" + b"".join(rows.values()))
    places, start = {}, 6
    for path, row in rows.items():
        places[int(key_of(path))] = RowPlace(tmp_path / "parts", start, len(row))
        start += len(row)
    write_packet_file(tmp_path / PACKET_INDEX, places)
    return tmp_path / PACKET_INDEX


def test_rows_are_found_by_path_in_other_processes_too(index_file):
    for packets in (PacketFile(index_file), pickle.loads(pickle.dumps(PacketFile(index_file)))):
        assert len(packets) == 50
        for number in range(50):
            assert packets.row(f"b/{number}.mp4") == f"row {number}".encode() * number
        assert packets.row("./b//../b/7.mp4") == packets.row("b/7.mp4")
        assert packets.row("7.mp4") is None
    assert len(pickle.dumps(PacketFile(index_file))) < 500


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-3], r"has 8,\d\d\d of 8,\d\d\d bytes"),
        (lambda content: content[:9], "is no packet index"),
        (lambda content: b"", "is no packet index"),
        (lambda content: b"path,label\n" + content, "is no packet index"),
        (lambda content: content[:15] + b"\x09" + content[16:], "version 9, and 1 is read here"),
    ],
)
def test_a_file_that_cannot_be_used_is_warned_of(index_file, caplog, change, said):
    index_file.write_bytes(change(index_file.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert mapped(index_file) is None
    (message,) = caplog.messages
    assert message.startswith(f"{index_file}: ")
    assert message.endswith("run data_prep/verify.py again to write it")
    with pytest.raises(ValueError, match=said):
        PacketFile(index_file)
    index_file.unlink()
    assert mapped(index_file) is None
    assert len(caplog.messages) == 1
