"""A video that lies as pictures in a folder, as in the rawframes of TSN, TSM and MMAction2."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from PIL import Image
from torch import Tensor

from gcvideo.data.decoding.reader import AscendingReader, DecodeError
from gcvideo.video_files import PICTURE_SUFFIXES, is_picture_name

NUMBER = re.compile(r"[0-9]+")
LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)")
DEEP_MODES = ("I", "F")
"""Pillow's modes of more than 8 bits."""
NUM_NAMED = 3


@dataclass(frozen=True)
class FrameNames:
    """How the pictures of a video are named, and how fast they follow one another.

    Args:
        template: Name of a picture from its number, as img_{:05}.jpg; the first has number 0 or 1. By default
            all pictures of a folder are its frames, in the order of the numbers in their names.
        first: Number of the first picture; by default 0 or 1, whichever there is, or without a template the
            smallest.
        fps: Frames per second, from which times are reckoned; clips count frames.
    """

    template: str | None = None
    first: int | None = None
    fps: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.fps < float("inf"):
            raise ValueError(f"frames.fps is {self.fps:g}; expected frames per second, above 0")
        if self.first is not None and self.first < 0:
            raise ValueError(f"frames.first is {self.first}; expected 0 or more")
        if self.template is not None:
            try:
                names = {self.template.format(number) for number in (0, 1)}
            except (IndexError, KeyError, ValueError):
                names = set()
            if len(names) < 2 or any("/" in name for name in names):
                raise ValueError(
                    f"frames.template {self.template!r} is no name with one number; expected one such as "
                    "img_{:05}.jpg"
                )

    def in_order(self, folder: Path, names: Sequence[str]) -> list[str]:
        """Return the pictures of a folder, by their names, frame by frame.

        Raises:
            DecodeError: There is none, or one is missing.
        """
        numbered = _by_last_number(names) if self.template is None else self._by_template(names)
        if not numbered and self.template is not None:
            found = f"{len(names)} pictures, such as {min(names)!r}" if names else "no picture"
            expected = self.template.format(1 if self.first is None else self.first)
            raise DecodeError(f"{folder}: holds {found}; expected {expected} (frames.template)")
        if not names:
            raise DecodeError(
                f"{folder}: is a folder that holds no picture; expected {', '.join(PICTURE_SUFFIXES)}"
            )
        if numbered is None:  # names whose numbers mean nothing
            return sorted(names)
        # The first, and then each behind the one before
        numbers = sorted(numbered)
        firsts = ({0, 1} if self.template else {numbers[0]}) if self.first is None else {self.first}
        if numbers[0] not in firsts:
            expected = " or ".join(map(str, sorted(firsts)))
            raise DecodeError(
                f"{folder}: its first picture is {numbered[numbers[0]]!r}; expected number {expected} "
                "(frames.first)"
            )
        gaps = [before + 1 for before, after in pairwise(numbers) if after != before + 1]
        if gaps:
            more = ", ..." if len(gaps) > NUM_NAMED else ""
            raise DecodeError(
                f"{folder}: pictures are missing: number {', '.join(map(str, gaps[:NUM_NAMED]))}{more} of "
                f"{numbers[0]}..{numbers[-1]}; extract the video again"
            )
        return [numbered[number] for number in numbers]

    def _by_template(self, names: Sequence[str]) -> dict[int, str]:
        """Return number -> name of what is named by the template."""
        assert self.template is not None
        numbers = {name: map(int, NUMBER.findall(name)) for name in names}
        return {n: name for name, found in numbers.items() for n in found if self.template.format(n) == name}


def _by_last_number(names: Sequence[str]) -> dict[int, str] | None:
    """Return number -> name, or None where names differ in more than their last number."""
    found = {name: LAST_NUMBER.fullmatch(name) for name in names}
    numbered = {int(match[2]): name for name, match in found.items() if match}
    around = {(match[1], match[3].lower()) for match in found.values() if match}
    return numbered if len(numbered) == len(names) and len(around) <= 1 else None


class FrameFolderReader(AscendingReader):
    """The pictures of a folder as the frames of a video; only those asked for are decoded.

    Args:
        path: The folder.
        names: How the pictures are named.

    Raises:
        DecodeError: It is no folder of pictures, one is missing, or the first is no picture.
    """

    def __init__(self, path: Path, names: FrameNames = FrameNames()) -> None:
        self.folder = path
        try:
            with os.scandir(path) as entries:
                pictures = [entry.name for entry in entries if is_picture_name(entry.name)]
        except OSError as error:
            raise DecodeError(f"{path}: {error.strerror}; expected a folder of pictures") from error
        self.pictures = names.in_order(path, pictures)
        with self._opened(0) as first:
            self.size = first.size
        super().__init__(path, num_frames=len(self.pictures), fps=names.fps, size=self.size, name="pictures")

    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        return torch.arange(len(self) + 1, dtype=torch.float64) / self.fps

    def boundaries_by_clock(self) -> Float64[Tensor, " boundaries"]:
        """Return the same: pictures have no clock of their own."""
        return self.boundaries()

    def decode(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        for start in range(0, len(ascending), part_size):
            part = ascending[start : start + part_size]
            yield torch.stack([self._picture(index) for index in part])

    def _picture(self, index: int) -> UInt8[Tensor, "H W 3"]:
        with self._opened(index) as file:
            if file.size != self.size:
                raise DecodeError(
                    f"{self.folder}: frame {index} ({self.pictures[index]}) has {file.width}x{file.height} "
                    f"pixels, and the first {self.size[0]}x{self.size[1]}; extract the video again"
                )
            return torch.from_numpy(np.array(file.convert("RGB")))

    @contextmanager
    def _opened(self, index: int) -> Iterator[Image.Image]:
        """Open a picture, of which only the header is read until its pixels are asked for.

        Raises:
            DecodeError: What the block reads of it cannot be read, or it has more than 8 bits a colour.
        """
        name = self.pictures[index]
        try:
            with Image.open(self.folder / name) as file:
                if file.mode.startswith(DEEP_MODES):
                    raise DecodeError(
                        f"{self.folder}: frame {index} ({name}) has more than 8 bits a colour; expected 8"
                    )
                yield file
        except DecodeError:
            raise
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            reason = str(error).replace(f"{self.folder / name}", name)
            raise DecodeError(
                f"{self.folder}: frame {index} ({name}) cannot be decoded ({reason}); extract the video again"
            ) from error

    def close(self) -> None:
        pass
