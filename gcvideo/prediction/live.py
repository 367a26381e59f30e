"""The newest frames of a source that goes on, held by a thread that waits for nobody but the source."""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from gcvideo.data.decoding import DecodeError
from gcvideo.data.sampling import ClipFrames
from gcvideo.prediction.live_source import TIMEOUT_SECONDS, LiveSource, reason, video_stream

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 0.5
"""Before a source that was lost is opened again; twice as long after every failure."""
LONGEST_WAIT_SECONDS = 30.0
NEXT_TICK_SECONDS = 0.001
CLOCK_ERROR = 0.0005
"""Of time stamps in milliseconds."""
MOST_TIMES = 8
"""Frames that are held at most, in times those of a clip at its target_fps: 240 a second at 30."""
STOP_SECONDS = 2.0
"""How long a reader that is told to stop may wait for its source; then it is left to the process's end."""


class LiveFrame(NamedTuple):
    """A frame as it came."""

    number: int
    """0, 1, 2, ... of all that came."""
    seconds: float
    """Since the first one, by the source's clock; over a gap, by ours."""
    decoded_at: float
    """By time.monotonic()."""
    picture: VideoFrame


class Held(NamedTuple):
    """What is there at a moment."""

    frames: list[LiveFrame]
    """Of one size, without a gap, the newest last."""
    num_gaps: int
    """Before the first of them."""
    is_whole: bool
    """Whether they make a clip, of whose end none is held."""


