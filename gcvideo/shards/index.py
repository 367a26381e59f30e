"""Where in a set of shards each video lies: the index that data_prep/pack.py writes beside them."""

import json
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

INDEX = "shards.arrow"
VERSION = 1
BLOCK_BYTES = 1 << 16
"""A member has a checksum for each so many bytes, so that a part of it is checked without the rest."""
SCHEMA = pa.schema(
    {
        "path": pa.large_string(),
        "shard": pa.int64(),
        "offset": pa.int64(),
        "size": pa.int64(),
        "crc32": pa.int64(),
        "blocks": pa.list_(pa.uint32()),
    }
)
KEY = b"gcvideo"
"""Of what the index says of itself, in the metadata of the Arrow file."""


class ShardFile(NamedTuple):
    """One tar file."""

    name: str
    num_bytes: int


class Member(NamedTuple):
    """One video in a shard."""

    path: str
    """Below the root of the videos, as lists have it."""
    shard: int
    """Position of its shard among all."""
    offset: int
    """Of its first byte in the shard."""
    size: int
    crc32: int
    """Of all its bytes, as in a list of data_prep/verify.py."""
    blocks: Sequence[int]
    """CRC-32 of each BLOCK_BYTES of it; the last block may be shorter."""


class ShardIndex:
    """The members of a set of shards, sorted by path.

    It is an Arrow file of one batch, not compressed, so that the processes of a machine share its memory.

    Args:
        content: The file's bytes.
        name: What messages call it.

    Raises:
        ValueError: It is no index, of another version, cut off or damaged.
    """

    def __init__(self, content: pa.Buffer, *, name: str) -> None:
        self.name = name
        self._content = content
        stated, table = _parsed(content, name)
        if stated.get("version") != VERSION:
            found = stated.get("version")
            raise ValueError(
                f"{name}: is an index of version {found}, and version {VERSION} is read here; pack "
                "the videos again, or read them with the gcvideo that packed them"
            )
        if checksum(table) != stated["crc32"]:
            raise ValueError(f"{name}: is damaged, its checksum is another; fetch it or pack it again")
        self.shards = [ShardFile(*shard) for shard in stated["shards"]]
        self._columns: list[Any] = [column.combine_chunks() for column in table.columns]

    @classmethod
    def read(cls, file: Path) -> "ShardIndex":
        """Read an index from a disk."""
        try:
            return cls(pa.memory_map(str(file)).read_buffer(), name=str(file))
        except OSError as error:
            raise ValueError(f"{file}: {error}; expected the index that data_prep/pack.py writes") from error

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._content.to_pybytes(), self.name)

    def __len__(self) -> int:
        return len(self._columns[0])

    def find(self, path: str) -> Member | None:
        """Return the member of this path, or None."""
        paths = self._columns[0]
        row = bisect_left(range(len(paths)), path, key=lambda place: paths[place].as_py())
        if row == len(paths) or paths[row].as_py() != path:
            return None
        return Member(*(column[row].as_py() for column in self._columns))

    @property
    def paths(self) -> list[str]:
        """The paths of all members, sorted."""
        return self._columns[0].to_pylist()

    @property
    def shard_numbers(self) -> Int64[np.ndarray, " N"]:
        """The position of each member's shard among all, in the order of the members' paths."""
        return self._columns[SCHEMA.names.index("shard")].to_numpy()

    @property
    def checksums(self) -> Int64[np.ndarray, " N"]:
        """The CRC-32 of all members, in the order of their paths."""
        return self._columns[SCHEMA.names.index("crc32")].to_numpy()


def write_index(file: Path, members: Iterable[Member], shards: Sequence[ShardFile]) -> None:
    """Write the index of some shards; equal shards have equal ones, byte for byte."""
    ordered = sorted(members)
    arrays = [
        pa.array([member[place] for member in ordered], type=field.type) for place, field in enumerate(SCHEMA)
    ]
    table = pa.table(arrays, schema=SCHEMA)
    stated = {"version": VERSION, "crc32": checksum(table), "shards": shards, "block_bytes": BLOCK_BYTES}
    table = table.replace_schema_metadata({KEY: json.dumps(stated).encode()})
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def checksum(table: pa.Table) -> int:
    """Return the CRC-32 of the columns' buffers, one behind the other."""
    found = 0
    for column in table.columns:
        for buffer in column.combine_chunks().buffers():
            found = zlib.crc32(buffer, found) if buffer is not None else found
    return found


def _parsed(content: pa.Buffer, name: str) -> tuple[dict[str, Any], pa.Table]:
    try:
        with pa.ipc.open_file(content) as reader:
            stated = json.loads((reader.schema.metadata or {}).get(KEY, b"{}"))
            table = reader.read_all()
            table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{name}: is no whole index of shards ({reason}); fetch it or pack it again"
        ) from error
    if "version" not in stated:
        raise ValueError(f"{name}: is no index of shards; expected the {INDEX} of data_prep/pack.py")
    return stated, table


def _unpickled(content: bytes, name: str) -> ShardIndex:
    return ShardIndex(pa.py_buffer(content), name=name)
