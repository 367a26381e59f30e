"""Reads plain video files with decord."""

from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float64, UInt8
from torch import Tensor

from gcvideo.data.decoding.pyav import read_boundaries
from gcvideo.data.decoding.reader import AscendingReader, DecodeError

# decord puts the symbols of its own codec libraries in the way of every library loaded after it: PyAV
# then cannot encode VP9. It is safe here, since importing this package has loaded PyAV already.
try:
    import decord
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "backend decord was asked for, and decord is not installed (it has wheels for x86-64 "
        "only); use backend pyav"
    ) from error

# decord asserts that a file has frames; RuntimeError is a file it cannot open.
_DECORD_ERRORS = (decord.DECORDError, RuntimeError, AssertionError)


class DecordReader(AscendingReader):
    """decord on one thread, for files that `why_not_plain` finds nothing against.

    It trusts decord: on other files the frames can be wrong without an error, or never come.
    """

    def __init__(self, path: Path, *, fps: float, size: tuple[int, int]) -> None:
        reader = _open(path)
        self._unused: decord.VideoReader | None = reader
        super().__init__(path, num_frames=len(reader), fps=fps, size=size, name="decord")

    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        return read_boundaries(self.path)

    def close(self) -> None:
        self._unused = None

    def decode(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        # decord decodes ahead without bound once it has been asked for a frame, so that a reader
        # serves one request and is dropped.
        reader, self._unused = self._unused or _open(self.path), None
        try:
            for first in range(0, len(ascending), part_size):
                yield torch.from_numpy(reader.get_batch(ascending[first : first + part_size]).asnumpy())
        except _DECORD_ERRORS as error:
            raise DecodeError(
                f"{self.path}: decord cannot decode frames {ascending[0]}..{ascending[-1]} "
                f"({_reason(error)}); fetch it again or drop it from the list"
            ) from error


def _open(path: Path) -> decord.VideoReader:
    try:
        return decord.VideoReader(str(path.absolute()), ctx=decord.cpu(0), num_threads=1)
    except _DECORD_ERRORS as error:
        raise DecodeError(f"{path}: decord cannot open it ({_reason(error)}); use backend pyav") from error


def _reason(error: BaseException) -> str:
    """Return the check that failed, without the addresses and source lines around it."""
    lines = str(error).rpartition("Check failed: ")[2].splitlines()
    return lines[0] if lines else type(error).__name__
