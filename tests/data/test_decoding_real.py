"""On real clips, both backends agree to the pixel with one decode from the first frame to the last."""

import os
import random
import re
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.error import FFmpegError

from data_prep.videos.packet_rows import packet_row
from gcvideo.data.decoding import DecodeError, open_video
from gcvideo.data.decoding.checksum import crc32_of
from tests.data.annotated import open_verified

REAL_VIDEOS = Path(
    os.environ.get("GCVIDEO_REALVIDEOS", Path(__file__).parents[2].parent / "shared" / "realvideos")
)
ASSORTED = [
    path
    for path in sorted((REAL_VIDEOS / "assorted").rglob("*"))
    if path.suffix in (".avi", ".mkv", ".mov", ".mp4")
]
FIGHTS = sorted((REAL_VIDEOS / "fights").rglob("*.mp4"))
FEW_FIGHTS = FIGHTS[::30]

pytestmark = [
    pytest.mark.timeout(120, method="thread"),
    pytest.mark.skipif(not ASSORTED, reason="the real clips (GCVIDEO_REALVIDEOS) are not here"),
]


def decoded_in_order(path: Path, wanted: set[int]) -> tuple[list[np.ndarray], int]:
    """The wanted frames of one decode from the start, turned upright, and how many come in all.

    Stops where the decoder fails.
    """
    frames, count = [], 0
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        try:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    frames.append(np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90))
                count = number + 1
        except FFmpegError:
            pass
    return frames, count


def assert_both_backends_agree_with_a_decode_in_order(path: Path) -> None:
    with open_video(path, "pyav") as reader:
        num_frames = len(reader)
    some = random.Random(path.name).sample(range(num_frames), min(num_frames, 4))
    wanted = sorted({*some, num_frames - 1})
    truth, count = decoded_in_order(path, set(wanted))
    for backend in ("decord", "pyav"):
        with open_verified(path, backend) as reader:
            if count < num_frames:
                with pytest.raises(DecodeError, match=path.name):
                    reader.frames_at(wanted)
                continue
            assert len(reader) == num_frames == count
            expected = torch.from_numpy(np.stack(truth))
            torch.testing.assert_close(reader.frames_at(wanted), expected, rtol=0, atol=0)


@pytest.mark.parametrize("path", ASSORTED + FEW_FIGHTS, ids=lambda path: path.name)
def test_both_backends_agree_with_a_decode_in_order(path: Path) -> None:
    assert_both_backends_agree_with_a_decode_in_order(path)


@pytest.mark.parametrize("path", ASSORTED, ids=lambda path: path.name)
def test_a_frame_asked_for_alone_is_as_good_as_one_of_many(path: Path) -> None:
    """The decoder has seen nothing of the file but the packets that the frame needs."""
    with open_video(path, "pyav") as reader:
        last = len(reader) - 1
    truth, count = decoded_in_order(path, {last})
    with open_video(path, "pyav") as reader:
        if count <= last:
            with pytest.raises(DecodeError, match=path.name):
                reader.frames_at([last])
        else:
            expected = torch.from_numpy(np.stack(truth))
            torch.testing.assert_close(reader.frames_at([last]), expected, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("path", FIGHTS, ids=lambda path: path.name)
def test_both_backends_agree_with_a_decode_in_order_on_every_clip(path: Path) -> None:
    assert_both_backends_agree_with_a_decode_in_order(path)


@pytest.mark.slow
@pytest.mark.parametrize("path", [*ASSORTED, *FIGHTS[::10]], ids=lambda path: path.name)
def test_the_packet_index_gives_the_frames_and_the_errors_of_demuxing(path):
    packets = packet_row(path, crc32=crc32_of(path))
    draw = random.Random(path.name)
    try:
        demuxed = open_video(path)
    except DecodeError as error:
        with pytest.raises(DecodeError, match=re.escape(str(error))):
            open_video(path, packets=packets)
        return
    with demuxed, open_video(path, packets=packets) as indexed:
        assert (len(indexed), indexed.fps) == (len(demuxed), demuxed.fps)
        assert torch.equal(indexed.boundaries(), demuxed.boundaries())
        every = range(len(demuxed))
        for picks in ([draw.choice(every)], sorted(draw.choices(every, k=4)), draw.choices(every, k=4)):
            try:
                expected = demuxed.frames_at(picks)
            except DecodeError as error:
                with pytest.raises(DecodeError, match=re.escape(str(error))):
                    indexed.frames_at(picks)
            else:
                assert torch.equal(indexed.frames_at(picks), expected)
