"""What commands on videos are given: video files, folders or lists of them, and a checkpoint."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gcvideo.data import KineticsDataModule
from gcvideo.training import VideoClassifier

VIDEO_SUFFIXES = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}


def find_videos(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as named; of folders, every file below them with a video's suffix.

    Raises:
        ValueError: A path does not exist, or a folder holds no video.
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
            if not inside:
                raise ValueError(
                    f"{path}: no video in this folder; looked for {' '.join(sorted(VIDEO_SUFFIXES))}"
                )
            yield from inside
        elif path.exists():
            yield path
        else:
            raise ValueError(f"{path}: no such file or folder")


def load(checkpoint: Path, *, device: str) -> tuple[VideoClassifier, KineticsDataModule]:
    """The classifier, ready to predict, and the data module whose clips and views it was trained with."""
    if not checkpoint.is_file():
        raise ValueError(f"{checkpoint}: no such checkpoint")
    model = VideoClassifier.load_from_checkpoint(checkpoint, map_location=device, weights_only=True)
    data = KineticsDataModule.load_from_checkpoint(checkpoint, weights_only=True)
    return model.eval(), data
