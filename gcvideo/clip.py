"""What flows through gcvideo, and the one legend of its axis letters.

B video in a batch, V view of a video (temporal clip x spatial crop), C channel, T frame of a clip,
H W pixel row and column (or feature-map cell), P = T*H*W position, Q query position, K class,
N frame asked of a reader.
"""

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


class VideoRecord(NamedTuple):
    """One annotated video: one row of an annotation file."""

    path: Path
    """Where the file is: the root joined with the path as written in the annotation."""
    label: int
    """Class index, 0..K-1."""
    video_id: str
    """The path as written in the annotation: the video's name in every output."""
    verified: Verified | None = None
    num_frames: int | None = None
    """As its list says; None where that does not."""


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
    label: int
    video_id: str
    read_by: str = ""
    """The decoder, and why not a faster one: decord, or pyav: its codec is hevc."""
    spans: Sequence[Span] = ()
    """Of each temporal clip, where that is asked for."""


class ClipBatch(NamedTuple):
    """A batch of clips. A NamedTuple, since both pin_memory and Lightning's transfer take it apart."""

    frames: UInt8[Tensor, "B V T H W 3"]
    label: Int64[Tensor, " B"]
    video_id: list[str]
    unreadable: tuple[Unreadable, ...] = ()
    """Videos of this batch that could not be read: B counts those that could, and may be 0."""
    spans: Sequence[Sequence[Span]] = ()
    """Of each video's temporal clips, where that is asked for."""


@runtime_checkable
class ClipBatches(Protocol):
    """The batches of an epoch."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[ClipBatch]: ...


class ViewBatch(NamedTuple):
    """A batch as the network reads it: every view normalised, on the device."""

    views: Float[Tensor, "B V 3 T H W"]
    target: Int64[Tensor, " B"] | Float[Tensor, "B K"]
    """Class indices, or class probabilities where mixup or cutmix blended the clips."""
    video_id: list[str]
    unreadable: tuple[Unreadable, ...] = ()
    """Videos of this batch that could not be read, and are not among the B."""
