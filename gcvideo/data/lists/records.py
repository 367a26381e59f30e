"""The videos of a list, however many, in a few arrays that all processes share."""

import hashlib
from array import array
from collections.abc import Sequence
from itertools import pairwise
from os.path import join, normpath, relpath
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from gcvideo.clip import Segment, Verified, VideoRecord
from gcvideo.data.decoding.packet_file import PacketFile
from gcvideo.data.decoding.packet_row import row_that_says

ROWS_AT_ONCE = 1 << 16
NO_CHECKSUM = -1
NOT_INDEXED = row_that_says("it is not in the packet index")
SEGMENT, VERIFIED = slice(4, 7), slice(7, None)
"""Columns of RecordColumns."""
DTYPES = {"q": torch.int64, "d": torch.float64, "b": torch.bool}


def order_digest(records: Sequence[VideoRecord], *, seed: int) -> str:
    """Return a digest of names, segments and labels, in their order, and of the seed of that order.

    Where the list has checksums of the files, of these too: a replaced video is another one.
    """
    digest = hashlib.sha256(str(seed).encode())
    if isinstance(records, VideoRecords):
        for column in (records.text, records.ends, records.label, records.label_ends, *records.segments):
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
    """All labels of the first video, then those of the second, and so on."""
    num_labels: "array[Any]"
    """Empty where every video has one."""
    start: "array[Any]"
    """This and the next two as in Segment; empty where rows are whole videos."""
    end: "array[Any]"
    in_frames: "array[Any]"
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
        return cls(bytearray(), *map(array, "qqqddbqdqqbq"))

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
        self.label = _tensor(columns.label)
        """Of all videos, one behind the other."""
        self.label_ends = _tensor(columns.num_labels).cumsum(0)
        """Where those of each video end in `label`; empty where every video has one."""
        self.segments = _tensors(columns[SEGMENT])
        """Start, end and unit; none where the list is of whole videos."""
        self.verified = _tensors(columns[VERIFIED])
        """Those of Verified, or the number of frames alone, or none."""
        self.packets: PacketFile | None = None
        """The packet index of the videos, if there is one."""

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "keys": None}  # strings have other hashes there

    def relabel(self, output: Int64[Tensor, " K"]) -> None:
        """Turn every label k into output[k]."""
        self.label = output[self.label]
        if len(self.label_ends):  # those of a video rise
            video = np.searchsorted(self.label_ends.numpy(), np.arange(len(self.label)), side="right")
            self.label = self.label[torch.from_numpy(np.lexsort((self.label.numpy(), video)))]

    def at(self, rows: Int64[np.ndarray, " n"]) -> "VideoRecords":
        """Return those of some rows, of which there is at least one."""
        columns = RecordColumns.empty()
        columns.text.extend(b"".join(text := [part.tobytes() for part in _parts(self.text, self.ends, rows)]))
        columns.num_bytes.extend(map(len, text))
        if len(self.label_ends):
            labels = [part.tolist() for part in _parts(self.label, self.label_ends, rows)]
            columns.num_labels.extend(map(len, labels))
            columns.label.extend(label for part in labels for label in part)
        else:
            columns.label.extend(self.label.numpy()[rows].tolist())
        for part, values in ((SEGMENT, self.segments), (VERIFIED, self.verified)):
            for column, of_all in zip(columns[part], values):  # noqa: B905 (all, some or none)
                column.extend(of_all.numpy()[rows].tolist())
        records = VideoRecords(self.root, columns, keys=self.keys[rows])
        records.packets = self.packets
        return records

    def packets_of(self, record: VideoRecord) -> bytes | None:
        """Return a video's row of the packet index, or None where there is no index."""
        if self.packets is None:
            return None
        return self.packets.row(relpath(record.path, self.root)) or NOT_INDEXED

    def labels(self, row: int) -> tuple[int, ...]:
        """Return the labels of a video, of which there may be several, or none."""
        if not len(self.label_ends):
            return (int(self.label[row]),)
        start = int(self.label_ends[row - 1]) if row else 0
        return tuple(self.label[start : int(self.label_ends[row])].tolist())

    def __len__(self) -> int:
        return len(self.ends)

    def repeated(self) -> Int64[np.ndarray, " n"]:
        """Return the rows, rising, whose video and segment are those of another row, by their hashes."""
        columns = (self.keys, *(column.numpy() for column in self.segments))
        order = np.lexsort(columns)
        same = np.ones(len(self) - 1, dtype=bool)
        for column in columns:
            same &= column[order[1:]] == column[order[:-1]]
        return np.sort(order[np.append(same, False) | np.append(False, same)])

    @property
    def checksums(self) -> Int64[np.ndarray, " N"]:
        """The CRC-32 of each file, or NO_CHECKSUM where the list has none."""
        if len(self.verified) < len(Verified._fields):
            return np.full(len(self), NO_CHECKSUM)
        return self.verified[-1].numpy()

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
        written = self.text[start : int(self.ends[position])].numpy().tobytes().decode()
        path = Path(normpath(join(self.root, written)))  # noqa: PTH118
        num_frames = int(self.verified[0][position]) if self.verified else None
        segment = (
            Segment._make(column[position].item() for column in self.segments) if self.segments else None
        )
        labels = self.labels(position)
        return VideoRecord(
            path,
            labels if len(self.label_ends) else labels[0],
            f"{written}#{segment}" if segment is not None else written,
            self._verified(position),
            num_frames,
            segment,
        )

    @property
    def is_verified(self) -> bool:
        """Whether the list is one of data_prep/verify.py; the number of frames alone is nobody's finding."""
        return len(self.verified) == len(Verified._fields)

    def _verified(self, position: int) -> Verified | None:
        if not self.is_verified:
            return None
        found = Verified._make(column[position].item() for column in self.verified)
        return found._replace(crc32=None) if found.crc32 == NO_CHECKSUM else found


def _tensor(column: "array[Any]") -> Tensor:
    """Return a column as a tensor of the same memory."""
    dtype = DTYPES[column.typecode]
    return torch.frombuffer(column, dtype=dtype) if column else torch.empty(0, dtype=dtype)


def _tensors(columns: "Sequence[Any]") -> tuple[Tensor, ...]:
    """Return those columns that are not empty."""
    return tuple(_tensor(column) for column in columns if column)


def _parts(
    values: Shaped[Tensor, " all"], ends: Int64[Tensor, " N"], rows: Int64[np.ndarray, " n"]
) -> "list[Shaped[np.ndarray, ' some']]":
    """Return of some rows the values, which lie one row behind the other."""
    of_all, behind = values.numpy(), ends.numpy()
    starts = behind - np.diff(behind, prepend=0)
    return [of_all[start:end] for start, end in zip(starts[rows], behind[rows], strict=True)]
