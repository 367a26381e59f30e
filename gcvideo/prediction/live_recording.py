"""A recording of a source with its classes on it, written by a thread that holds nobody up."""

import queue
import threading
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter
from PIL import Image

from gcvideo.atomic import replacing
from gcvideo.data.decoding import DecodeError
from gcvideo.data.decoding.pyav import upright_rgb
from gcvideo.prediction.annotated import TICKS_PER_SECOND, captioned_frame, h264_stream
from gcvideo.prediction.live import LiveFrame
from gcvideo.prediction.timeline import Ranked

USUAL_FPS = 30.0
"""What the file states; its frames have times of their own."""
MOST_WAITING = 128
"""Frames: two seconds come at once where a stream begins. Those beyond are left out."""


class LiveRecording(threading.Thread):
    """Writes an H.264 mp4 of what comes, each frame at its time and under the classes of its moment.

    Frames of another size than the first, as after a camera came back, are resized to it. There is no sound.

    Args:
        file: The file, which is there when the recording is closed; none where no frame came.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(name="live recording", daemon=True)
        self.file = file
        self.failure: ValueError | None = None
        self.num_left_out = 0
        self.num_frames = 0
        self._waiting: queue.Queue[tuple[LiveFrame, Sequence[Ranked]] | None] = queue.Queue(MOST_WAITING)
        self._reformatter = VideoReformatter()

    def add(self, frame: LiveFrame, top: Sequence[Ranked]) -> None:
        """Take a frame and its classes, or count it where too many wait; this waits for nothing."""
        try:
            self._waiting.put_nowait((frame, top))
        except queue.Full:
            self.num_left_out += 1

    def close(self) -> None:
        """Write what waits, and give the file its name."""
        while self.is_alive():
            try:
                self._waiting.put(None, timeout=0.1)
                break
            except queue.Full:
                continue  # until it is written, or has failed
        if self.ident is not None:  # it was started
            self.join()

    def run(self) -> None:
        try:
            self._write()
        except (FFmpegError, OSError, DecodeError) as error:
            self.failure = ValueError(f"{self.file}: cannot be written ({error})")

    def _write(self) -> None:
        frames = iter(self._waiting.get, None)
        first = next(frames, None)
        if first is None:
            return
        height, width = self._rgb(first[0]).shape[:2]
        # In fragments, so that what a killed process leaves can be played
        options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        with (
            replacing(self.file) as unfinished,
            av.open(str(unfinished), "w", format="mp4", options=options) as container,
        ):
            stream = h264_stream(container, height=height, width=width, fps=USUAL_FPS)
            stream.codec_context.options = {**stream.codec_context.options, "preset": "veryfast"}
            duration, zero = TICKS_PER_SECOND // round(USUAL_FPS), _ticks(first[0])
            for now, then in pairwise(chain([first], frames, [None])):
                assert now is not None  # None stands last
                frame, top = now
                start = _ticks(frame) - zero
                duration = duration if then is None else _ticks(then[0]) - zero - start
                picture = self._rgb(frame)
                if picture.shape[:2] != (height, width):
                    picture = np.asarray(Image.fromarray(picture).resize((width, height)))
                container.mux(stream.encode(captioned_frame(picture, top, start=start, end=start + duration)))
                self.num_frames += 1
            container.mux(stream.encode())

    def _rgb(self, frame: LiveFrame) -> np.ndarray:
        return upright_rgb(frame.picture, self._reformatter, name=str(self.file))


def _ticks(frame: LiveFrame) -> int:
    return round(frame.seconds * TICKS_PER_SECOND)
