"""One file over HTTP: resumed by range, checked by size and checksum."""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Retry, Timeout, make_headers
from urllib3.exceptions import HTTPError, InvalidHeader, LocationValueError, MaxRetryError, ResponseError

from data_prep.archives.archive_lists import Remote, quoted
from data_prep.archives.checksums import CHUNK_BYTES, Digest
from data_prep.running.console import counted
from gcvideo.atomic import partial_of, settle, write_text

log = logging.getLogger(__name__)

_HEADERS = {"User-Agent": "gcvideo-data-prep", "Accept-Encoding": "identity"}
_VALIDATORS = ("ETag", "Last-Modified")
_GZIP_NAMES = (".gz", ".tgz")
_NOTHING_LEFT = 416


class TransferError(ValueError):
    """The server gave something that is not the file, and asking again will not help."""


class InterruptionError(Exception):
    """An attempt ended before the file was whole; another may go on from there."""

    def __init__(self, reason: str, *, retry_after: str = "") -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """How long the server asks to be left alone, as it says it."""


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
    with _http(remote.url, patience.timeout_seconds) as http:
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
    have, version = _left_over(partial, notes, is_checked=bool(remote.checksum))
    with _answer(http, "GET", remote, headers=_range(have, version)) as response:
        # Nothing came that could be the file
        if response.status not in (200, 206, _NOTHING_LEFT):
            if retries.is_retry("GET", response.status, "Retry-After" in response.headers):
                retry_after = response.headers.get("Retry-After", "")
                raise InterruptionError(f"HTTP {response.status}", retry_after=retry_after)
            raise TransferError(f"HTTP {response.status}: {response.reason}")
        # What came goes on with what is there, or begins anew
        start, total = _place(response)
        answered = _version(response) | {"num_bytes": total}
        if start != 0 and (change := _change(version, answered, is_part=response.status == 206)):
            partial.unlink(missing_ok=True)
            raise InterruptionError(f"the file changed on the server: {change}")
        digest = Digest(remote.checksum or _etag_md5(response))
        if response.status == _NOTHING_LEFT and (total is None or have != total):
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
            for chunk in _chunks(response):
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
        with _answer(http, "HEAD", remote, headers={}) as response:
            if response.status != 200 or response.headers.get("Content-Length") != str(num_bytes):
                return None
            digest = Digest(remote.checksum or _etag_md5(response))
    except (InterruptionError, TransferError):  # which the download that follows will say
        return None
    with target.open("rb") as file:
        digest.read(file, num_bytes)
    return None if digest.differs else Received(num_bytes, digest.sha256)


@contextmanager
def _http(url: str, timeout_seconds: float) -> Iterator[PoolManager]:
    """Open what asks servers, by way of the proxy that the environment names for this URL."""
    parts, timeout = urlsplit(url), Timeout(connect=timeout_seconds, read=timeout_seconds)
    proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    if not proxy:
        http = PoolManager(timeout=timeout)
    else:
        place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        who, _, where = place.netloc.rpartition("@")
        headers = make_headers(proxy_basic_auth=unquote(who)) if who else None
        http = ProxyManager(f"{place.scheme}://{where}", proxy_headers=headers, timeout=timeout)
    with http:
        yield http


