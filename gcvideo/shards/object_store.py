"""Shards in an object store, or wherever else fsspec reads: s3://, gs://, az://, memory://."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import fsspec
from fsspec.asyn import AsyncFileSystem

from gcvideo.shards.errors import BrokenShardError, TryAgainError
from gcvideo.shards.places import Place

FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError, ValueError, TypeError)
"""What fsspec's libraries raise where asking again would not help."""

T = TypeVar("T")


class ObjectStore(Place):
    """A folder, or prefix, of what fsspec reads.

    Args:
        address: As s3://bucket/folder.
        timeout_seconds: For one answer, where the library asks without blocking.
        options: What the library is made with, as endpoint_url.

    Raises:
        ValueError: No library that is installed reads such addresses, or not with these options.
    """

    def __init__(self, address: str, *, timeout_seconds: float, options: Mapping[str, Any]) -> None:
        try:
            self._files, self._folder = fsspec.core.url_to_fs(address, **options)
        except ImportError as error:
            extra = "; pip install 'gcvideo[s3]'" if address.startswith("s3://") else ""
            raise ValueError(f"data.shards.address {address}: {error}{extra}") from error
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"data.shards.address {address}: {error}; expected a folder, http(s)://, s3:// or another "
                "address of fsspec's, with its data.shards.options"
            ) from error
        is_async = isinstance(self._files, AsyncFileSystem)
        self._limit: dict[str, Any] = {"timeout": timeout_seconds} if is_async else {}

    def size(self, name: str) -> int:
        found = self._ask(lambda: self._files.info(self._path(name), **self._limit))
        return int(found["size"])

    def read(self, name: str, start: int, end: int) -> bytes:
        path = self._path(name)
        content = self._ask(lambda: self._files.cat_file(path, start=start, end=end, **self._limit))
        if len(content) != end - start:
            raise BrokenShardError(f"ends after {start + len(content):,} bytes")
        return bytes(content)

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"

    def _ask(self, attempt: Callable[[], T]) -> T:
        try:
            return attempt()
        except FINAL as error:
            raise BrokenShardError(_reason(error)) from error
        except Exception as error:
            raise TryAgainError(_reason(error)) from error


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
