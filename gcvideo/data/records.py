"""The videos of a list, however many, in a few arrays that all processes share."""

import hashlib
from array import array
from collections.abc import Sequence
from itertools import pairwise
from os.path import join, normpath
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from gcvideo.clip import Verified, VideoRecord

ROWS_AT_ONCE = 1 << 16
NO_CHECKSUM = -1


def order_digest(records: Sequence[VideoRecord], *, seed: int) -> str:
    """Return a digest of the videos' names and labels, in their order, and of the seed of their order.

    Where the list has checksums of the files, of these too: a replaced video is another one.
    """
    digest = hashlib.sha256(str(seed).encode())
    if isinstance(records, VideoRecords):
        for column in (records.text, records.ends, records.label):
            digest.update(column.numpy().tobytes())
        if records.verified and (records.verified[-1] != NO_CHECKSUM).any():
            digest.update(records.verified[-1].numpy().tobytes())
    else:
        for record in records:
            digest.update(f"{record.video_id}\0{record.label}\0".encode())
    return digest.hexdigest()


class RecordColumns(NamedTuple):
    """N videos column by column, to be added to."""

    text: bytearray
    """The paths as written, in UTF-8, one behind the other."""
    num_bytes: "array[Any]"
    """Length of each path in `text`."""
    label: "array[Any]"
    num_frames: "array[Any]"
    """Empty where the list does not say it."""
    fps: "array[Any]"
    """This and what follows as in Verified; empty where nothing is verified."""
    width: "array[Any]"
    height: "array[Any]"
    plain: "array[Any]"
    crc32: "array[Any]"
    """NO_CHECKSUM where the list has none."""

    @classmethod
    def empty(cls) -> "RecordColumns":
        return cls(bytearray(), *map(array, "qqqdqqbq"))

    def extend(self, other: "RecordColumns") -> None:
        """Add the videos of `other` behind these."""
        for column, more in zip(self, other, strict=True):
            column.extend(more)


class VideoRecords(Sequence[VideoRecord]):
    """Annotated videos, each made into a VideoRecord when it is asked for.

    A list of millions of Python objects would be copied into every loader process: looking at an object
    changes its count of references, and so the memory page that a fork had shared. Tensors have no such
    counts inside, and torch hands them to spawned processes as shared memory.

    Args:
        root: Folder that the paths are relative to, absolute.
        columns: The videos, at least one. Their memory is taken over: they cannot be added to any more.
        keys: A hash of each path, the same for two ways to write it. Other processes do not get them.
    """

    def __init__(self, root: str, columns: RecordColumns, *, keys: Int64[np.ndarray, " N"]) -> None:
        self.root = root
        self.keys = keys
        self.text = torch.frombuffer(columns.text, dtype=torch.uint8)
        self.ends = torch.frombuffer(columns.num_bytes, dtype=torch.int64).cumsum(0)
        self.label = torch.frombuffer(columns.label, dtype=torch.int64)
        dtypes = (torch.int64, torch.float64, torch.int64, torch.int64, torch.bool, torch.int64)
        self.verified = tuple(
            torch.frombuffer(column, dtype=dtype)
            for column, dtype in zip(columns[3:], dtypes, strict=True)
            if column
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "keys": None}  # strings have other hashes there

    def relabel(self, output: Int64[Tensor, " K"]) -> None:
        """Turn every label k into output[k]."""
        self.label = output[self.label]

    def at(self, rows: Int64[np.ndarray, " n"]) -> "VideoRecords":
        """Return those of some rows, of which there is at least one."""
        text, ends = self.text.numpy().tobytes(), self.ends.numpy()
        starts = ends - np.diff(ends, prepend=0)
        parts = [text[start:end] for start, end in zip(starts[rows], ends[rows], strict=True)]
        columns = RecordColumns.empty()
        columns.text.extend(b"".join(parts))
        values = [
            map(len, parts),
            *(column.numpy()[rows].tolist() for column in (self.label, *self.verified)),
        ]
        for column, of_rows in zip(columns[1:], values):  # noqa: B905 (all, or those that are verified)
            column.extend(of_rows)
        return VideoRecords(self.root, columns, keys=self.keys[rows])

    def __len__(self) -> int:
        return len(self.ends)

    def folders(self) -> set[str]:
        """Return the folders of the videos, as the paths are written."""
        found = set[str]()
        first = 0
        for ends in self.ends.split(ROWS_AT_ONCE):
            text = self.text[first : int(ends[-1])].numpy().tobytes()
            places = [0, *(ends - first).tolist()]
            found.update({text[start:end].rpartition(b"/")[0].decode() for start, end in pairwise(places)})
            first = int(ends[-1])
        return found

    @overload
    def __getitem__(self, index: int) -> VideoRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[VideoRecord]: ...
    def __getitem__(self, index: int | slice) -> VideoRecord | list[VideoRecord]:
        if isinstance(index, slice):
            return [self[position] for position in range(len(self))[index]]
        position = range(len(self))[index]  # of a negative index too
        start = int(self.ends[position - 1]) if position else 0
        video_id = self.text[start : int(self.ends[position])].numpy().tobytes().decode()
        path = Path(normpath(join(self.root, video_id)))  # noqa: PTH118
        num_frames = int(self.verified[0][position]) if self.verified else None
        return VideoRecord(path, int(self.label[position]), video_id, self._verified(position), num_frames)

    def _verified(self, position: int) -> Verified | None:
        if len(self.verified) < len(Verified._fields):  # the number of frames alone is nobody's finding
            return None
        found = Verified._make(column[position].item() for column in self.verified)
        return found._replace(crc32=None) if found.crc32 == NO_CHECKSUM else found
