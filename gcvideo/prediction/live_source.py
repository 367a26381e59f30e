"""Where live pictures come from: cameras, streams, standard input, and files played at their own rate."""

import os
import re
import select
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import ExitError, FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from gcvideo.data.decoding import DecodeError
from gcvideo.data.decoding.index import CONTAINERS, MAX_PIXELS, TOLERANT, open_container
from gcvideo.paths import user_path

TIMEOUT_SECONDS = 10.0
"""Without a picture, after which a source is lost."""
STREAMED = f"{CONTAINERS},mpjpeg,mjpeg"
"""Forms that come as one stream. A playlist is not among them, except over HTTP."""
OVER_HTTP = ("http,https,tls,tcp,httpproxy", f"{STREAMED},hls")
REACHED: dict[str, tuple[str, str]] = {
    "rtsp": ("rtp,udp,tcp", "rtsp"),
    "rtsps": ("rtp,udp,tcp,tls", "rtsp"),
    "http": OVER_HTTP,
    "https": OVER_HTTP,
    "udp": ("udp", STREAMED),
    "tcp": ("tcp", STREAMED),
}
"""By scheme, the protocols and the forms that FFmpeg may use: no stream can name a file of this machine."""
STREAM_OPTIONS = {
    "rtsp_flags": "prefer_tcp",  # lost packets of UDP are damaged pictures
    "analyzeduration": "2000000",  # microseconds, of up to 5 s that FFmpeg looks at before it begins
    "overrun_nonfatal": "1",  # of UDP: a burst too many is lost, and not the stream
}
STANDARD_INPUT = 0
POLL_SECONDS = 0.2
PASSWORD = re.compile(r"(?<=://)([^/:]*):[^/]*@")


class LiveSource(ABC):
    """Something to watch."""

    name: str
    """What messages call it; without a password."""
    ends = False
    """Whether an end is its end, and no loss after which it may come back."""
    is_played = False
    """Whether it is slowed down to its own rate; all others are as fast as they come."""

    @abstractmethod
    def open(self) -> InputContainer:
        """Open it, from its present moment on; raise DecodeError if that fails."""

    def stop(self) -> None:  # noqa: B027 (most need not be told)
        """Let nobody wait for it any longer."""


class Camera(LiveSource):
    """A camera of this machine, by V4L2 on Linux and AVFoundation on macOS.

    Args:
        device: Its number, or on Linux its path.
        options: Options of FFmpeg's for it, such as video_size and framerate.
    """

    def __init__(self, device: str, options: Mapping[str, str]) -> None:
        is_number, is_mac = device.isdecimal(), sys.platform == "darwin"
        self.name = f"camera {device}" if is_number and is_mac else device
        self.file = device
        if is_number and not is_mac:
            self.name = self.file = f"/dev/video{device}"
        self.format = "avfoundation" if is_mac else "v4l2"
        # AVFoundation opens no camera at the rate that FFmpeg assumes, 29.97.
        self.options = {**({"framerate": "30"} if is_mac else {}), **options}

    def open(self) -> InputContainer:
        return _opened(self.file, self.name, format=self.format, container_options=self.options)


class Stream(LiveSource):
    """A stream over a network.

    Args:
        url: Where it is. With ?listen, of TCP, it is waited for without limit.
        options: Options of FFmpeg's for it, such as rtsp_transport.
    """

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        protocols, formats = REACHED[_scheme(url)]
        self.url = url
        self.name = without_password(url)
        self.options = {**STREAM_OPTIONS, **options}
        self.options |= {"protocol_whitelist": protocols, "format_whitelist": formats}

    def open(self) -> InputContainer:
        to_open = None if "listen" in self.url.partition("?")[2] else TIMEOUT_SECONDS
        return _opened(
            self.url, self.name, container_options=self.options, timeout=(to_open, TIMEOUT_SECONDS)
        )


class StandardInput(LiveSource):
    """What another program writes to this one."""

    name = "standard input"
    ends = True

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = {**options, "protocol_whitelist": "pipe", "format_whitelist": STREAMED}
        self._stopped = threading.Event()

    def open(self) -> InputContainer:
        if os.isatty(STANDARD_INPUT):
            raise DecodeError("standard input is a terminal; pipe a video stream into the command")
        return _opened(self, self.name, container_options=self.options)

    def read(self, num_bytes: int) -> bytes:
        """Return what has come, for FFmpeg, as soon as there is something; nothing at the end."""
        while not self._stopped.is_set():
            if select.select([STANDARD_INPUT], [], [], POLL_SECONDS)[0]:
                return os.read(STANDARD_INPUT, num_bytes)
        return b""

    def stop(self) -> None:
        self._stopped.set()


class PlayedFile(LiveSource):
    """A video file, played as if it came from a camera."""

    ends = True
    is_played = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def open(self) -> InputContainer:
        return open_container(self.path)


def live_source(named: str, options: Mapping[str, str]) -> LiveSource:
    """Return what a user names: a camera's number or path, an address, a file, or - for standard input.

    Raises:
        ValueError: It is an address of another kind, or options are given of a file, which takes none.
    """
    if named in ("-", "/dev/stdin"):
        return StandardInput(options)
    if named.isdecimal() or named.startswith("/dev/"):
        return Camera(named, options)
    if "://" in named:
        if _scheme(named) not in REACHED:
            known = ", ".join(f"{scheme}://" for scheme in REACHED)
            raise ValueError(f"live is {without_password(named)}; of addresses expected one of {known}")
        return Stream(named, options)
    if options:
        raise ValueError("source_options are given for a file; expected a camera or a stream")
    return PlayedFile(user_path(named))


def without_password(url: str) -> str:
    """Return an address as it may be shown."""
    return PASSWORD.sub(r"\1:***@", url)


def reason(error: FFmpegError) -> str:
    """Return what FFmpeg says of an error."""
    if isinstance(error, ExitError):  # what it calls a time limit
        return f"nothing came for {TIMEOUT_SECONDS:g} s"
    return error.strerror or "no reason given"


def video_stream(container: InputContainer, name: str) -> VideoStream:
    """Return the pictures of an open source, of which none is held back longer than need be.

    Raises:
        DecodeError: There are none, or nothing here decodes them.
    """
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        raise DecodeError(f"{name}: has no video stream; expected one with pictures")
    if stream.codec_context is None:
        raise DecodeError(f"{name}: no decoder for its video stream; expected one such as H.264")
    stream.codec_context.options = TOLERANT
    stream.codec_context.thread_type = "SLICE"  # threads that share out frames hold one back each
    return stream


def _opened(file: Any, name: str, **settings: Any) -> InputContainer:
    limit = {"max_pixels": str(MAX_PIXELS)}
    try:
        container = av.open(file, "r", options=limit, metadata_errors="replace", **settings)
    except FFmpegError as error:
        raise DecodeError(f"{name}: cannot be opened ({reason(error)})") from error
    assert isinstance(container, InputContainer)  # it is not written to
    return container


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower()
