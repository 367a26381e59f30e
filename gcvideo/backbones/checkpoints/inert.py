"""Files of tensors whose pickles name more than tensors, read without running anything.

They are what torch.save writes, now (a zip archive) and before torch 1.6 (one stream), and plain pickles.
"""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gcvideo.backbones.checkpoints.unpickling import (
    InertUnpickler,
    Known,
    NestedFile,
    StandIn,
    Storage,
    Strided,
    name_of,
)

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""What a stream of torch.save begins with."""

DAMAGE = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, LookupError, AssertionError),
    *(AttributeError, TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError),
)
"""What damaged files raise in readers of pickles, this one and torch's."""


class Inert(NamedTuple):
    """What a pickle holds."""

    content: Any
    """Dictionaries, lists, tensors and plain values; objects of unknown classes are dictionaries of what was
    kept in them, modules their state dicts."""
    unknown: list[str]
    """Classes and functions that it names and that were not looked up."""


def read_inert(path: Path) -> Inert:
    """Read a file of torch.save, or a plain pickle of tensors.

    Raises:
        ValueError: It is neither, or is damaged.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except DAMAGE as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from error


def _read(file: io.BufferedIOBase) -> Inert:
    """Read either format."""
    start = file.read(4)
    file.seek(0)
    return _read_zip(file) if start == b"PK\3\4" else _read_stream(file)


def _read_zip(file: io.BufferedIOBase) -> Inert:
    """Read NAME/data.pkl and the numbers of storages, NAME/data/KEY; zipfile compares their checksums."""
    with zipfile.ZipFile(file) as archive:
        entries = {info.filename.partition("/")[2]: info for info in archive.infolist()}
        if any(info.compress_type != zipfile.ZIP_STORED for info in entries.values()):
            raise zipfile.BadZipFile("entries are compressed")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise pickle.UnpicklingError("numbers are big-endian")
        unpickler = InertUnpickler(io.BytesIO(archive.read(entries["data.pkl"])))
        content = unpickler.load()

        @cache
        def numbers(storage: Storage) -> Tensor:
            return _numbers(archive.read(entries[f"data/{storage.key}"]), storage.dtype)

        return _Resolver(numbers, list(unpickler.stand_ins)).resolve_all(content)


def _read_stream(file: io.BufferedIOBase) -> Inert:
    """Read an old file, or a pickle alone.

    An old file is a number, a version, a description of the machine, the pickle, keys, and the numbers of
    each storage behind their count.
    """
    unpickler = InertUnpickler(file)
    content, storages = unpickler.load(), {}
    if content == MAGIC_NUMBER:
        InertUnpickler(file).load()
        if not InertUnpickler(file).load()["little_endian"]:
            raise pickle.UnpicklingError("numbers are big-endian")
        unpickler = InertUnpickler(file)
        content = unpickler.load()
        for key in InertUnpickler(file).load():
            (count,) = struct.unpack("<q", file.read(8))
            size = count * unpickler.dtypes[key].itemsize
            storages[key] = file.read(size)
            if len(storages[key]) != size:
                raise EOFError(f"storage {key} is cut short")

    @cache
    def numbers(storage: Storage) -> Tensor:
        return _numbers(storages[storage.key], storage.dtype)

    return _Resolver(numbers, list(unpickler.stand_ins)).resolve_all(content)


def _numbers(content: bytes, dtype: torch.dtype) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


class _Resolver:
    """What an unpickler gives, with tensors for their descriptions and plain dictionaries for stand-ins."""

    def __init__(self, numbers: Callable[[Storage], Tensor], unknown: list[str]) -> None:
        self.numbers = numbers
        self.unknown = unknown
        self.resolved: dict[int, Any] = {}
        """By identity: what is there twice stays shared, and what holds itself does."""

    def resolve_all(self, content: Any) -> Inert:
        return Inert(self.resolve(content), self.unknown)

    def resolve(self, value: Any) -> Any:
        if id(value) not in self.resolved:
            self.resolved[id(value)] = self._resolve(value)
        return self.resolved[id(value)]

    def _resolve(self, value: Any) -> Any:
        if isinstance(value, Strided):
            return self._tensor(value)
        if isinstance(value, Storage):
            return self.numbers(value)
        if isinstance(value, NestedFile):
            nested = _read(io.BytesIO(value.content))
            self.unknown.extend(nested.unknown)
            return nested.content
        if isinstance(value, StandIn) and isinstance(value.get("_modules"), dict):
            return {name: self.resolve(tensor) for name, tensor in _named_tensors(value)}
        if isinstance(value, dict):
            items = self.resolved[id(value)] = {}
            items.update((_plain_key(key), self.resolve(item)) for key, item in dict.items(value))
            return items
        if isinstance(value, list | set | frozenset):
            elements = self.resolved[id(value)] = []
            elements.extend(map(self.resolve, value))
            return elements
        if isinstance(value, tuple):
            return tuple(map(self.resolve, value))
        return name_of(value) if isinstance(value, type | Known) else value

    def _tensor(self, strided: Strided) -> Tensor:
        flat = self.resolve(strided.storage)
        flat = flat if strided.dtype is None else flat.view(strided.dtype)
        return flat.as_strided(strided.size, strided.stride, strided.offset)


def _named_tensors(module: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return the state dict of a module that was pickled whole."""
    passing = module.get("_non_persistent_buffers_set", ())
    for name, tensor in [*module["_parameters"].items(), *module["_buffers"].items()]:
        if tensor is not None and name not in passing:
            yield f"{prefix}{name}", tensor
    for name, child in module["_modules"].items():
        if child is not None:
            yield from _named_tensors(child, f"{prefix}{name}.")


def _plain_key(key: Any) -> Any:
    return key if isinstance(key, str | int | float | None) else str(key)
