"""When frames are shown: as the test wrote it, from every kind of file, and what stands in for it."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

import av
import pytest
from av.error import FFmpegError

from gcvideo.data.decoding import Backend, open_video
from gcvideo.data.decoding.stamps import mended
from tests.data.annotated import open_verified
from tests.data.corpus import coded, pack_b_frames
from tests.data.encoding import cut_by_stream_copy, h264, write_video
from tests.data.test_decoding import CASES
from tests.data.test_decoding_real import ASSORTED

PHONE = [round(1000 / 30 * i) for i in range(30)] + [1000 + round(1000 / 24 * i) for i in range(24)]
UNEVEN = [40 * i + 7 * (i % 5) for i in range(40)]
GAPS = [40 * i + 3000 * (i // 10) for i in range(40)]
FINEST_TICK = 1 / 90_000


def shown_at(path: Path, backend: Backend = "pyav") -> list[float]:
    """When each frame begins to be shown, in seconds."""
    with open_verified(path, backend) as reader:
        boundaries = reader.boundaries()
        assert len(boundaries) == len(reader) + 1
        return boundaries[:-1].tolist()


@pytest.mark.parametrize("backend", ["decord", "pyav"])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts", "webm"])
@pytest.mark.parametrize("times_ms", [PHONE, UNEVEN, GAPS], ids=["phone", "uneven", "gaps"])
@pytest.mark.parametrize("first_ms", [0, 5000])
def test_frames_are_shown_when_the_file_says(
    times_ms: list[int], first_ms: int, suffix: str, backend: Backend, tmp_path: Path
) -> None:
    path = tmp_path / f"a.{suffix}"
    codec = "vp9" if suffix == "webm" else "h264"
    stamps = [first_ms + time for time in times_ms]
    coded(codec, num_frames=len(stamps), times_ms=stamps)(path)
    assert shown_at(path, backend) == pytest.approx([time / 1000 for time in times_ms], abs=FINEST_TICK)


@pytest.mark.parametrize("first_frame", [15, 21, 30])
def test_what_an_edit_list_hides_takes_no_time(first_frame: int, tmp_path: Path) -> None:
    source = write_video(tmp_path / "source.mp4", num_frames=54, times_ms=PHONE, options=h264(keyint=12))
    path = cut_by_stream_copy(source, tmp_path / "a.mp4", first_frame=first_frame)
    shown = [(time - PHONE[first_frame]) / 1000 for time in PHONE[first_frame:]]
    assert shown_at(path) == pytest.approx(shown, abs=FINEST_TICK)


@pytest.mark.parametrize(
    ("name", "shown_frames"),
    [
        ("mpeg4_b_frames.avi", range(60)),
        ("h264.avi", range(60)),
        ("not_coded_picture.avi", [frame for frame in range(60) if frame != 20]),
        ("hidden_frame.webm", [frame for frame in range(60) if frame != 10]),
        ("starts_between_key_frames.mkv", range(30)),
        ("decoding_times_only.mkv", range(60)),
    ],
)
def test_frames_that_are_missing_leave_their_time_to_the_one_before(
    name: str, shown_frames: Sequence[int], tmp_path: Path
) -> None:
    path = CASES[name].write(tmp_path / name)
    assert shown_at(path) == pytest.approx([frame / 25 for frame in shown_frames], abs=FINEST_TICK)


def test_packets_that_are_stamped_in_decoding_order_are_shown_one_after_the_other(tmp_path: Path) -> None:
    pack_b_frames(tmp_path / "a.avi")
    assert shown_at(tmp_path / "a.avi") == pytest.approx([frame / 25 for frame in range(40)])


def joined(path: Path, *, later_ms: int = 0) -> None:
    """Two recordings in one file, whose clock starts anew with the second."""
    parts = [path.with_name(name) for name in ("one.ts", "two.ts")]
    for part, num_frames, first in zip(parts, (20, 50), (0, later_ms), strict=True):
        times = [first + 40 * i for i in range(num_frames)]
        write_video(part, num_frames=num_frames, times_ms=times, options=h264(keyint=10, bframes=0))
    path.write_bytes(b"".join(part.read_bytes() for part in parts))


def without_stamps(path: Path) -> None:
    CASES["equal_times.mp4"].write(path)


@pytest.mark.parametrize(
    ("write", "name"), [(joined, "a.ts"), (partial(joined, later_ms=13), "a.ts"), (without_stamps, "a.mp4")]
)
def test_where_the_clock_is_no_clock_frames_are_even_and_the_log_says_so(
    write: Callable[[Path], None], name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    write(tmp_path / name)
    with open_video(tmp_path / name) as reader:
        fps = 25 if name == "a.ts" else reader.fps
        assert reader.boundaries().tolist() == pytest.approx([i / fps for i in range(len(reader) + 1)])
    [said] = caplog.messages
    assert said.startswith(f"{tmp_path / name}: its time stamps do not say when frames are shown")


@pytest.mark.parametrize(
    ("shown", "packets", "expected"),
    [
        ([0, 2, 5], [], [0, 2, 5]),
        ([0, None, 4, 6], [], [0, 2, 4, 6]),
        ([None, 2, 2, 2, 8, None], [], [0, 2, 4, 6, 8, 10]),
        ([1, 3, 2, 5, 4], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5]),
        ([None, None], [3, 7], [3, 7]),
        ([4], [4], [4]),
        ([0, 1, 2, 0, 1], [0, 1, 2, 0, 1], None),
        ([2, 1, 3], [1, None, 3], None),
        ([2, 1, 3], [1, 2], None),
        ([0, 0, 0], [0, 0, 0], None),
        ([None], [None], None),
    ],
)
def test_gaps_between_stamps_are_filled_evenly_and_falling_ones_are_none(
    shown: list[int | None], packets: list[int | None], expected: list[float] | None
) -> None:
    assert mended(shown, packets, ticks_per_frame=2.0) == expected


def with_last_duration(path: Path, seconds: float) -> Path:
    """20 frames at 25 a second, of which the last stays for a while."""
    with av.open(str(path), "w") as container:
        source = write_video(path.with_stem("source"), num_frames=20, options=h264(bframes=0))
        with av.open(str(source)) as reader:
            stream = container.add_stream_from_template(reader.streams.video[0])
            packets = [packet for packet in reader.demux(video=0) if packet.size]
            for packet in packets:
                packet.stream = stream
                if packet is packets[-1]:
                    packet.duration = round(seconds / packet.time_base)
                container.mux(packet)
    return path


@pytest.mark.parametrize("seconds", [0.04, 2.5])
def test_the_last_frame_is_shown_as_long_as_the_file_says(seconds: float, tmp_path: Path) -> None:
    with open_video(with_last_duration(tmp_path / "a.mp4", seconds)) as reader:
        assert reader.boundaries()[-2:].diff().item() == pytest.approx(seconds, abs=FINEST_TICK)


@pytest.mark.parametrize("name", ["a.ts", "a.wmv"])
def test_a_last_frame_of_no_stated_duration_is_shown_as_long_as_the_others(name: str, tmp_path: Path) -> None:
    times = [*accumulate([0] + [40] * 20 + [900])]
    coded("wmv2" if name == "a.wmv" else "h264", num_frames=len(times), times_ms=times)(tmp_path / name)
    with open_video(tmp_path / name) as reader:
        assert reader.boundaries()[-2:].tolist() == pytest.approx([1.7, 1.74], abs=FINEST_TICK)


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv", "mpeg4.avi", "vp9.webm"])
def test_one_frame_is_shown_for_the_time_of_a_frame(name: str, tmp_path: Path) -> None:
    coded(Path(name).stem, num_frames=1)(tmp_path / name)
    with open_video(tmp_path / name) as reader:
        assert reader.boundaries().tolist() == pytest.approx([0, 0.04])


@pytest.mark.skipif(not ASSORTED, reason="the real clips (GCVIDEO_REALVIDEOS) are not here")
@pytest.mark.parametrize("path", ASSORTED, ids=lambda path: path.name)
def test_real_clips_are_shown_when_their_decoded_frames_say(path: Path) -> None:
    with av.open(str(path)) as container:
        frames = []
        try:
            for frame in container.decode(video=0):
                frames.append(frame.pts * frame.time_base)
        except FFmpegError:
            pytest.skip("damaged")
    with open_video(path) as reader:
        shown = reader.boundaries()[:-1].tolist()
    expected = [float(time - min(frames)) for time in sorted(frames)]  # an AVI's own are in decoding order
    assert shown == pytest.approx(expected, abs=FINEST_TICK)
