"""Reads plain video files with torchcodec."""

from collections.abc import Iterator
from pathlib import Path

from jaxtyping import Float64, UInt8
from torch import Tensor

from gcvideo.data.decoding.pyav import read_boundaries
from gcvideo.data.decoding.reader import AscendingReader, DecodeError

try:
    from torchcodec.decoders import VideoDecoder  # pyright: ignore
except (ImportError, OSError, RuntimeError) as error:  # its wheels hold no FFmpeg libraries
    raise ModuleNotFoundError(
        "backend torchcodec was asked for, and it is not installed or finds no FFmpeg libraries "
        f"({str(error).strip().splitlines()[0]}); install both, or use backend pyav"
    ) from error

_TORCHCODEC_ERRORS = (RuntimeError, ValueError, IndexError)


class TorchcodecReader(AscendingReader):
    """torchcodec on one thread, for files that `why_not_plain` finds nothing against.

    It counts frames by reading all packets (its exact mode), and returns other frames than those asked for,
    without an error, on some files that are not plain.
    """

    def __init__(self, path: Path, *, fps: float, size: tuple[int, int]) -> None:
        try:
            self._decoder = VideoDecoder(
                str(path.absolute()), dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact"
            )
        except _TORCHCODEC_ERRORS as error:
            found = f"torchcodec cannot open it ({_reason(error)})"
            raise DecodeError(f"{path}: {found}; use backend pyav") from error
        num_frames = self._decoder.metadata.num_frames or 0
        super().__init__(path, num_frames=num_frames, fps=fps, size=size, name="torchcodec")

    def boundaries(self) -> Float64[Tensor, " boundaries"]:
        return read_boundaries(self.path)

    def close(self) -> None:
        del self._decoder

    def decode(self, ascending: list[int], part_size: int) -> Iterator[UInt8[Tensor, "N H W 3"]]:
        try:
            for first in range(0, len(ascending), part_size):
                yield self._decoder.get_frames_at(ascending[first : first + part_size]).data
        except _TORCHCODEC_ERRORS as error:
            raise DecodeError(
                f"{self.path}: torchcodec cannot decode frames {ascending[0]}..{ascending[-1]} "
                f"({_reason(error)}); fetch it again or drop it from the list"
            ) from error


def _reason(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
