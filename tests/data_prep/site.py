"""A web site on this machine that behaves as badly as it is told to."""

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.answering import answering


@dataclass
class Page:
    """What stands at one path, and how the site treats those who ask for it."""

    body: bytes
    drops_after: list[int] = field(default_factory=list)
    """The first answers end after so many bytes."""
    statuses: list[int] = field(default_factory=list)
    """The first answers are these."""
    retry_after: str | None = None
    ignores_ranges: bool = False
    wrong_range: bool = False
    """Answers a range with as many bytes from elsewhere, and says so."""
    says_length: int | None = None
    says_no_length: bool = False
    """The body ends with the connection."""
    etag: str | None = None
    """Instead of the MD5; nothing where it is empty."""
    last_modified: str | None = None
    ignores_if_range: bool = False
    encoding: str | None = None
    """What the body, as it stands here, is said to be encoded by."""
    moved_to: str | None = None
    is_s3: bool = False
    corrupt_answers: int = 0
    """The first answers have their first byte changed."""


class Site:
    """Pages by path, and what was asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.requests: list[tuple[str, str, str]] = []
        """(method, path, Range header)"""
        self.url = ""
        self.lock = threading.Lock()

    def add(self, path: str, body: bytes, **manners: object) -> str:
        """Put a page up; returns its URL."""
        self.pages[path] = Page(body, **manners)  # type: ignore[arg-type]
        return self.url + path

    def num_gets(self, path: str) -> int:
        return Counter((method, asked) for method, asked, _ in self.requests)["GET", path]


@contextmanager
def serving() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            asked = self.headers.get("Range", "")
            page = site.pages.get(self.path)  # a whole URL where this is asked as a proxy
            with site.lock:
                site.requests.append((self.command, self.path, asked))
                status = page.statuses.pop(0) if page and page.statuses and with_body else None
                drop = page.drops_after.pop(0) if page and page.drops_after and with_body else None
                corrupt = page is not None and page.corrupt_answers > 0 and with_body
                if page is not None and corrupt:
                    page.corrupt_answers -= 1
            if page is not None and page.moved_to is not None:
                self.send_response(302)
                self.send_header("Location", page.moved_to)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if page is None or status is not None:
                self._refuse(status or 404, page)
                return
            body = page.body
            if corrupt:
                body = bytes([body[0] ^ 255]) + body[1:]
            etag = f'"{hashlib.md5(page.body).hexdigest()}"' if page.etag is None else page.etag
            start = self._start(page, asked, etag or page.last_modified or "")
            if start >= len(body) and start > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            end = len(body)
            if page.wrong_range and start:
                start, end = start // 2, start // 2 + len(body) - start
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(body)}")
            if not page.says_no_length:
                length = page.says_length if page.says_length is not None else end
                self.send_header("Content-Length", str(length - start))
            for name, said in (
                ("ETag", etag),
                ("Last-Modified", page.last_modified),
                ("Content-Encoding", page.encoding),
            ):
                if said:
                    self.send_header(name, said)
            if page.says_no_length or drop is not None or page.says_length is not None:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if with_body:
                self.wfile.write(body[start : end if drop is None else start + drop])

        def _start(self, page: Page, asked: str, version: str) -> int:
            match = re.fullmatch(r"bytes=(\d+)-", asked)
            if match is None or page.ignores_ranges:
                return 0
            is_same = page.ignores_if_range or self.headers.get("If-Range", version) == version
            return int(match[1]) if is_same else 0

        def _refuse(self, status: int, page: Page | None) -> None:
            self.send_response(status)
            if page is not None and page.retry_after is not None:
                self.send_header("Retry-After", page.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def version_string(self) -> str:
            page = site.pages.get(self.path)
            return "AmazonS3" if page is not None and page.is_s3 else "test"

    with answering(Handler) as site.url:
        yield site
