"""One video decoded once, from its first packet to its last: what it is, and whether it is plain."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from data_prep.lists.manifest import VideoProperties
from data_prep.videos.encoding import decoded_frames
from gcvideo.data.decoding.checksum import crc32_of, crc32_of_folder
from gcvideo.data.decoding.frames import FrameFolderReader, FrameNames
from gcvideo.data.decoding.index import StreamIndex, index_stream
from gcvideo.data.decoding.plain import why_not_plain
from gcvideo.data.decoding.pyav import PyAVReader
from gcvideo.data.decoding.reader import DecodeError, VideoReader

Picture = npt.NDArray[np.uint8]

DEFAULT_NAMES = FrameNames()
NUM_PICKS = 8
"""Frames that both readers are asked for."""
LARGEST_MEAN_DIFFERENCE = 3.0
"""Grey levels; two builds of FFmpeg turn one frame into RGB that differs by less."""


def examine(
    path: Path, *, frames: FrameNames = DEFAULT_NAMES, with_times: bool = False
) -> Iterator[VideoProperties]:
    """Decode a video once, hold both training readers to its frames, and say what it is.

    Of a folder of frames, decode every picture.

    Args:
        path: The file, or the folder.
        frames: How the pictures of a folder are named.
        with_times: Whether the properties are to say when frames are shown.

    Yields:
        The properties as they are if decord hangs or crashes on the file; then the final ones.

    Raises:
        DecodeError: Training cannot read the video.
    """
    if path.is_dir():
        yield _examine_pictures(path, frames)
        return
    index = index_stream(path)
    _check_whole(index)
    checksum = crc32_of(path)
    with PyAVReader(index) as reader:
        alone = _at_last_key_frame(index)
        picks = sorted({*_picks(len(reader)), alone})
        # First, and one alone: a decoder that has seen the start of a file knows more than one that has not.
        read_at_random, failure = [], None
        try:
            picture_alone = _pictures(reader, [alone])
            read_at_random = _pictures(reader, picks)
            read_at_random[picks.index(alone)] = picture_alone[0]
        except DecodeError as error:  # decoding in order may say more
            failure = error
        not_plain = why_not_plain(index)
        truth = _Truth(index, picks)
        if truth.num_frames != len(reader):
            raise DecodeError(
                f"{path}: its packets announce {len(reader)} frames, {truth.num_frames} come out"
            )
        if failure is not None:
            raise failure
        if (difference := truth.why_different(read_at_random)) is not None:
            raise DecodeError(f"{path}: read at random, {difference}")
        properties = VideoProperties(
            num_frames=truth.num_frames,
            fps=round(reader.fps, 4),
            width=truth.width,
            height=truth.height,
            codec=index.context.codec.canonical_name,
            rotation=truth.rotation,
            stream=index.stream.index,
            crc32=checksum,
            not_plain=not_plain or "decord hangs or crashes on it",
        )
        if with_times:
            properties = _with_times(properties, reader)
    yield properties
    if not_plain is None:
        yield properties._replace(not_plain=_why_decord_differs(path, properties, picks, truth))


def _with_times(properties: VideoProperties, reader: VideoReader) -> VideoProperties:
    boundaries = reader.boundaries()
    return properties._replace(
        duration_seconds=round(float(boundaries[-1]), 6),
        longest_frame_seconds=round(float(boundaries.diff().max()), 6),
    )


def _examine_pictures(folder: Path, frames: FrameNames) -> VideoProperties:
    """Decode every picture of a folder, and say what the video is."""
    checksum = crc32_of_folder(folder)
    reader = FrameFolderReader(folder, frames)
    with reader:
        for _ in reader.parts_at(range(len(reader))):  # raises DecodeError at one that is damaged
            pass
        width, height = reader.size
        suffix = Path(reader.pictures[0]).suffix.lower().removeprefix(".")
        found = VideoProperties(
            num_frames=len(reader),
            fps=reader.fps,
            width=width,
            height=height,
            codec=suffix,
            rotation=0,
            stream=0,
            crc32=checksum,
            not_plain="it is a folder of pictures",
        )
        return _with_times(found, reader)


class _Truth:
    """What comes out of a video in order, and the pictures around the picks."""

    def __init__(self, index: StreamIndex, picks: Sequence[int]) -> None:
        around = {pick + step for pick in picks for step in (-1, 0, 1)}
        self._picks = picks
        self._pictures: dict[int, Picture] = {}
        self.num_frames = 0
        reformatter = VideoReformatter()
        for number, frame in enumerate(decoded_frames(index)):
            if number in around:
                rgb = reformatter.reformat(frame, format="rgb24", threads=1).to_ndarray()
                self._pictures[number] = _thinned(np.rot90(rgb, frame.rotation // 90))
            if number == 0:
                self.rotation = frame.rotation
                turned = frame.rotation % 180 != 0
                size = (frame.width, frame.height)
                self.width, self.height = reversed(size) if turned else size
            self.num_frames = number + 1

    def why_different(self, frames: Sequence[Picture]) -> str | None:
        """Return why these, thinned, are not the frames of the picks, or None.

        A frame must be as good as equal to the one decoded in order, and no neighbour nearer to it.
        """
        for pick, frame in zip(self._picks, frames, strict=True):
            differences = {
                number: _mean_difference(frame, self._pictures[number])
                for number in (pick, pick - 1, pick + 1)
                if number in self._pictures
            }
            nearest = min(differences, key=lambda number: differences[number])
            if nearest != pick or differences[pick] > LARGEST_MEAN_DIFFERENCE:
                return (
                    f"frame {pick} differs by {differences[pick]:.1f} grey levels from the one "
                    f"decoded in order; frame {nearest} is the nearest"
                )
        return None


def _picks(num_frames: int) -> list[int]:
    """Return frames, spread over the whole video, the first and the last among them."""
    return sorted({round(n * (num_frames - 1) / (NUM_PICKS - 1)) for n in range(NUM_PICKS)})


def _at_last_key_frame(index: StreamIndex) -> int:
    """Return the frame that is read without decoding any other, and is furthest from the start."""
    if index.presentation is None:
        return 0
    key = index.key_positions[-1]
    return next((number for number, position in enumerate(index.presentation.shown) if position == key), 0)


def _pictures(reader: VideoReader, picks: Sequence[int]) -> list[Picture]:
    """Return what a reader gives for the picks."""
    return [_thinned(frame) for frame in reader.frames_at(picks).numpy()]


def _check_whole(index: StreamIndex) -> None:
    """Raise DecodeError where an MP4's table of contents reaches beyond the end of the file."""
    if not index.container.format.name.startswith("mov,mp4"):
        return
    num_bytes = index.path.stat().st_size
    entries = index.stream.index_entries
    end = max((entry.pos + entry.size for entry in entries), default=0)
    if end > num_bytes:
        raise DecodeError(f"{index.path}: is cut off: it has {num_bytes:,} of at least {end:,} bytes")


def _why_decord_differs(path: Path, properties: VideoProperties, picks: Sequence[int], truth: _Truth) -> str:
    """Return why decord's picks are not the frames decoded in order; empty where they are."""
    try:
        from gcvideo.data.decoding.decord import DecordReader
    except ModuleNotFoundError:  # no wheel for this processor
        return "decord is not installed here"
    try:
        with DecordReader(path, fps=properties.fps, size=(properties.width, properties.height)) as reader:
            if len(reader) != properties.num_frames:
                return f"decord counts {len(reader)} frames"
            difference = truth.why_different(_pictures(reader, picks))
            return f"read by decord, {difference}" if difference is not None else ""
    except DecodeError as error:
        return str(error).replace(f"{path}: ", "")


def _thinned(picture: npt.NDArray[Any]) -> Picture:
    """Return every k-th pixel, so that a video's pictures stay small in memory."""
    step = max(1, min(picture.shape[:2]) // 128)
    return np.ascontiguousarray(picture[::step, ::step])


def _mean_difference(one: Picture, other: Picture) -> float:
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs(one.astype(np.int16) - other).mean())
