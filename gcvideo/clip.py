"""What flows through gcvideo, and the one legend of its axis letters.

B video in a batch, V view of a video (temporal clip x spatial crop), C channel, T frame of a clip,
H W pixel row and column (or feature-map cell), P = T*H*W position, Q query position, K class,
N frame asked of a reader.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int64, UInt8
from torch import Tensor


class Verified(NamedTuple):
    """What data_prep/verify.py found when it decoded a video from its first frame to its last."""

    num_frames: int
    fps: float
    width: int
    height: int
    plain: bool
    """Whether decord gives the same frames."""
    crc32: int | None = None
    """Checksum of the file; None where its list has none."""


FRAGMENT = re.compile(r"#(?:t|(frames))=([0-9.e+-]+),([0-9.e+-]+)$")


class Segment(NamedTuple):
    """A part of a video that is a sample of its own."""

    start: float
    """In seconds from the start of the first frame by the file's time stamps, or the number of a frame."""
    end: float
    """The first moment, or frame, behind it."""
    in_frames: bool
    """Whether start and end are numbers of frames."""

    def __str__(self) -> str:
        """Return the segment as a media fragment of its video (W3C Media Fragments, 4.2.1).

        t=12.5,20 is in seconds; of frames, which the standard has no word for, it is frames=300,450.
        """
        start, end = (repr(float(bound)).removesuffix(".0") for bound in self[:2])
        return f"{'frames' if self.in_frames else 't'}={start},{end}"

    @staticmethod
    def of_name(video_id: str) -> "tuple[str, Segment | None]":
        """Return path and segment of a video's name in outputs; the segment is None of a whole video."""
        found = FRAGMENT.search(video_id)
        if found is None:
            return video_id, None
        return video_id[: found.start()], Segment(float(found[2]), float(found[3]), found[1] is not None)


class VideoRecord(NamedTuple):
    """One annotated video, or segment of one: one row of an annotation file."""

    path: Path
    """Where the file is: the root joined with the path as written in the annotation."""
    label: int | tuple[int, ...]
    """Class index, 0..K-1; or those, rising, of a video that may have several labels or none."""
    video_id: str
    """The path as written in the annotation, of a segment with `#t=12.5,20` or `#frames=300,450` behind it:
    the name in every output."""
    verified: Verified | None = None
    """Of the whole video, as `num_frames` is."""
    num_frames: int | None = None
    """As its list says; None where that does not."""
    segment: Segment | None = None
    """None of a whole video."""

    @classmethod
    def unlabelled(cls, path: Path, segment: Segment | None = None) -> "VideoRecord":
        """Return a video whose label is of no account, which is called by its path."""
        return cls(path, 0, str(path) if segment is None else f"{path}#{segment}", segment=segment)

    @property
    def written(self) -> str:
        """The path as written in the annotation."""
        return self.video_id if self.segment is None else self.video_id.removesuffix(f"#{self.segment}")


class Unreadable(NamedTuple):
    """A video that was asked for and did not come."""

    record: VideoRecord
    reason: str
    """What was found, without the path."""


class Span(NamedTuple):
    """A stretch of a video, by the file's time stamps, in seconds from the start of its first frame."""

    start_seconds: float
    end_seconds: float


class Clip(NamedTuple):
    """All views of one video that one forward pass needs, decoded once."""

    frames: UInt8[Tensor, "V T H W 3"]
    label: int | tuple[int, ...]
    video_id: str
    read_by: str = ""
    """The decoder, and why not a faster one: decord, or pyav: its codec is hevc."""
    spans: Sequence[Span] = ()
    """Of each temporal clip, where that is asked for."""


class ClipBatch(NamedTuple):
    """A batch of clips. A NamedTuple, since both pin_memory and Lightning's transfer take it apart."""

    frames: UInt8[Tensor, "B V T H W 3"]
    label: Int64[Tensor, " B"] | Float[Tensor, "B K"]
    """Class indices; or 1 for every class that a video shows and 0 else, where it may show several."""
    video_id: list[str]
    unreadable: tuple[Unreadable, ...] = ()
    """Videos of this batch that could not be read: B counts those that could, and may be 0."""
    spans: Sequence[Sequence[Span]] = ()
    """Of each video's temporal clips, where that is asked for."""
    epoch: int = 0
    """Which the draws of training follow from."""
    places: Sequence[int] = ()
    """Of each video in the epoch's order, where that has videos several times; draws follow from it too."""


@runtime_checkable
class ClipBatches(Protocol):
    """The batches of an epoch."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ClipBatch]: ...


class ViewBatch(NamedTuple):
    """A batch as the network reads it: every view normalised, on the device."""

    views: Float[Tensor, "B V 3 T H W"]
    target: Int64[Tensor, " B"] | Float[Tensor, "B K"]
    """Class indices; or class probabilities where mixup or cutmix blended the clips, and 0 or 1 for every
    class where videos may have several labels."""
    video_id: list[str]
    unreadable: tuple[Unreadable, ...] = ()
    """Videos of this batch that could not be read, and are not among the B."""

    @property
    def names(self) -> list[str]:
        """The videos by name."""
        return self.video_id
