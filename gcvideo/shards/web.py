"""Shards on a web server that honours byte ranges (RFC 9110, 14)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Retry, Timeout, make_headers
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, ResponseError

from gcvideo.processes import begin_anew
from gcvideo.shards.errors import BrokenShardError, TryAgainError
from gcvideo.shards.places import Place

CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
THREADS = 16
"""Connections to a server that are kept at most."""
CHUNK_BYTES = 1 << 18
LONGEST_ASKED_WAIT_SECONDS = 60.0


class WebFolder(Place):
    """A folder of a web server.

    Args:
        address: Its address, http:// or https://; a query (a signature) is kept behind each name.
        timeout_seconds: For connecting, and for each wait for more bytes.
    """

    def __init__(self, address: str, *, timeout_seconds: float) -> None:
        parts = urlsplit(address)
        who, _, where = parts.netloc.rpartition("@")
        self._base = f"{parts.scheme}://{where}{parts.path.rstrip('/')}"
        self._query = f"?{parts.query}" if parts.query else ""
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "gcvideo"}
        if who:
            self._headers |= make_headers(basic_auth=unquote(who))
        self._http = pool(address, timeout_seconds)

    def size(self, name: str) -> int:
        return self._range(name, 0, 1)[1]

    def read(self, name: str, start: int, end: int) -> bytes:
        content, size = self._range(name, start, end)
        if len(content) < end - start:
            raise BrokenShardError(f"has {size:,} bytes, and bytes {start:,}..{end - 1:,} were asked for")
        return content

    def _range(self, name: str, start: int, end: int) -> tuple[bytes, int]:
        """Return the bytes from `start` to `end`, fewer where the file ends before, and the file's size."""
        with self._asked(name, {"Range": f"bytes={start}-{end - 1}"}) as answer:
            if answer.status == 200:
                raise BrokenShardError(
                    "the server ignores Range and sends whole files; put the shards on one that honours byte "
                    "ranges, or in a folder here"
                )
            if answer.status == 416:
                raise BrokenShardError(f"has fewer than {start + 1:,} bytes")
            found = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if answer.status != 206 or found is None:
                said = f"{answer.status} ({answer.reason}), {answer.headers.get('Content-Range', 'no range')}"
                raise BrokenShardError(f"the server answers {said}; expected 206 and a Content-Range")
            first, last, size = map(int, found.groups())
            if (first, last) != (start, min(end, size) - 1):
                raise BrokenShardError(
                    f"the server sends bytes {first:,}..{last:,}, and {start:,}..{end - 1:,} were asked for"
                )
            content = _body(answer)
        if len(content) != last + 1 - first:
            raise TryAgainError(f"the answer ended after {len(content):,} of {last + 1 - first:,} bytes")
        return content, size

    @contextmanager
    def _asked(self, name: str, headers: dict[str, str]) -> Iterator[BaseHTTPResponse]:
        """Ask once; of an answer that was not read to its end the connection is closed."""
        once = Retry(total=None, connect=False, read=False, other=0, redirect=5)
        try:
            answer = self._http.request(
                "GET",
                f"{self._base}/{quote(name)}{self._query}",
                headers=self._headers | headers,
                retries=once,
                preload_content=False,
                decode_content=False,
            )
        except LocationValueError as error:
            raise BrokenShardError(f"{error}; expected http:// or https://") from None
        except MaxRetryError as error:
            if isinstance(error.reason, ResponseError):  # too many redirects
                raise BrokenShardError(str(error.reason)) from None
            raise TryAgainError(_reason(error.reason or error)) from None
        except (HTTPError, OSError) as error:
            raise TryAgainError(_reason(error)) from None
        try:
            if answer.status in TRANSIENT:
                asked = answer.headers.get("Retry-After", "")
                seconds = min(float(asked), LONGEST_ASKED_WAIT_SECONDS) if asked.isdecimal() else 0.0
                said = f"the server answers {answer.status} ({answer.reason})"
                raise TryAgainError(said, after_seconds=seconds)
            if answer.status >= 400 and answer.status != 416:
                raise BrokenShardError(f"the server answers {answer.status} ({answer.reason})")
            yield answer
        finally:
            answer.close()  # after the last byte the connection was given back already


def pool(address: str, timeout_seconds: float) -> PoolManager:
    """Return what asks servers, by way of the proxy that the environment names for this address."""
    parts, timeout = urlsplit(address), Timeout(connect=timeout_seconds, read=timeout_seconds)
    proxy = None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)
    if not proxy:
        return PoolManager(timeout=timeout, maxsize=THREADS)
    place = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    who, _, where = place.netloc.rpartition("@")
    headers = make_headers(proxy_basic_auth=unquote(who)) if who else None
    return ProxyManager(f"{place.scheme}://{where}", proxy_headers=headers, timeout=timeout, maxsize=THREADS)


def _body(answer: BaseHTTPResponse) -> bytes:
    parts = []
    try:
        for part in answer.stream(CHUNK_BYTES):
            parts.append(part)
            begin_anew()  # it comes, if slowly
        return b"".join(parts)
    except (HTTPError, OSError) as error:
        raise TryAgainError(_reason(error)) from None


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
