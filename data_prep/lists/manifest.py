"""What is known of a video that training can read: a row of the manifest."""

from typing import NamedTuple

MANIFEST_COLUMNS = (
    *("path", "label", "num_frames", "fps", "width", "height", "codec", "rotation", "stream"),
    *("crc32", "plain"),
)


class VideoProperties(NamedTuple):
    """What is true of one readable video."""

    num_frames: int
    """That come out of the decoder."""
    fps: float
    """Averaged over the video."""
    width: int
    """As shown: after rotation."""
    height: int
    codec: str
    rotation: int
    """Degrees counter-clockwise that readers turn the decoded picture by."""
    stream: int
    """Index of the video stream in its container."""
    crc32: int
    """Checksum of the whole file."""
    not_plain: str
    """Why decord may not read it; empty for a plain video."""
    duration_seconds: float | None = None
    """From the start of the first frame to the end of the last, by the time stamps; None if not asked for."""
    longest_frame_seconds: float | None = None
    """How long the frame is shown that is shown longest; likewise."""

    def cells(self) -> tuple[object, ...]:
        """Return those of MANIFEST_COLUMNS behind path and label."""
        is_plain = int(not self.not_plain)
        return *self[: self._fields.index("not_plain")], is_plain
