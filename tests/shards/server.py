"""A web server of this machine that honours byte ranges, and fails when it is told to."""

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import urllib3

from tests.answering import answering


@dataclass
class Server:
    """Serves a folder, or hands on what is asked of another server."""

    folder: Path = Path()
    upstream: str = ""
    url: str = ""
    ignores_ranges: bool = False
    latency_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    """What becomes of the next GETs: "" nothing, "drop" half of the body, "reset", or a status."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and range of each GET that was answered."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_fault(self) -> str:
        with self.lock:
            return self.faults.pop(0) if self.faults else ""


@contextmanager
def serving(folder: Path = Path(), *, upstream: str = "", port: int = 0) -> Iterator[Server]:
    """Serve until the block ends."""
    server = Server(folder, upstream)
    pool = urllib3.PoolManager(maxsize=16)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _do(self) -> None:
            time.sleep(server.latency_seconds)
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = server.next_fault() if self.command == "GET" else ""
            if fault == "reset":
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if fault.isdecimal():
                self._answer(int(fault), {}, b"")
                return
            status, headers, body = self._upstream(sent) if server.upstream else self._file()
            server.asked.append((self.path, self.headers.get("Range", "")))
            self._answer(status, headers, body, drops=fault == "drop")

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _do  # noqa: N815

        def _answer(self, status: int, headers: dict[str, str], body: bytes, *, drops: bool = False) -> None:
            self.send_response(status)
            length = headers.pop("Content-Length", str(len(body)))
            for name, value in (headers | {"Content-Length": length}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if drops else body)
            self.close_connection = drops

        def _file(self) -> tuple[int, dict[str, str], bytes]:
            file = server.folder / self.path.lstrip("/").partition("?")[0]
            if not file.is_file():
                return 404, {}, b""
            body = file.read_bytes()
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if found is None or server.ignores_ranges:
                return 200, {}, body
            start, last = int(found[1]), min(int(found[2]), len(body) - 1)
            if start >= len(body):
                return 416, {}, b""
            return 206, {"Content-Range": f"bytes {start}-{last}/{len(body)}"}, body[start : last + 1]

        def _upstream(self, sent: bytes) -> tuple[int, dict[str, str], bytes]:
            answer = pool.request(
                self.command,
                server.upstream + self.path,
                body=sent,
                headers=dict(self.headers),
                retries=False,
            )
            left_out = {"transfer-encoding", "connection", "date", "server"}
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in left_out}
            return answer.status, headers, answer.data

    try:
        with answering(Handler, port=port) as server.url:
            yield server
    finally:
        pool.clear()
