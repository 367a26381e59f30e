"""`gcvideo predict --live`, on streams that come through real sockets from this process.

Their frames carry their numbers, so that what the network is given says which clip it is.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from gcvideo.cli import main
from gcvideo.cli.inputs import load
from gcvideo.data.decoding import DecodeError, open_video
from gcvideo.data.on_device import OnDevice
from gcvideo.prediction import live, live_predictor, live_source
from gcvideo.prediction.live import LiveFrame, NewestFrames
from gcvideo.prediction.live_predictor import LivePredictor
from gcvideo.training import VideoClassifier
from tests.data.encoding import (
    copy_packets,
    h264,
    numbered_picture,
    numbers_shown,
    with_data,
    write_video,
)
from tests.journey.trained import write_checkpoint
from tests.prediction.streams import (
    free_port,
    http_serving,
    in_a_thread,
    send,
    serve_rtsp,
    tcp_serving,
    wait_until_read,
)

Watch = Callable[..., tuple[list[dict], str]]

CLIP = [0, 4, 8, 12]
"""Frames of a clip of the checkpoint, from its start."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_checkpoint(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames at 25 a second."""
    file = tmp_path_factory.mktemp("film") / "film.ts"
    return write_video(file, num_frames=30, height=96, width=96, options=h264(keyint=12, bframes=0))


class Seen:
    """The numbers on the frames of every clip that was classified."""

    def __init__(self) -> None:
        self.clips: list[list[int]] = []
        self.at_clip: Callable[[], object] = lambda: None
        self._changed = threading.Condition()

    def add(self, frames: np.ndarray) -> None:
        with self._changed:
            self.clips.append(numbers_shown(frames))
            self._changed.notify_all()
        self.at_clip()

    def wait_for(self, num_clips: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.clips) >= num_clips, timeout=60)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    seen, classify = Seen(), live_predictor.classify

    def see(
        model: VideoClassifier, on_device: OnDevice, frames: UInt8[Tensor, "B V T H W 3"]
    ) -> Float[Tensor, "B K"]:
        seen.add(frames[0, 0].numpy())
        return classify(model, on_device, frames)

    monkeypatch.setattr(live_predictor, "classify", see)
    return seen


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C interrupt; Lightning ignores it from the first one on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def watch(checkpoint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], interruptible: None) -> Watch:
    """Watch a source to its end, and give the lines of JSON and what stood on standard error."""

    def run(source: str, *arguments: str, code: int = 0) -> tuple[list[dict], str]:
        capsys.readouterr()
        command = ["predict", "--live", source, "--checkpoint", checkpoint, "--every", "0.1", *arguments]
        if code:
            with pytest.raises(SystemExit) as ended:
                main(command)
            assert ended.value.code == code
        else:
            main(command)
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return [json.loads(line) for line in out.splitlines()], err

    return run


def interrupt(number: int = signal.SIGINT) -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, number)


def are_clips(clips: Sequence[Sequence[int]]) -> bool:
    return all(clip == [clip[0] + offset for offset in CLIP] for clip in clips)


def test_a_file_is_played_and_predicted_and_recorded_to_its_last_frame(
    film: Path, checkpoint: str, seen: Seen, watch: Watch, tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "out")]
    lines, said = watch(str(film), "--annotate", *out, "--smoothing_seconds", "0")
    assert len(lines) == len(seen.clips) > 2
    assert are_clips(seen.clips)
    for line, clip in zip(lines, seen.clips, strict=True):
        assert line["frame"] == clip[-1]
        assert line["end_seconds"] == pytest.approx(clip[-1] / 25, abs=1e-3)
        assert line["start_seconds"] == pytest.approx(clip[0] / 25, abs=1e-3)
        assert line["latency_seconds"] > 0
        assert sum(one["probability"] for one in line["smoothed"]) == pytest.approx(1, abs=1e-5)
    assert seen.clips[-1][-1] == 29
    assert "a clip spans 13 frames: 0.52 s at 25 frames a second" in said
    assert "of 30 frames; from a clip's last frame to its classes: median" in said

    # The classes are those of the network on the frames of the file
    model = VideoClassifier.load_from_checkpoint(checkpoint, weights_only=True).eval()
    with open_video(film) as reader:
        frames = reader.frames_at([17 + offset for offset in CLIP]).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(frames, size=(32, 32), mode="bilinear", antialias=True)
    expected = model((small.round().transpose(0, 1)[None, None] / 255 - 0.45) / 0.225)[0]
    assert lines[-1]["top"] == lines[-1]["smoothed"]
    assert lines[-1]["top"][0]["probability"] == pytest.approx(float(expected.max().detach()), abs=0.001)

    # The recording has every frame at its time
    [recording] = (tmp_path / "out" / "annotated").iterdir()
    with open_video(recording) as reader, open_video(film) as source:
        assert len(reader) == 30
        assert reader.boundaries()[:-1].tolist() == pytest.approx(
            [number / 25 for number in range(30)], abs=1e-3
        )
        last, original = (one.frames_at([29])[0, 40:].float() for one in (reader, source))
    assert (last - original).abs().mean() < 4


