"""From a path to the reader that gives its frames exactly."""

import logging
from pathlib import Path
from typing import Literal

from gcvideo.clip import Verified
from gcvideo.data.decoding.index import StreamIndex, index_stream
from gcvideo.data.decoding.plain import starts_as_plain, why_not_plain
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.decoding.reader import DecodeError, VideoReader, check_regular_file

Backend = Literal["decord", "pyav"]

logger = logging.getLogger(__name__)


def open_video(
    path: str | Path, backend: Backend = "decord", *, verified: Verified | None = None
) -> VideoReader:
    """Opens a video; raises DecodeError for whatever is not a video file that can be read.

    Backend "decord" reads plain files with decord and every other file with PyAV, since decord
    returns other frames there; "pyav" reads all files with PyAV. The frames are the same.

    Which files are plain is what data_prep/verify.py found, where it was asked, and else follows
    from what the file states of itself.
    """
    path = Path(path)
    reader = _opened(path, backend, verified)
    if verified is not None and len(reader) != verified.num_frames:
        found = len(reader)
        reader.close()
        raise DecodeError(
            f"{path}: has {found} frames, and had {verified.num_frames} when it was verified; "
            "run data_prep/verify.py again"
        )
    return reader


def _opened(path: Path, backend: Backend, verified: Verified | None) -> VideoReader:
    if backend == "pyav":
        return PyAVReader(index_stream(path))
    reason = None
    if verified is not None and verified.plain:
        try:
            return _open_verified(path, verified)
        except DecodeError as error:
            reason = _without_path(error, path)
    elif verified is not None:
        reason = "its list says that it is not plain"
    index = index_stream(path)
    if reason is None:
        reader = _open_if_plain(index)
        if isinstance(reader, VideoReader):
            index.close()
            return reader
        reason = reader
    logger.debug("%s is read with PyAV: %s", path, reason)
    return PyAVReader(index, name=f"pyav: {reason}")


def _open_verified(path: Path, verified: Verified) -> VideoReader:
    from gcvideo.data.decoding.decord import DecordReader  # decord may not be installed

    check_regular_file(path)
    if not starts_as_plain(path):
        raise DecodeError(f"{path}: does not begin as MP4 or Matroska")
    return DecordReader(path, fps=verified.fps, size=(verified.width, verified.height))


def _open_if_plain(index: StreamIndex) -> VideoReader | str:
    """decord's reader, or why it is not the one to use."""
    from gcvideo.data.decoding.decord import DecordReader  # decord may not be installed

    reason = why_not_plain(index)
    if reason is not None:
        return reason
    try:
        reader = DecordReader(index.path, fps=index.fps, size=index.size)
    except DecodeError as error:
        return _without_path(error, index.path)
    if len(reader) == len(index.packets):
        return reader
    reader.close()
    return f"decord counts {len(reader)} frames and it holds {len(index.packets)}"


def _without_path(error: DecodeError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
