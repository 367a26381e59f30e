"""One file over HTTP: resumed by range, checked by size and checksum."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from urllib3 import PoolManager, Retry
from urllib3.exceptions import InvalidHeader, MaxRetryError

from data_prep.archives.answers import change_of, left_over, md5_of, place_of, range_headers, version_of
from data_prep.archives.archive_lists import Remote
from data_prep.archives.asking import NOTHING_LEFT, InterruptionError, TransferError, answer, body, opened
from data_prep.archives.checksums import Digest
from data_prep.running.console import counted
from gcvideo.atomic import partial_of, settle, write_text

log = logging.getLogger(__name__)


class Received(NamedTuple):
    """A file that arrived whole."""

    num_bytes: int
    sha256: str


class Patience(NamedTuple):
    """When to give up."""

    retries: Retry
    """Attempts in a row that may bring nothing new, and the pauses before them."""
    timeout_seconds: float = 60.0
    """Silence on a connection before it counts as dropped."""


def retries(number: int = 8, *, pause_seconds: float = 1.0) -> Retry:
    """Return urllib3's rule: at once, then after twice the pause, four times, ..., at most two minutes.

    A server's Retry-After goes before the rule, up to the two minutes.
    """
    return Retry(
        number,
        backoff_factor=pause_seconds,
        backoff_max=120,
        status_forcelist=(408, 425, 429, 500, 502, 503, 504),
    )


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
    with opened(remote.url, patience.timeout_seconds) as http:
        if target.exists() and (there := _adopted(http, remote, target)):
            return there
        target.parent.mkdir(parents=True, exist_ok=True)
        best, left = 0, patience.retries
        while True:
            try:
                return _attempt(http, remote, target, retries=left, advance=advance)
            except InterruptionError as interruption:
                partial = partial_of(target)
                have = partial.stat().st_size if partial.exists() else 0
                if have > best:
                    best, left = have, patience.retries
                try:
                    left = left.increment("GET", remote.url, error=interruption)
                except MaxRetryError:
                    attempts = counted((patience.retries.total or 0) + 1, "attempt")
                    raise TransferError(f"{interruption}; gave up after {attempts}") from None
                pause = _pause(left, interruption.retry_after)
                log.info("%s: %s; next attempt in %.3g s", remote.target, interruption, pause)
                if stop.wait(pause):
                    raise TransferError("stopped") from None


def _pause(retries: Retry, retry_after: str) -> float:
    """Return the seconds that the server asks for, or those of the rule."""
    try:
        return min(retries.backoff_max, retries.parse_retry_after(retry_after))
    except InvalidHeader:
        return retries.get_backoff_time()


def _attempt(
    http: PoolManager,
    remote: Remote,
    target: Path,
    *,
    retries: Retry,
    advance: Callable[[int, int | None], None],
) -> Received:
    partial = partial_of(target)
    notes = partial.with_name(partial.name + ".json")  # which version of the file the partial one is of
    have, version = left_over(partial, notes, is_checked=bool(remote.checksum))
    with answer(http, "GET", remote, headers=range_headers(have, version)) as response:
        # Nothing came that could be the file
        if response.status not in (200, 206, NOTHING_LEFT):
            if retries.is_retry("GET", response.status, "Retry-After" in response.headers):
                retry_after = response.headers.get("Retry-After", "")
                raise InterruptionError(f"HTTP {response.status}", retry_after=retry_after)
            raise TransferError(f"HTTP {response.status}: {response.reason}")
        # What came goes on with what is there, or begins anew
        start, total = place_of(response)
        answered = version_of(response) | {"num_bytes": total}
        if start != 0 and (change := change_of(version, answered, is_part=response.status == 206)):
            partial.unlink(missing_ok=True)
            raise InterruptionError(f"the file changed on the server: {change}")
        digest = Digest(remote.checksum or md5_of(response))
        if response.status == NOTHING_LEFT and (total is None or have != total):
            partial.unlink(missing_ok=True)  # longer than the file: of another version of it
            raise InterruptionError("HTTP 416: nothing left at that range")
        if start not in (0, have):
            partial.unlink(missing_ok=True)
            raise InterruptionError(f"asked for bytes from {have:,} on, was sent those from {start:,} on")
        if start == 0:
            have = 0
            write_text(notes, json.dumps(answered))
        # Take it in
        with partial.open("r+b" if have else "wb") as file:
            digest.read(file, have)
            file.seek(have)
            file.truncate()
            for chunk in body(response):
                file.write(chunk)
                digest.update(chunk)
                have += len(chunk)
                advance(have, total)
    # It is whole, or another attempt goes on
    if total is not None and have != total:
        if have > total:
            partial.unlink()
        raise InterruptionError(f"the connection ended at byte {have:,} of {total:,}")
    if digest.differs:
        partial.unlink()
        raise InterruptionError(f"checksum of {have:,} bytes is {digest.found}, expected {digest.expected}")
    settle(partial)
    partial.replace(target)
    notes.unlink(missing_ok=True)
    return Received(have, digest.sha256)


def _adopted(http: PoolManager, remote: Remote, target: Path) -> Received | None:
    """Return a file that something else put there, if its size and checksum are the server's."""
    num_bytes = target.stat().st_size
    try:
        with answer(http, "HEAD", remote, headers={}) as response:
            if response.status != 200 or response.headers.get("Content-Length") != str(num_bytes):
                return None
            digest = Digest(remote.checksum or md5_of(response))
    except (InterruptionError, TransferError):  # which the download that follows will say
        return None
    with target.open("rb") as file:
        digest.read(file, num_bytes)
    return None if digest.differs else Received(num_bytes, digest.sha256)