def test_a_film_shorter_than_a_clip_is_predicted_once_with_its_last_frame_held(
    seen: Seen, watch: Watch, tmp_path: Path
) -> None:
    short = write_video(tmp_path / "a.mp4", num_frames=6, height=96, width=96, options=h264(keyint=12))
    lines, _ = watch(str(short))
    assert seen.clips == [[0, 4, 5, 5]]
    assert len(lines) == 1


def test_the_newest_clip_is_classified_and_what_is_late_is_left_out(checkpoint: str, seen: Seen) -> None:
    model, data = load(Path(checkpoint), device="cpu")
    predict = LivePredictor(model, data, data.test_views, every_seconds=1e-4, smoothing_seconds=0.0)
    newest, number = NewestFrames(data.clip.span), 0

    def come(num_frames: int) -> None:
        nonlocal number
        for _ in range(num_frames):
            picture = av.VideoFrame.from_ndarray(
                numbered_picture(number, height=96, width=96), format="rgb24"
            )
            newest.add(LiveFrame(number, number / 25, 0.0, picture))
            number += 1

    # While one clip is classified, five frames come; the next clip ends with the last of them
    come(20)
    seen.at_clip = lambda: come(5) if number < 60 else newest.end(None)
    predictions = list(predict(newest))
    last = range(19, 60, 5)
    assert seen.clips == [[end - 12 + offset for offset in CLIP] for end in last]
    assert [prediction.frame for prediction in predictions] == list(last)
    assert predict.num_late > 0


def test_a_stream_over_tcp_is_read_while_the_network_is_busy(film: Path, seen: Seen, watch: Watch) -> None:
    seen.at_clip = lambda: threading.Event().wait(0.3)
    with tcp_serving(film, lambda: seen.wait_for(1), seconds_a_packet=0.02) as address:
        lines, said = watch(address, "--reconnect_seconds", "0", "--every", "0.05")
    assert are_clips(seen.clips)
    assert seen.clips[-1][-1] == lines[-1]["frame"] == 29
    assert "predictions left out, since the one before was not done: " in said
    assert "of 30 frames" in said


@pytest.mark.skipif(not Path("/proc/net/udp").exists(), reason="Linux says there who reads a port")
def test_a_stream_over_udp_that_falls_silent_is_lost(
    film: Path, seen: Seen, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_source, "TIMEOUT_SECONDS", 1.0)
    port = free_port()
    address = f"udp://127.0.0.1:{port}"

    def come() -> None:
        wait_until_read(port)
        send(film, address, lambda: None, seconds_a_packet=0.03)

    with in_a_thread(come):
        _, said = watch(address, "--reconnect_seconds", "0", code=1)
    assert are_clips(seen.clips)
    assert f"{address}: was lost (nothing came for 1 s)" in said.splitlines()[-1]


