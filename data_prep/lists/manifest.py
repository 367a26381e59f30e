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
