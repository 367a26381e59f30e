"""One file over HTTP: resumed by range, checked by size and checksum."""

import hashlib
import http.client
import json
import logging
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.archives.archive_lists import Remote, quoted
from data_prep.running.console import counted
from gcvideo.atomic import partial_of, settle, write_text

log = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE_SECONDS = 120.0
_HEADERS = {"User-Agent": "gcvideo-data-prep", "Accept-Encoding": "identity"}


class TransferError(ValueError):
    """The server gave something that is not the file, and asking again will not help."""


class InterruptionError(Exception):
    """An attempt ended before the file was whole; another may go on from there."""

    def __init__(self, reason: str, *, pause_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.pause_seconds = pause_seconds
        """How long the server asks to be left alone."""


class Received(NamedTuple):
    """A file that arrived whole."""

    num_bytes: int
    sha256: str


class Patience(NamedTuple):
    """When to give up."""

    num_retries: int = 8
    """Attempts in a row that may bring nothing new."""
    first_pause_seconds: float = 1.0
    """Doubles with each attempt in a row that brought nothing new."""
    timeout_seconds: float = 60.0
    """Silence on a connection before it counts as dropped."""


def download_file(
    remote: Remote,
    target: Path,
    *,
    patience: Patience,
    stop: threading.Event,
    advance: Callable[[int, int | None], None],
) -> Received:
    """Download one file to its target, from where an earlier attempt left off.

    Args:
        remote: What to fetch.
        target: Where to; it appears when size and checksum are right.
        patience: When to give up.
        stop: Ends the wait between attempts.
        advance: Told (bytes on the disk, bytes in all or None) as they arrive.

    Raises:
        TransferError: The server refuses, or goes on giving something wrong.
    """
    if target.exists() and (there := _adopted(remote, target, timeout=patience.timeout_seconds)):
        return there
    target.parent.mkdir(parents=True, exist_ok=True)
    best, fruitless = 0, 0
    while True:
        try:
            return _attempt(remote, target, timeout=patience.timeout_seconds, advance=advance)
        except InterruptionError as interruption:
            partial = partial_of(target)
            have = partial.stat().st_size if partial.exists() else 0
            fruitless = 0 if have > best else fruitless + 1
            best = max(best, have)
            if fruitless > patience.num_retries:
                raise TransferError(
                    f"{interruption}; gave up after {counted(fruitless, 'attempt')}"
                ) from None
            pause = interruption.pause_seconds
            if pause is None:
                pause = patience.first_pause_seconds * 2 ** max(0, fruitless - 1)
            pause = min(pause, _LONGEST_PAUSE_SECONDS)
            log.info("%s: %s; next attempt in %.3g s", remote.target, interruption, pause)
            if stop.wait(pause):
                raise TransferError("stopped") from None


def _attempt(
    remote: Remote, target: Path, *, timeout: float, advance: Callable[[int, int | None], None]
) -> Received:
    partial = partial_of(target)
    notes = partial.with_name(partial.name + ".json")  # which version of the file the partial one is of
    have, version = _left_over(partial, notes)
    try:
        response = _open(remote.url, have=have, version=version, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # nothing is left to send
                # A kill came between the last byte and the name, if the server says one length both times
                if _num_bytes_stated(error) == have == version.get("num_bytes"):
                    digest = _Digest(remote.checksum or _etag_md5(error))
                    with partial.open("rb") as file:
                        digest.read(file, have)
                    return _finished(have, digest, partial, notes, target)
                partial.unlink(missing_ok=True)  # longer than the file: of another version of it
                raise InterruptionError("HTTP 416: nothing left at that range") from None
            if error.code in _RETRIED_STATUSES:
                pause = _retry_after(error.headers.get("Retry-After"))
                raise InterruptionError(f"HTTP {error.code}", pause_seconds=pause) from None
            raise TransferError(f"HTTP {error.code}: {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:
        raise InterruptionError(_reason(error)) from None
    with response:
        start, total = _place(response)
        if start not in (0, have):
            partial.unlink()
            raise InterruptionError(f"asked for bytes from {have:,} on, was sent those from {start:,} on")
        if start == 0:
            have = 0
            write_text(notes, json.dumps(_version(response) | {"num_bytes": total}))
        digest = _Digest(remote.checksum or _etag_md5(response))
        with partial.open("r+b" if have else "wb") as file:
            digest.read(file, have)
            file.seek(have)
            file.truncate()
            while chunk := _read(response):
                file.write(chunk)
                digest.update(chunk)
                have += len(chunk)
                advance(have, total)
    if total is not None and have != total:
        if have > total:
            partial.unlink()
        raise InterruptionError(f"the connection ended at byte {have:,} of {total:,}")
    return _finished(have, digest, partial, notes, target)


def _finished(num_bytes: int, digest: "_Digest", partial: Path, notes: Path, target: Path) -> Received:
    """Give a whole partial file its name."""
    if digest.differs:
        partial.unlink()
        raise InterruptionError(
            f"checksum of {num_bytes:,} bytes is {digest.found}, expected {digest.expected}"
        )
    settle(partial)
    partial.replace(target)
    notes.unlink(missing_ok=True)
    return Received(num_bytes, digest.sha256)


def _adopted(remote: Remote, target: Path, *, timeout: float) -> Received | None:
    """A file that something else put there, if its size and checksum are the server's."""
    request = urllib.request.Request(quoted(remote.url), headers=_HEADERS, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            length = response.headers.get("Content-Length")
            digest = _Digest(remote.checksum or _etag_md5(response))
    except (OSError, http.client.HTTPException):
        return None
    num_bytes = target.stat().st_size
    if length != str(num_bytes):
        return None
    with target.open("rb") as file:
        digest.read(file, num_bytes)
    return None if digest.differs else Received(num_bytes, digest.sha256)


def _left_over(partial: Path, notes: Path) -> tuple[int, dict[str, Any]]:
    """Bytes that an earlier attempt left, and what the server said of the file they belong to."""
    if not partial.exists() or not notes.exists():
        return 0, {}
    try:
        return partial.stat().st_size, json.loads(notes.read_text())
    except ValueError:
        return 0, {}


def _open(url: str, *, have: int, version: dict[str, Any], timeout: float) -> Any:
    headers = dict(_HEADERS)
    if have:
        headers["Range"] = f"bytes={have}-"
        if validator := version.get("ETag") or version.get("Last-Modified"):
            headers["If-Range"] = validator
    return urllib.request.urlopen(urllib.request.Request(quoted(url), headers=headers), timeout=timeout)


def _version(response: Any) -> dict[str, str]:
    """What tells this version of a file from another; a weak ETag cannot."""
    headers = {name: response.headers.get(name) or "" for name in ("ETag", "Last-Modified")}
    return {name: value for name, value in headers.items() if value and not value.startswith("W/")}


def _place(response: Any) -> tuple[int, int | None]:
    """(first byte of the body, bytes of the whole file). Servers may ignore the range asked for."""
    content_range = response.headers.get("Content-Range") or ""
    if response.status == 206 and (match := re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)):
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length") or ""
    return (-1 if response.status == 206 else 0), int(length) if length.isdecimal() else None


def _num_bytes_stated(refusal: Any) -> int | None:
    """Bytes of the whole file that a 416 answer states, or None."""
    match = re.fullmatch(r"bytes \*/(\d+)", refusal.headers.get("Content-Range") or "")
    return int(match[1]) if match else None


def _read(response: Any) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise InterruptionError(_reason(error)) from None


def _etag_md5(response: Any) -> str:
    """The MD5 that Amazon S3 gives as ETag of a file uploaded in one piece, unless encrypted."""
    etag = (response.headers.get("ETag") or "").strip('"')
    plain = response.headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
    is_s3 = (response.headers.get("Server") or "") == "AmazonS3"
    return etag if is_s3 and plain and re.fullmatch(r"[0-9a-f]{32}", etag) else ""


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date."""
    if value is None:
        return None
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _Digest:
    """SHA-256 for the report, and whichever hash the expected checksum is."""

    def __init__(self, expected: str) -> None:
        self.expected = expected
        self._hashes = {64: hashlib.sha256()}
        if len(expected) == 32:
            self._hashes[32] = hashlib.md5(usedforsecurity=False)

    def read(self, file: Any, num_bytes: int) -> None:
        """Take in what is on the disk already."""
        file.seek(0)
        while num_bytes > 0 and (chunk := file.read(min(num_bytes, _CHUNK_BYTES))):
            self.update(chunk)
            num_bytes -= len(chunk)

    def update(self, chunk: bytes) -> None:
        for digest in self._hashes.values():
            digest.update(chunk)

    @property
    def found(self) -> str:
        return self._hashes[len(self.expected) or 64].hexdigest()

    @property
    def differs(self) -> bool:
        return bool(self.expected) and self.found != self.expected

    @property
    def sha256(self) -> str:
        return self._hashes[64].hexdigest()