def test_a_camera_that_drops_out_is_opened_again_and_no_clip_spans_the_gap(
    film: Path,
    seen: Seen,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(live, "FIRST_WAIT_SECONDS", 0.05)
    interruptions, forget = [], NewestFrames.interrupt
    monkeypatch.setattr(NewestFrames, "interrupt", lambda self: (interruptions.append(self), forget(self)))
    listening = socket.create_server(("127.0.0.1", 0))
    here = listening.getsockname()

    def serve() -> None:
        serve_rtsp(listening, film.read_bytes(), lambda: seen.wait_for(1))
        seen.clips.append([])
        threading.Event().wait(0.3)  # while connections are refused
        serve_rtsp(socket.create_server(here), film.read_bytes(), lambda: seen.wait_for(3))
        interrupt()

    camera = f"127.0.0.1:{here[1]}/camera"
    with in_a_thread(serve):
        _, said = watch(f"rtsp://me:secret@{camera}", "--annotate", "--out", str(tmp_path), code=130)
    gap = seen.clips.index([])
    before, after = seen.clips[:gap], seen.clips[gap + 1 :]
    assert before
    assert after
    assert are_clips(before + after)
    assert interruptions
    assert f"rtsp://me:***@{camera}: ended; it is opened again" in said
    assert "secret" not in said
    assert said.splitlines()[-1] == "gcvideo predict: interrupted"
    [recording] = (tmp_path / "annotated").iterdir()
    with open_video(recording) as reader:
        assert 30 + 13 <= len(reader) <= 60  # the last of them were cut off by Ctrl-C
        apart = reader.boundaries().diff()[:-1]
    assert apart.min() > 0
    assert ((apart - 1 / 25).abs() > 0.001).sum() <= 1  # the gap, where our clock takes over


def test_a_stream_over_http_ends_and_a_playlist_opens_no_file_of_this_machine(
    film: Path, seen: Seen, watch: Watch, tmp_path: Path
) -> None:
    playlist = "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\n{}\n#EXT-X-ENDLIST\n"
    (tmp_path / "film.ts").write_bytes(film.read_bytes())
    (tmp_path / "near.m3u8").write_text(playlist.format("film.ts"))
    (tmp_path / "local.m3u8").write_text(playlist.format(f"file://{film}"))
    with http_serving(tmp_path) as address:
        for name in ("film.ts", "near.m3u8"):
            lines, _ = watch(f"{address}/{name}", "--reconnect_seconds", "0")
            assert are_clips(seen.clips)
            assert lines[-1]["frame"] == 29
        seen.clips.clear()
        watch(f"{address}/local.m3u8", "--reconnect_seconds", "0", code=1)
    _, said = watch(str(tmp_path / "near.m3u8"), code=1)
    assert "is no video file that FFmpeg can open" in said
    assert not seen.clips


def test_standard_input_is_read_to_its_end(
    film: Path,
    seen: Seen,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, write = os.pipe()
    monkeypatch.setattr(live_source, "STANDARD_INPUT", read)

    def feed() -> None:
        with open(write, "wb") as end:  # noqa: PTH123 (a descriptor)
            end.write(film.read_bytes())

    with in_a_thread(feed):
        lines, said = watch("-")
    os.close(read)
    assert lines[-1]["frame"] == 29
    assert are_clips(seen.clips)
    assert "of 30 frames" in said


def test_sigterm_ends_it_with_a_whole_recording(film: Path, seen: Seen, watch: Watch, tmp_path: Path) -> None:
    seen.at_clip = lambda: interrupt(signal.SIGTERM) if len(seen.clips) == 2 else None
    _, said = watch(str(film), "--annotate", "--out", str(tmp_path / "out"), code=143)
    [recording] = (tmp_path / "out" / "annotated").iterdir()
    with open_video(recording) as reader:
        assert 13 <= len(reader) < 30
        assert f"wrote {len(reader)} frames to {recording}" in said


def test_damaged_pictures_are_left_out_and_counted(seen: Seen, watch: Watch, tmp_path: Path) -> None:
    whole = write_video(
        tmp_path / "whole.mkv", num_frames=16, height=96, width=96, codec="mjpeg", pixel_format="yuvj420p"
    )
    damaged = copy_packets(
        whole,
        tmp_path / "a.mkv",
        lambda number, packet: with_data(packet, bytes(99)) if number == 5 else packet,
    )
    _, said = watch(str(damaged), "--every", "9")
    assert seen.clips == [[0, 4, 9, 13], [2, 7, 11, 15]]
    assert "damaged pictures, left out: 1" in said


def test_a_terminal_shows_bars_and_another_program_gets_lines(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    film = write_video(tmp_path / "a.mp4", num_frames=14, height=96, width=96, options=h264(keyint=12))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    lines, said = watch(str(film))
    assert lines
    assert "latency" in said
    assert "━" in said
    assert f"{lines[-1]['smoothed'][0]['probability']:.1%}" in said
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert watch(str(film))[0] == []


FAKE_CV2 = """
import pathlib, sys
import numpy as np
WINDOW_NORMAL = WND_PROP_VISIBLE = 0
class error(Exception): pass
pictures = []
def namedWindow(title, kind):
    if {is_headless}: raise error("The function is not implemented. Rebuild the library")
def imshow(title, picture): pictures.append(picture)
def waitKey(milliseconds): return ord("q") if len(pictures) == 5 else -1
def getWindowProperty(title, which): return 1
def destroyAllWindows(): np.save({file!r}, np.stack(pictures))
"""


def test_a_window_shows_the_newest_pictures_until_it_is_closed(
    film: Path,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    _, said = watch(str(film), "--window", code=1)
    assert "window needs OpenCV, which is not installed; `pip install opencv-python`" in said
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    (tmp_path / "cv2.py").write_text(FAKE_CV2.format(is_headless=False, file=str(tmp_path / "shown.npy")))
    _, said = watch(str(film), "--window")
    shown = np.load(tmp_path / "shown.npy")
    assert len(shown) == 5
    assert shown.shape[1:] == (96, 96, 3)
    (tmp_path / "cv2.py").write_text(FAKE_CV2.format(is_headless=True, file=""))
    _, said = watch(str(film), "--window", code=1)
    assert "window: OpenCV shows none (The function is not implemented. Rebuild the library)" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a.mp4", "--live", "0"], "a.mp4 is given with live, which watches 0 alone"),
        (["--live", "0", "--timeline"], "timeline is given with live, where it has no meaning"),
        (["--live", "0", "--num_clips=3"], "num_clips is given with live, where it has no meaning"),
        (["--live", "0", "--num_workers", "1"], "num_workers is given with live, where it has no meaning"),
        (["--live", "0", "--out", "there"], "out is given with live, which writes a recording alone"),
        (["--live", "0", "--every", "0"], "every is 0.0; expected more than 0 seconds"),
        (["--live", "0", "--smoothing_seconds", "-1"], "smoothing_seconds is -1.0; expected 0 or more"),
        (["a.mp4", "--every", "2"], "every is given without live"),
        (["a.mp4", "--source_options.framerate", "30"], "source_options is given without live"),
        (
            ["--live", "ftp://me:secret@there/a"],
            "live is ftp://me:***@there/a; of addresses expected one of rtsp://",
        ),
        (
            ["--live", "file:///etc/passwd"],
            "live is file:///etc/passwd; of addresses expected one of rtsp://",
        ),
        (["--live", "a.mp4", "--source_options.framerate", "30"], "source_options are given for a file"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_by_name(
    arguments: list[str], said: str, refused: Callable[..., str]
) -> None:
    assert said in refused(["predict", *arguments, "--checkpoint", "a.ckpt"])


def test_without_videos_and_a_source_there_is_nothing_to_predict(refused: Callable[..., str]) -> None:
    line = refused(["predict", "--checkpoint", "a.ckpt"], code=2)
    assert line == "gcvideo predict: videos must be given, or --live SOURCE; see `gcvideo predict --help`"


def test_what_cannot_be_watched_is_named_in_a_line(watch: Watch, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.ts"), "w") as container:
        stream = container.add_stream("mp2", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo")
        silence.sample_rate = 48000
        for packet in [*stream.encode(silence), *stream.encode(None)]:
            container.mux(packet)
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    port = free_port()
    for source, found in {
        "/dev/video99": "/dev/video99: cannot be opened (No such file or directory)",
        "99": "/dev/video99: cannot be opened (No such file or directory)",
        f"tcp://127.0.0.1:{port}": f"tcp://127.0.0.1:{port}: cannot be opened (Connection refused)",
        f"rtsp://a:b@127.0.0.1:{port}/": f"rtsp://a:***@127.0.0.1:{port}/: cannot be opened (Connection",
        str(tmp_path / "sound.ts"): "sound.ts: has no video stream",
        str(tmp_path / "text.mp4"): "text.mp4: is no video file that FFmpeg can open",
        str(tmp_path / "gone.mp4"): "gone.mp4: No such file or directory",
    }.items():
        opened = live_source.live_source(source, {})
        with pytest.raises(DecodeError) as refusal, opened.open() as container:
            live_source.video_stream(container, opened.name)
        assert found in str(refusal.value)
    lines, said = watch("99", code=1)
    assert said.splitlines()[-1].startswith("gcvideo predict: /dev/video99: cannot be opened")
    assert not lines
