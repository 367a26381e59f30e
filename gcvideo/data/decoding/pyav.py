"""Reads any video that FFmpeg decodes, and checks that each frame is the one asked for."""

import logging
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from jaxtyping import Float64, UInt8
from torch import Tensor

from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.packets import PacketIndex, PresentationOrder
from gcvideo.data.decoding.reader import AscendingReader, DecodeError
from gcvideo.data.decoding.stamps import mended, rise

logger = logging.getLogger(__name__)


class _Run(NamedTuple):
    """Frames that are decoded from one key packet on."""

    positions: range
    """Of the packets from that one to the last of the file."""
    last: int
    """The number of the last frame that is asked for."""
    wanted: set[int]
    """Positions of the packets of the frames that are asked for."""
    is_decoded: Callable[[int], bool]
    """Whether the packet at a position is needed, for itself or for others."""


class _PresentationError(Exception):
    """The decoder gave other frames than the packets' time stamps announce."""


NOT_AS_STATED = (_PresentationError, FFmpegError)
"""What decoding by time stamps raises where they are not to be trusted."""


class PyAVReader(AscendingReader):
    """Decodes from the key frame before each frame asked for, by time stamp, on one thread.

    The time stamps are only a claim. Every frame that the decoder returns between the key frame and
    the last frame asked for must carry the next time stamp of the presentation; where one does not, the
    whole file is decoded in order and counted instead, which is slower and always right.
    """

    def __init__(self, index: PacketIndex, *, name: str = "pyav") -> None:
        self.index = index
        self._presentation = index.presentation
        self._reformatter = VideoReformatter()
        super().__init__(index.path, num_frames=0, fps=index.fps, size=index.size, name=name)
        self._learn_encoder()
        if self._presentation is None:
            self._decoded_stamps = [frame.pts for frame in self._all_frames()]
            self._num_frames = len(self._decoded_stamps)
        else:
            self._num_frames = len(self._presentation.shown)
        if self._num_frames == 0:
            raise DecodeError(f"{self.path}: 0 frames come out of it; drop it from the list")

    def _learn_encoder(self) -> None:
        """Let the decoder see the first packet, which names the encoder.

        x264 before build 151 wrote 4:4:4 otherwise than the standard says, and FFmpeg reads it as it
        was written once it knows the build (h264_cabac.c). From a later key frame alone, it would
        call each frame damaged.
        """
        if self.index.codec == "h264" and "444p" in (self.index.context.pix_fmt or ""):
            with suppress(FFmpegError):  # where that packet is damaged, reading says so
                self.index.context.decode(self.index.packets[0])

    def close(self) -> None:
        self.index.close()

    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        by_clock = self.boundaries_by_clock()
        return by_clock - by_clock[0]

    def boundaries_by_clock(self) -> Float64[Tensor, " boundaries"]:
        """Return the boundaries by the clock of the file, which its sound goes by; ask while it is open.

        Where a file does not say it, frames are evenly spaced, and the log says so. A last frame of no stated
        duration is shown as long as the others, by their median.
        """
        stamps, tick = self._stamps(), self.index.tick
        if stamps is None:
            logger.warning(
                "%s: its time stamps do not say when frames are shown; taken as even, %.5g a second",
                self.path,
                self.index.stated_fps,
            )
            stamps = [number * self.index.ticks_per_frame for number in range(len(self))]
        shown = torch.tensor(stamps, dtype=torch.float64)
        last = self._last_duration or (
            shown.diff().median() if len(shown) > 1 else self.index.ticks_per_frame
        )
        return torch.cat([shown, shown[-1:] + last]) * tick.numerator / tick.denominator

    def _stamps(self) -> list[int] | list[float] | None:
        index = self.index
        if index.presentation is None:
            packets = [packet.pts for packet in index.packets]
            return mended(self._decoded_stamps, packets, ticks_per_frame=index.ticks_per_frame)
        keys = [index.presentation.times[key] for key in index.key_positions]
        return index.presentation.stamps if rise(keys) else None  # a clock that starts anew is none

    @property
    def _last_duration(self) -> int:
        """In ticks; 0 where it is not stated."""
        presentation = self.index.presentation
        return 0 if presentation is None else self.index.duration(presentation.shown[-1])

    def decode(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        num_given = 0
        if self._presentation is not None:
            try:
                for part in self._decode_by_time(ascending, part_size):
                    yield part
                    num_given += len(part)
                return
            except NOT_AS_STATED:
                logger.debug("%s: its time stamps do not hold; it is decoded in order", self.path)
        yield from self._to_rgb(self._frames_by_count(ascending[num_given:]), part_size)
        self._presentation = None

    def _decode_by_time(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        """Yield the frames by their time stamps; or raise one of NOT_AS_STATED."""
        assert self._presentation is not None
        return self._to_rgb(self._frames_by_time(self._presentation, ascending), part_size)

    def _frames_by_time(self, presentation: PresentationOrder, ascending: list[int]) -> Iterator[VideoFrame]:
        keys = self.index.key_positions

        def last_key_before(number: int) -> int:
            """Return the last key packet both decoded and shown no later than frame `number`."""
            position = presentation.shown[number]
            at_hand = reversed(keys[: bisect_right(keys, position)])
            return next(key for key in at_hand if presentation.times[key] <= presentation.times[position])

        runs = [
            self._run(presentation, key, list(numbers))
            for key, numbers in groupby(ascending, key=last_key_before)
        ]
        self.index.plan([position for run in runs for position in self._needed(run)])
        for run in runs:
            yield from self._frames_of(presentation, run)

    def _run(self, presentation: PresentationOrder, key: int, numbers: list[int]) -> "_Run":
        wanted = {presentation.shown[number] for number in numbers}

        @cache
        def is_decoded(position: int) -> bool:
            return position in wanted or not self._is_droppable(presentation, position)

        return _Run(range(key, len(presentation.times)), numbers[-1], wanted, is_decoded)

    def _needed(self, run: "_Run") -> list[int]:
        """Return the positions that are decoded until the last frame of a run has come out."""
        decoded = filter(run.is_decoded, run.positions)
        needed, last = [], max(run.wanted)
        while not needed or needed[-1] < last:
            needed.append(next(decoded))
        return [*needed, *islice(decoded, self.index.context.reorder_depth + 1)]

    def _frames_of(self, presentation: PresentationOrder, run: "_Run") -> Iterator[VideoFrame]:
        """Yield the frames of a run, ascending; or raise PresentationError."""
        times, shown = presentation.times, presentation.shown
        key, end = run.positions[0], shown[run.last]
        first = bisect_left(shown, times[key], key=times.__getitem__)
        expected = filter(run.is_decoded, shown[first : run.last + 1])
        for frame in self._decoded(filter(run.is_decoded, run.positions)):
            position = next(expected)
            if frame.pts != times[position] or (position == key and not frame.key_frame):
                raise _PresentationError
            if frame.is_corrupt:
                raise self._damaged(shown.index(position))
            if position in run.wanted:
                yield frame
            if position == end:
                return
        raise _PresentationError

    def _is_droppable(self, presentation: PresentationOrder, position: int) -> bool:
        """Return whether leaving this packet out changes no other frame.

        Only packets shown before one decoded earlier are looked at: where a container (AVI) states
        decoding times alone, there is none, and frames are not numbered by a guess.
        """
        return presentation.reordered[position] and self.index.is_unreferenced(position)

    def _frames_by_count(self, ascending: list[int]) -> Iterator[VideoFrame]:
        wanted, count, is_damaged = set(ascending), 0, False
        for number, frame in enumerate(self._all_frames()):
            is_damaged = frame.is_corrupt or (is_damaged and not frame.key_frame)
            if number in wanted:
                if is_damaged:
                    raise self._damaged(number)
                yield frame
            count = number + 1
        if count != len(self):
            raise DecodeError(
                f"{self.path}: its packets announce {len(self)} frames and {count} come out; "
                "write it again as H.264 in an MP4 file"
            )

    def _all_frames(self) -> Iterator[VideoFrame]:
        try:
            yield from self._decoded(range(len(self.index.packets)))
        except FFmpegError as error:
            raise DecodeError(
                f"{self.path}: a packet does not decode ({error.strerror}); "
                "fetch it again or drop it from the list"
            ) from error

    def _decoded(self, positions: Iterable[int]) -> Iterator[VideoFrame]:
        """Yield what the decoder, started anew, returns for these packets, in its own order."""
        context = self.index.context
        context.flush_buffers()
        for position in positions:
            yield from context.decode(self.index.packets[position])
        yield from context.decode(None)

    def _to_rgb(self, frames: Iterator[VideoFrame], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        shape, part = None, []
        for frame in frames:
            picture = upright_rgb(frame, self._reformatter, name=str(self.path), rotation=self.index.rotation)
            if shape not in (None, picture.shape):
                raise DecodeError(
                    f"{self.path}: its frame size changes from {shape[:2]} to {picture.shape[:2]}; "
                    "write it again at one size"
                )
            shape = picture.shape
            part.append(picture)
            if len(part) == part_size:
                yield torch.from_numpy(np.stack(part))
                part = []
        if part:
            yield torch.from_numpy(np.stack(part))

    def _damaged(self, number: int) -> DecodeError:
        return DecodeError(f"{self.path}: frame {number} is damaged; fetch the file again")


def upright_rgb(
    frame: VideoFrame, reformatter: VideoReformatter, *, name: str, rotation: int = 0
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a frame as a player turns it, by quarter turns counter-clockwise.

    Args:
        frame: The frame.
        reformatter: What makes RGB of it.
        name: What it is of.
        rotation: Degrees to turn it by, where it does not say so itself.
    """
    degrees = frame.rotation or rotation
    quarter_turns, rest = divmod(degrees, 90)
    if rest:
        raise DecodeError(
            f"{name}: is to be shown turned by {degrees} degrees, and only quarter "
            "turns are read; write it again upright"
        )
    rgb = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, quarter_turns))


def read_boundaries(path: Path) -> Float64[Tensor, " boundaries"]:
    """Return when frames are shown by the file's own time stamps, for readers whose decoder keeps others."""
    with PyAVReader(index_stream(path)) as reader:
        return reader.boundaries()
