"""From a path to the reader that gives its frames exactly."""

import logging
from pathlib import Path
from typing import Literal

from gcvideo.data.decoding.index import index_stream
from gcvideo.data.decoding.plain import why_not_plain
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.decoding.reader import DecodeError, VideoReader

Backend = Literal["decord", "pyav"]

logger = logging.getLogger(__name__)


def open_video(path: str | Path, backend: Backend = "decord") -> VideoReader:
    """Opens a video; raises DecodeError for whatever is not a video file that can be read.

    Backend "decord" reads plain files with decord and every other file with PyAV, since decord
    returns other frames there; "pyav" reads all files with PyAV. The frames are the same.
    """
    if backend == "pyav":
        return PyAVReader(index_stream(Path(path)))
    return _open_with_decord(Path(path))


def _open_with_decord(path: Path) -> VideoReader:
    from gcvideo.data.decoding.decord import DecordReader  # decord may not be installed

    index = index_stream(path)
    reason = why_not_plain(index)
    if reason is None:
        try:
            reader = DecordReader(path, fps=index.fps)
        except DecodeError as error:
            reason = str(error).removeprefix(f"{path}: ")
        else:
            if len(reader) == len(index.packets):
                index.close()
                return reader
            reader.close()
            reason = f"decord counts {len(reader)} frames and it holds {len(index.packets)}"
    logger.debug("%s is read with PyAV: %s", path, reason)
    return PyAVReader(index, name=f"pyav: {reason}")
