"""What every reader of a video file promises, and what is checked before one is opened."""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

Closed = TypeVar("Closed", bound="ClosedOnExit")
PART_BYTES = 16 * 2**20
"""Decoded frames held at a time; the 80 frames of ten clips in 1080p take 500 MB."""


class DecodeError(ValueError):
    """A file cannot give the frames asked of it: what was asked, what was found, what would do."""


@runtime_checkable
class VideoReader(Protocol):
    """An open video. Frames are numbered 0..len-1 in the order in which they are shown.

    Open a reader in the process that uses it, and close it before the next video: decoders do not
    survive a fork, and some decode ahead for as long as they are open.
    """

    fps: float
    """Frames per second, averaged over the video."""

    @property
    def name(self) -> str:
        """The decoder, and why not a faster one."""
        ...

    def __len__(self) -> int: ...

    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        """Return times in seconds from the first frame's start: frame i is shown from [i] to [i + 1]."""
        ...

    def frames_at(self, indices: Sequence[int]) -> UInt8[Tensor, "N H W 3"]:
        """Return the RGB frames `indices`, in that order; any order and any repeats.

        Raises IndexError for an index outside 0..len-1, and DecodeError where a frame is damaged.
        """
        ...

    def parts_at(self, ascending: Sequence[int]) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        """Yield the frames of strictly ascending indices in one pass, at most PART_BYTES at a time."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> "VideoReader": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ClosedOnExit(ABC):
    """What is closed at the end of a `with`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file and the decoder."""

    def __enter__(self: Closed) -> Closed:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AscendingReader(ClosedOnExit):
    """A VideoReader whose decoder is only ever asked for strictly ascending indices.

    Decoders run forwards: ascending frames are one pass over the file, while every step back
    decodes again from the key frame before it.

    To read files by a class of your own (`data.reader`), subclass this with a constructor that takes the
    path, and raise DecodeError for a file that cannot be read.

    Args:
        path: The video.
        num_frames: How many frames it has.
        fps: Frames per second, averaged over the video.
        size: Width and height, in pixels, from which follows how many frames are held at a time.
        name: What the log calls the reader.
    """

    def __init__(self, path: Path, *, num_frames: int, fps: float, size: tuple[int, int], name: str) -> None:
        self.path = path
        self.fps = fps
        self.name = name
        self._part_size = max(1, PART_BYTES // (3 * size[0] * size[1]))
        self._num_frames = num_frames

    def __len__(self) -> int:
        return self._num_frames

    def frames_at(self, indices: Sequence[int]) -> UInt8[Tensor, "N H W 3"]:
        if len(indices) == 0:
            raise ValueError(f"{self.path}: no frame was asked for; ask for one or more indices")
        ascending, place = torch.unique(torch.tensor(indices), sorted=True, return_inverse=True)
        return torch.cat(list(self.parts_at(ascending.tolist())))[place]

    def parts_at(self, ascending: Sequence[int]) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        for index in ascending:
            if not 0 <= index < len(self):
                raise IndexError(
                    f"{self.path}: frame {index} was asked for, but the video has {len(self)} "
                    f"frames; indices are 0..{len(self) - 1}"
                )
        return self.decode(list(ascending), self._part_size)

    @abstractmethod
    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        """Return when each frame begins to be shown, and when the last one ends."""

    @abstractmethod
    def decode(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        """Return the frames of strictly ascending indices, all within 0..len-1, `part_size` at a time."""


def check_regular_file(path: Path) -> None:
    """Raise DecodeError unless `path` is a regular file with bytes in it that may be read.

    A pipe would make every decoder wait for ever, so nothing is opened before it is known.
    """
    try:
        status = path.stat()
    except OSError as error:
        found = "a link to nothing" if path.is_symlink() else error.strerror
        raise DecodeError(f"{path}: {found}; expected a video file") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "neither a file nor a folder"
        raise DecodeError(f"{path}: is {kind}; expected a video file")
    if status.st_size == 0:
        raise DecodeError(f"{path}: is empty; fetch it again or drop it from the list")
    if not os.access(path, os.R_OK):
        raise DecodeError(f"{path}: may not be read by this user; expected a readable video file")
