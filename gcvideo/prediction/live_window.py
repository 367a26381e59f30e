"""A window on a source, in a process of its own: OpenCV's and PyAV's libraries do not get on in one.

Loaded after PyAV, which brings a libxcb of its own, OpenCV's windows hang (PyAV issue 978).
"""

import importlib.util
import os
import select
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

TITLE = "gcvideo"
SIZE = struct.Struct("<II")
"""Height and width, before the bytes of a picture in OpenCV's order of colours."""
POLL_SECONDS = 0.05
KEYS_THAT_CLOSE = (ord("q"), 27)  # and Escape
STANDARD_INPUT = 0


class LiveWindow(threading.Thread):
    """Shows the newest picture, as soon as the one before is shown.

    Args:
        on_close: Called when the user has closed the window.

    Raises:
        ValueError: OpenCV is not installed.
    """

    def __init__(self, *, on_close: Callable[[], None]) -> None:
        if importlib.util.find_spec("cv2") is None:
            raise ValueError("window needs OpenCV, which is not installed; `pip install opencv-python`")
        super().__init__(name="live window", daemon=True)
        self.on_close = on_close
        self.failure: ValueError | None = None
        self._newest: Callable[[], np.ndarray] | None = None
        self._changed = threading.Condition()
        self._is_closed = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def show(self, picture: Callable[[], np.ndarray]) -> None:
        """Show a picture, which is made where it is shown; this waits for nothing."""
        with self._changed:
            self._newest = picture
            self._changed.notify()

    def close(self) -> None:
        """Take the window away."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._process.kill()
        self._process.wait()
        if self.ident is not None:  # it was started
            self.join()

    def run(self) -> None:
        assert self._process.stdin is not None
        try:
            while not self._is_closed:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed or self._newest is not None)
                    newest, self._newest = self._newest, None
                if newest is not None:
                    rgb = newest()
                    self._process.stdin.write(SIZE.pack(*rgb.shape[:2]) + rgb[..., ::-1].tobytes())
                    self._process.stdin.flush()
        except OSError:  # the other end has closed
            if not self._is_closed:
                self._end()

    def _end(self) -> None:
        _, said = self._process.communicate()
        if self._process.returncode:
            lines = said.decode(errors="replace").strip().splitlines() or ["no reason given"]
            self.failure = ValueError(
                f"window: OpenCV shows none ({lines[0]}); expected a display, and opencv-python"
            )
        self.on_close()


def read_picture(cv2: Any) -> np.ndarray | None:
    """Return the next picture, keeping the window alive until it is there; None at the end."""
    size = _read(SIZE.size, cv2)
    if size is None:
        return None
    height, width = SIZE.unpack(size)
    picture = _read(height * width * 3, cv2)
    return None if picture is None else np.frombuffer(picture, np.uint8).reshape(height, width, 3)


def _read(num_bytes: int, cv2: Any) -> bytes | None:
    parts = bytearray()
    while len(parts) < num_bytes:
        if is_closed(cv2):
            return None
        if not select.select([STANDARD_INPUT], [], [], POLL_SECONDS)[0]:
            continue
        part = os.read(STANDARD_INPUT, num_bytes - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)


def is_closed(cv2: Any) -> bool:
    """Return whether the user wants no window any more."""
    return cv2.waitKey(1) & 0xFF in KEYS_THAT_CLOSE or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1


def main() -> None:
    """Show the pictures of standard input."""
    import cv2  # pyright: ignore[reportMissingImports]

    try:
        cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
    except cv2.error as error:  # without windows (opencv-python-headless) or a display
        sys.exit(" ".join(str(error).split()))
    while (picture := read_picture(cv2)) is not None:
        cv2.imshow(TITLE, picture)
    cv2.destroyAllWindows()


if __name__ == "__main__":
    main()
