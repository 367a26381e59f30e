"""What a worker needs beside its own size does not follow a video's."""

import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from gcvideo.data.decoding import Backend, DecodeError, open_video
from gcvideo.data.decoding import index as index_module
from tests.data.encoding import h264, write_video

MOST_MEGABYTES = 500
BACKENDS: tuple[Backend, ...] = ("decord", "pyav")

READ_AND_MEASURE = """
    import sys, threading, time
    from pathlib import Path
    import torch
    from gcvideo.clip import VideoRecord
    from tests.data.annotated import verified
    from gcvideo.data.dataset import VideoDataset
    from gcvideo.data.sampling import ClipFrames, RandomClip, UniformClips
    from gcvideo.data.transforms import ScaleJitter, UniformCrops

    small, large, backend = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(1)
    clip = ClipFrames(num_frames=8, stride=8)
    crops = UniformCrops(short_side=256, crop_size=256, num_crops=3)
    samplers = [(RandomClip(clip), ScaleJitter().transform), (UniformClips(clip, num_clips=10), crops)]

    def megabytes():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    def read(path):
        for clips, crops in samplers:
            record = VideoRecord(path, 0, "", verified(path))
            dataset = VideoDataset([record], clips=clips, crops=crops, backend=backend)
            for epoch in range(3):
                dataset[epoch, 0]

    read(small)
    baseline, most = megabytes(), 0
    done = threading.Event()

    def watch():
        global most
        while not done.wait(0.002):
            most = max(most, megabytes())

    watching = threading.Thread(target=watch)
    watching.start()
    read(large)
    done.set()
    watching.join()
    print(most - baseline)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("backend", BACKENDS)
def test_thirty_views_of_1080p_take_less_than_half_a_gigabyte(tmp_path, backend):
    """All 80 frames at once would be 498 MB before they are cropped."""
    small = write_video(tmp_path / "small.mp4", num_frames=90, options=h264())
    large = write_video(
        tmp_path / "large.mp4", num_frames=300, height=1080, width=1920, options=h264(keyint=250)
    )
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(READ_AND_MEASURE), small, large, backend],
        capture_output=True,
        text=True,
        check=True,
    )
    assert 30 < float(done.stdout) < MOST_MEGABYTES


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_picture_that_would_take_all_memory_is_refused_from_its_header(tmp_path, backend):
    small = struct.pack(">II", 64, 64)
    path = write_video(
        tmp_path / "png.mov", num_frames=2, codec="png", pixel_format="rgb24", height=64, width=64
    )
    written = path.read_bytes()
    assert written.count(b"IHDR" + small) == 2
    path.write_bytes(written.replace(b"IHDR" + small, b"IHDR" + struct.pack(">II", 16000, 12000)))
    with pytest.raises(
        DecodeError, match=r"png\.mov: its pictures are of no or too large a size; up to 8192"
    ):
        open_video(path, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_largest_picture_is_read_and_a_larger_one_is_not(tmp_path, backend, monkeypatch):
    path = write_video(tmp_path / "a.mp4", num_frames=2, options=h264())
    monkeypatch.setattr(index_module, "MAX_PIXELS", 128 * 96)
    open_video(path, backend).close()
    monkeypatch.setattr(index_module, "MAX_PIXELS", 128 * 96 - 1)
    with pytest.raises(DecodeError, match=r"a\.mp4: its pictures are 128 x 96 pixels; up to 8192 x 4320"):
        open_video(path, backend)
