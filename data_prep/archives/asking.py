"""Ask a server for a file over HTTP, and refuse what is not the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from urllib3 import BaseHTTPResponse, PoolManager, ProxyManager, Retry, Timeout, make_headers
from urllib3.exceptions import HTTPError, LocationValueError, MaxRetryError, ResponseError

from data_prep.archives.archive_lists import Remote, quoted
from data_prep.archives.checksums import CHUNK_BYTES

_HEADERS = {"User-Agent": "gcvideo-data-prep", "Accept-Encoding": "identity"}
_GZIP_NAMES = (".gz", ".tgz")
NOTHING_LEFT = 416


class TransferError(ValueError):
    """The server gave something that is not the file, and asking again will not help."""


class InterruptionError(Exception):
    """An attempt ended before the file was whole; another may go on from there."""

    def __init__(self, reason: str, *, retry_after: str = "") -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        """How long the server asks to be left alone, as it says it."""


@contextmanager
def opened(url: str, timeout_seconds: float) -> Iterator[PoolManager]:
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
def answer(
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


def body(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the body; of a refusal it is not the file's."""
    try:
        if response.status != NOTHING_LEFT:
            yield from response.stream(CHUNK_BYTES)
    except (HTTPError, OSError) as error:
        raise InterruptionError(_reason(error)) from None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
