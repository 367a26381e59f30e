"""What a reader has to know of a file's packets, from wherever it is known."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from gcvideo.data.decoding.reader import DecodeError


@dataclass(frozen=True)
class PresentationOrder:
    """The order in which packets are shown, as their time stamps state it."""

    times: list[int]
    """The presentation time stamp of each packet, in decoding order and in units of the stream."""
    shown: list[int]
    """Positions in `times` of frames 0, 1, 2, ..."""

    @property
    def stamps(self) -> list[int]:
        """The presentation time stamps of frames 0, 1, 2, ..."""
        return [self.times[position] for position in self.shown]

    @cached_property
    def reordered(self) -> list[bool]:
        """For each packet, whether one decoded before it is shown after it."""
        latest = accumulate(self.times, max)
        return [time < last for time, last in zip(self.times, latest, strict=True)]


class PacketIndex(ABC):
    """The packets of a file's video stream, compressed, and what is known of them."""

    path: Path
    packets: Sequence[Packet]
    """In decoding order; at least one."""

    @property
    @abstractmethod
    def context(self) -> VideoCodecContext:
        """The decoder, of one thread."""

    @property
    @abstractmethod
    def tick(self) -> Fraction:
        """The unit of time stamps, in seconds."""

    @property
    @abstractmethod
    def stated_rate(self) -> Fraction | None:
        """Frames per second as the stream says of itself."""

    @cached_property
    @abstractmethod
    def key_positions(self) -> list[int]:
        """Positions in `packets` at which the container says that decoding can start."""

    @cached_property
    @abstractmethod
    def presentation(self) -> PresentationOrder | None:
        """None where the time stamps cannot tell which packet is which frame."""

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise that pictures are turned by, of which the decoder does not know."""
        return 0

    @abstractmethod
    def is_unreferenced(self, position: int) -> bool:
        """Return whether it is certain that no other picture refers to that of a packet."""

    @abstractmethod
    def duration(self, position: int) -> int:
        """Return how long the picture of a packet is shown, in ticks; 0 where that is not stated."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file and of the packets."""

    def plan(self, positions: Sequence[int]) -> None:  # noqa: B027 (where packets are at hand, that is all)
        """Take the positions of the packets that are asked for next, in that order."""

    @property
    def codec(self) -> str:
        """FFmpeg's name of the format, such as h264; a decoder can have another (libdav1d)."""
        return self.context.codec.canonical_name

    @cached_property
    def fps(self) -> float:
        """Frames per second by the time stamps, or the stream's own figure for want of them."""
        if self.presentation is not None and len(self.presentation.shown) > 1:
            first, last = (self.presentation.times[self.presentation.shown[end]] for end in (0, -1))
            return float((len(self.presentation.shown) - 1) / ((last - first) * self.tick))
        return self.stated_fps

    @property
    def stated_fps(self) -> float:
        """Frames per second as the stream says of itself."""
        if not self.stated_rate:
            raise DecodeError(f"{self.path}: states no frame rate; write it again as an MP4 file")
        return float(self.stated_rate)

    @property
    def ticks_per_frame(self) -> float:
        """As the stream says of itself."""
        return 1 / (self.stated_fps * float(self.tick))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as coded, in pixels."""
        return self.context.width, self.context.height