@contextmanager
def _answer(
    http: PoolManager, method: str, remote: Remote, *, headers: dict[str, str]
) -> Iterator[BaseHTTPResponse]:
    """Ask once, follow redirects within http and https, and close the answer at the end.

    Raises:
        TransferError: It is no URL, redirects lead elsewhere or nowhere, or the answer is encoded.
        InterruptionError: The connection failed.
    """
    # Ask
    once = Retry(total=None, connect=False, read=False, other=0, redirect=10)
    try:
        response = http.urlopen(
            method,
            quoted(remote.url),
            headers=_HEADERS | headers,
            retries=once,
            preload_content=False,
            decode_content=False,
            enforce_content_length=False,  # the place that Content-Range names is compared as well
        )
    except LocationValueError as error:
        raise TransferError(f"{error}; expected http:// or https://, redirects included") from None
    except MaxRetryError as error:
        if isinstance(error.reason, ResponseError):
            raise TransferError(str(error.reason)) from None  # too many redirects
        raise InterruptionError(_reason(error.reason or error)) from None
    except (HTTPError, OSError) as error:
        raise InterruptionError(_reason(error)) from None
    with response:
        # Refuse what is not the file
        for place in [past.redirect_location or "" for past in (response.retries or once).history]:
            if urlsplit(place).scheme not in ("", "http", "https"):  # a proxy may follow it even so
                raise TransferError(f"the server redirects to {place}; expected http:// or https://")
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        # Servers call it an encoding, too, that the file itself is a .gz.
        is_its_own = encoding in ("gzip", "x-gzip") and remote.target.lower().endswith(_GZIP_NAMES)
        if response.status in (200, 206) and encoding != "identity" and not is_its_own:
            raise TransferError(
                f"the server sends it encoded ({encoding}), though asked not to: what would be stored is not "
                "the file; fetch it by other means"
            )
        yield response


def _left_over(partial: Path, notes: Path, *, is_checked: bool) -> tuple[int, dict[str, Any]]:
    """Return the bytes that an earlier attempt left, and what the server said of the file they are of.

    Where neither the server's words nor a checksum tell one version from another, nothing is left.
    """
    try:
        version = json.loads(notes.read_text())
        have = partial.stat().st_size
    except (FileNotFoundError, ValueError):
        return 0, {}
    return (have, version) if is_checked or any(name in version for name in _VALIDATORS) else (0, {})


def _range(have: int, version: dict[str, Any]) -> dict[str, str]:
    """Return the headers that ask for what is behind these bytes, if the server has this version."""
    if not have:
        return {}
    # A weak ETag may be that of two versions, and If-Range must not hold one
    strong = [version[name] for name in _VALIDATORS if not version.get(name, "W/").startswith("W/")]
    return {"Range": f"bytes={have}-"} | ({"If-Range": strong[0]} if strong else {})


def _version(response: BaseHTTPResponse) -> dict[str, Any]:
    """Return what tells this version of a file from another."""
    return {name: response.headers[name] for name in _VALIDATORS if response.headers.get(name)}


def _change(noted: dict[str, Any], answered: dict[str, Any], *, is_part: bool) -> str | None:
    """Return how an answer to a range says that it is of another version than the noted one, or None.

    A part must have an ETag if the whole had one (RFC 9110, 15.3.7); all else may be left out.
    """
    for name in (*_VALIDATORS, "num_bytes"):
        before, now = noted.get(name), answered.get(name)
        if before and now != before and (now or (is_part and name == "ETag")):
            return f"{name} was {before}, is {now or 'not said'}"
    return None


def _place(response: BaseHTTPResponse) -> tuple[int, int | None]:
    """Return the first byte of the body, and the bytes of the whole file. Servers may ignore ranges."""
    content_range = response.headers.get("Content-Range", "")
    if response.status == _NOTHING_LEFT:
        match = re.fullmatch(r"bytes \*/(\d+)", content_range)
        return (int(match[1]), int(match[1])) if match else (-1, None)
    if response.status == 206 and (match := re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)):
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return (-1 if response.status == 206 else 0), int(length) if length.isdecimal() else None


def _chunks(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the body; of a refusal it is not the file's."""
    try:
        if response.status != _NOTHING_LEFT:
            yield from response.stream(CHUNK_BYTES)
    except (HTTPError, OSError) as error:
        raise InterruptionError(_reason(error)) from None


def _etag_md5(response: BaseHTTPResponse) -> str:
    """Return the MD5 that Amazon S3 gives as ETag of a file uploaded in one piece, unless encrypted."""
    etag = response.headers.get("ETag", "").strip('"')
    plain = response.headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
    is_s3 = response.headers.get("Server") == "AmazonS3"
    return etag if is_s3 and plain and re.fullmatch(r"[0-9a-f]{32}", etag) else ""


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
