"""Servers on loopback that send videos as cameras do, in threads of this process."""

import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO

import av

TS_PACKETS = 7 * 188
"""Bytes of an RTP packet of MPEG-TS, a whole number of its packets (RFC 2250, 2)."""
MP2T = 33


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def send(
    source: Path, target: str | BinaryIO, until: Callable[[], object], *, seconds_a_packet: float
) -> None:
    """Send a file's packets as MPEG-TS, then wait before the end."""
    with av.open(str(source)) as reader, av.open(target, "w", format="mpegts") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for packet in reader.demux(video=0):
            if packet.size:
                packet.stream = stream
                writer.mux(packet)
                time.sleep(seconds_a_packet)
        until()


def wait_until_read(port: int) -> None:
    """Wait until a program reads what comes to a port by UDP: what is sent before is lost."""
    while f":{port:04X} " not in Path("/proc/net/udp").read_text():
        time.sleep(0.02)


@contextmanager
def in_a_thread(work: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(20)
    assert not thread.is_alive()


@contextmanager
def tcp_serving(source: Path, until: Callable[[], object], *, seconds_a_packet: float) -> Iterator[str]:
    """Send a file's packets to the first client; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            with client, client.makefile("wb", buffering=0) as end:
                send(source, end, until, seconds_a_packet=seconds_a_packet)

        with in_a_thread(serve):
            yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def http_serving(folder: Path) -> Iterator[str]:
    """Serve the files of a folder in chunks, as what has no known end; yields the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = (folder / self.path.strip("/")).read_bytes()
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(data), 1000):
                part = data[start : start + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def serve_rtsp(listening: socket.socket, transport_stream: bytes, until: Callable[[], object]) -> None:
    """Answer one client of RTSP with a stream, inside its connection; then hang up, and serve no more.

    RFC 2326: sections 10 (methods) and 10.12 (interleaved data); RFC 3550, 5.1 (header of RTP).
    """
    with closing(listening):
        client, _ = listening.accept()
    answers = {
        b"OPTIONS": "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
        b"SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
        b"PLAY": "Session: 1\r\n",
    }
    with client, client.makefile("rb") as requests:
        method = b""
        while method != b"PLAY":
            method = requests.readline().split()[0]
            headers = dict(line.split(b": ") for line in iter(requests.readline, b"\r\n"))
            said, body = answers.get(method, ""), ""
            if method == b"DESCRIBE":
                body = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP {MP2T}\r\n"
                said = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            number = headers[b"CSeq"].decode().strip()
            client.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{said}\r\n{body}".encode())
        for sequence, start in enumerate(range(0, len(transport_stream), TS_PACKETS)):
            payload = transport_stream[start : start + TS_PACKETS]
            packet = struct.pack("!BBHII", 0x80, MP2T, sequence, sequence * 900, 1) + payload
            client.sendall(struct.pack("!cBH", b"$", 0, len(packet)) + packet)
        until()