class NewestFrames:
    """The last frames of a source, as many as one clip needs, which the reader adds and others look at.

    Frames stay as they were decoded until a clip is made of them: 57 in 1080p are 180 MB, at most.
    """

    def __init__(self, num_frames: int) -> None:
        self.num_frames = num_frames
        self.failure: DecodeError | None = None
        """Why the source has ended, where it should not have."""
        self._frames: deque[LiveFrame] = deque(maxlen=num_frames)
        self._num_gaps = 0
        self._has_ended = False
        self._changed = threading.Condition()

    def add(self, frame: LiveFrame) -> None:
        """Add the newest frame, and forget the oldest."""
        with self._changed:
            if self._frames and _shape(self._frames[-1]) != _shape(frame):
                self._forget()
            self._frames.append(frame)
            self._trim()
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Forget all frames: those that follow do not go on from them."""
        with self._changed:
            self._forget()

    def end(self, failure: DecodeError | None) -> None:
        """Say that no more will come."""
        with self._changed:
            self.failure, self._has_ended = failure, True
            self._changed.notify_all()

    def wait_for_end(self, *, seconds: float) -> None:
        """Wait some seconds, or until the source has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended, timeout=seconds)

    def clip(self, *, newer_than: int) -> Held:
        """Return the frames of the newest clip as soon as its last is newer, or those that the end left."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._has_ended or (self._is_whole() and self._frames[-1].number > newer_than)
            )
            return Held(list(self._frames), self._num_gaps, self._is_whole())

    def _is_whole(self) -> bool:
        return len(self._frames) == self.num_frames

    def _trim(self) -> None:
        """Forget frames that no clip needs any more."""

    def _forget(self) -> None:
        self._num_gaps += bool(self._frames)
        self._frames.clear()


class NewestSeconds(NewestFrames):
    """The last frames of a source that cover the time of a clip, however many they are.

    Args:
        seconds: From the first frame of a clip to its last.
        most_frames: Of which a clip is made even if they cover less.
    """

    def __init__(self, seconds: float, *, most_frames: int) -> None:
        super().__init__(most_frames)
        self.seconds = seconds

    def _is_whole(self) -> bool:
        frames = self._frames
        if len(frames) == self.num_frames:
            return True
        return bool(frames) and frames[-1].seconds - frames[0].seconds >= self.seconds - CLOCK_ERROR

    def _trim(self) -> None:
        frames = self._frames
        while len(frames) > 1 and frames[-1].seconds - frames[1].seconds >= self.seconds - CLOCK_ERROR:
            frames.popleft()


def newest_for(clip: ClipFrames) -> NewestFrames:
    """Return what holds as many frames of a source as a clip needs, by number or by time."""
    if clip.target_fps is None:
        return NewestFrames(clip.span)
    return NewestSeconds((clip.span - 1) / clip.target_fps, most_frames=MOST_TIMES * clip.span)


def _shape(frame: LiveFrame) -> tuple[int, int, int]:
    return frame.picture.width, frame.picture.height, frame.picture.rotation


class LiveReader(threading.Thread):
    """Reads a source to its end, and opens it again where it is lost.

    Args:
        source: What to watch.
        newest: Where its frames go.
        reconnect_seconds: How long a lost source is tried again; 0 ends with it, None goes on for ever.
        watch: Called for every frame, and must not wait.
    """

    def __init__(
        self,
        source: LiveSource,
        newest: NewestFrames,
        *,
        reconnect_seconds: float | None = None,
        watch: Callable[[LiveFrame], None] = lambda frame: None,
    ) -> None:
        super().__init__(name="live reader", daemon=True)
        self.source = source
        self.newest = newest
        self.reconnect_seconds = reconnect_seconds
        self.watch = watch
        self.num_frames = 0
        self.num_damaged = 0
        """Pictures that were left out."""
        self._clock = _Clock()
        self._stopped = threading.Event()

    def run(self) -> None:
        failure: DecodeError | None = DecodeError(f"{self.source.name}: its reader ended unexpectedly")
        try:
            self._follow()
            failure = None
        except DecodeError as error:
            failure = error
        finally:
            self.newest.end(failure)

    def stop(self) -> None:
        """End reading, at the next packet at the latest."""
        self._stopped.set()
        self.source.stop()
        if self.ident is not None:  # it was started
            self.join(STOP_SECONDS)

    def _follow(self) -> None:
        """Read connection after connection; raise DecodeError if none is to follow one that was lost."""
        wait, lost_at, name = FIRST_WAIT_SECONDS, 0.0, self.source.name
        while True:
            # One connection, to its end
            before, is_error = self.num_frames, False
            try:
                self._read()
                why = f"{name}: ended"
            except DecodeError as error:
                why, is_error = str(error), True
            if self._stopped.is_set() or (self.source.ends and not is_error):
                return
            if self.source.ends or not self.num_frames:
                raise DecodeError(why if is_error else f"{name}: ended before its first picture")

            # The next one, after a while
            if self.num_frames > before:
                wait, lost_at = FIRST_WAIT_SECONDS, time.monotonic()
            rest = self._seconds_left(lost_at)
            if rest <= 0 and (is_error or self.reconnect_seconds):
                limit = (
                    f"; it did not come back in {self.reconnect_seconds:g} s"
                    if self.reconnect_seconds
                    else ""
                )
                raise DecodeError(f"{why}{limit}")
            if rest <= 0:
                return
            if self.num_frames > before:
                self.newest.interrupt()
                log.warning("%s; it is opened again", why)
            if self._stopped.wait(min(wait, rest)):
                return
            wait = min(2 * wait, LONGEST_WAIT_SECONDS)

    def _seconds_left(self, lost_at: float) -> float:
        """Return how long a source that was lost may still be tried."""
        if self.reconnect_seconds is None:
            return math.inf
        return lost_at + self.reconnect_seconds - time.monotonic()

    def _read(self) -> None:
        """Read one connection to its end; raise DecodeError if it has another end."""
        with closing(self.source.open()) as container:
            stream = video_stream(container, self.source.name)
            self._clock.start_anew()
            try:
                for picture in self._pictures(container, stream):
                    self._add(picture)
            except FFmpegError as error:
                raise DecodeError(f"{self.source.name}: was lost ({reason(error)})") from error

    def _add(self, picture: VideoFrame) -> None:
        seconds = self._clock.seconds_of(picture)
        if self.source.is_played:
            self._stopped.wait(max(self._clock.began + seconds - time.monotonic(), 0.0))
        frame = LiveFrame(self.num_frames, seconds, time.monotonic(), picture)
        self.num_frames += 1
        self.newest.add(frame)
        self.watch(frame)

    def _pictures(self, container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
        """Yield what decodes without damage."""
        came_at, has_begun = time.monotonic(), False
        for packet in _packets(container, stream):
            try:
                pictures = packet.decode()
            except FFmpegError:
                pictures = []
                self.num_damaged += has_begun  # before its first key picture, a stream cannot be decoded
            for picture in pictures:
                if self._stopped.is_set():
                    return
                if not isinstance(picture, VideoFrame):
                    continue
                if picture.is_corrupt:
                    self.num_damaged += has_begun
                    continue
                yield picture
                came_at, has_begun = time.monotonic(), True
            if time.monotonic() - came_at > TIMEOUT_SECONDS:
                raise DecodeError(f"{self.source.name}: no picture came for {TIMEOUT_SECONDS:g} s")


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """Yield the packets of a stream; a camera of macOS says that it has none yet."""
    while True:
        try:
            yield from container.demux(stream)
            return
        except BlockingIOError:
            time.sleep(NEXT_TICK_SECONDS)


class _Clock:
    """Seconds since the first frame: by time stamps within a connection, by our clock between two.

    Each frame is later than the one before, whatever the stamps say.
    """

    def __init__(self) -> None:
        self.began = 0.0
        """When the first frame came, by time.monotonic()."""
        self._latest: float | None = None
        self._offset: float | None = None

    def start_anew(self) -> None:
        """Begin a connection, whose time stamps have nothing to do with those before."""
        self._offset = None

    def seconds_of(self, picture: VideoFrame) -> float:
        now = time.monotonic()
        if self._latest is None:
            self.began, self._latest = now, -NEXT_TICK_SECONDS
        earliest = max(now - self.began, self._latest + NEXT_TICK_SECONDS)
        stated = picture.time
        if stated is None:
            self._latest = earliest
        else:
            if self._offset is None or stated + self._offset <= self._latest:
                self._offset = earliest - stated
            self._latest = stated + self._offset
        return self._latest
