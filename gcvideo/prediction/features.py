"""Features of videos as a network's last layer reads them, in a file that other programs read."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.atomic import replacing, write_text
from gcvideo.clip import Span, VideoRecord
from gcvideo.prediction.reading import UnreadableVideo
from gcvideo.words import Per

SUFFIXES = (".npz", ".parquet")
FORMAT_OF_PARTS = 2
"""Parts of 1 have no times."""
COLUMNS: dict[Per, tuple[str, ...]] = {
    "video": ("video", "features"),
    "clip": ("video", "clip", "start_seconds", "end_seconds", "features"),
}


class VideoFeatures(NamedTuple):
    """Features of one video, a row a clip."""

    video: VideoRecord
    features: Float[Tensor, "clips C"]
    spans: Sequence[Span]
    """Of the clips, by the clock of the video."""


@torch.inference_mode()
def clip_features(
    network: nn.Module,
    views: Float[Tensor, "views 3 T H W"],
    *,
    num_crops: int,
    views_per_forward: int,
) -> Float[Tensor, "clips C"]:
    """Return the mean over each clip's crops of its pooled features, on the CPU.

    Args:
        network: A network with a method features([B 3 T H W]) -> [B C], as VideoResNet has.
        views: All of one video, on the network's device: the crops of its first clip, of its second, and
            so on.
        num_crops: Crops of a clip.
        views_per_forward: Views that pass the network together; bounds memory.

    Raises:
        ValueError: The network has no such method.
    """
    features = getattr(network, "features", None)
    lacks = (
        f"{type(network).__name__} has no method features(clip) -> [B C]; give it one that returns what its"
    )
    if not callable(features):
        raise ValueError(f"{lacks} last layer reads")
    parts: list[Tensor] = [features(part) for part in views.split(views_per_forward)]  # pyright: ignore[reportAssignmentType]
    pooled = torch.cat(parts)
    if pooled.ndim != 2:  # as of layers that are called features, too
        raise ValueError(f"{lacks} last layer reads, instead of {list(pooled.shape)}")
    return pooled.float().unflatten(0, (-1, num_crops)).mean(dim=1).cpu()


class FeatureFile:
    """A file of features that is written in parts, so that an interrupted extraction goes on where it was.

    Parts lie in FILE.parts until the last is there; then they become FILE.

    Args:
        file: .npz with the arrays video, features (and of clips: clip, start_seconds, end_seconds), or
            .parquet with columns of these names.
        per: One row a video (the mean over its clips) or one a clip.
        settings: What the features depend on besides the videos; parts made under others are refused.
        videos: All videos, in the order of the file's rows.
        videos_per_part: How many videos are lost at most when the run is stopped.

    Raises:
        ValueError: The suffix is neither, or parts of another extraction lie there.
    """

    def __init__(
        self,
        file: Path,
        *,
        per: Per,
        settings: dict[str, object],
        videos: Sequence[VideoRecord],
        videos_per_part: int = 256,
    ) -> None:
        if file.suffix not in SUFFIXES:
            raise ValueError(f"out is {file}; expected a file ending in {' or '.join(SUFFIXES)}")
        self.file = file
        self.per: Per = per
        self.videos = videos
        self.videos_per_part = videos_per_part
        self.folder = file.with_name(f"{file.name}.parts")
        self._claim(settings)

    def missing(self) -> list[Sequence[VideoRecord]]:
        """Return the videos of every part that is not there yet."""
        return [self._part_videos(part) for part in range(self._num_parts) if not self._part(part).exists()]

    def write_part(self, videos: Sequence[VideoFeatures | UnreadableVideo], first: VideoRecord) -> None:
        """Write the part that begins with the video `first`."""
        read = [video for video in videos if isinstance(video, VideoFeatures)]
        rows = [
            video.features if self.per == "clip" else video.features.mean(0, keepdim=True) for video in read
        ]
        spans = np.array([span for video in read for span in video.spans], dtype=np.float64).reshape(-1, 2)
        unreadable = [video for video in videos if isinstance(video, UnreadableVideo)]
        file = self._part(self.videos.index(first) // self.videos_per_part)
        with replacing(file) as unfinished, unfinished.open("wb") as stream:
            np.savez(
                stream,
                video=np.array(
                    [one.video.video_id for one, part in zip(read, rows, strict=True) for _ in part],
                    dtype=str,
                ),
                clip=np.array([clip for part in rows for clip in range(len(part))], dtype=np.int64),
                start_seconds=spans[:, 0],
                end_seconds=spans[:, 1],
                features=torch.cat(rows).numpy() if rows else np.empty((0, 0), np.float32),
                unreadable=np.array(
                    [f"{video.video_id}: {reason}" for video, reason in unreadable], dtype=str
                ),
            )

    def finish(self) -> list[str]:
        """Join the parts to the file, and say which videos could not be read."""
        parts = [dict(np.load(self._part(part))) for part in range(self._num_parts)]
        filled = [part for part in parts if len(part["video"])]
        unreadable = [reason for part in parts for reason in part["unreadable"].tolist()]
        if filled:
            self._write({name: np.concatenate([part[name] for part in filled]) for name in COLUMNS[self.per]})
        shutil.rmtree(self.folder)
        return unreadable

    def _write(self, columns: dict[str, np.ndarray]) -> None:
        with replacing(self.file) as unfinished, unfinished.open("wb") as stream:
            if self.file.suffix == ".npz":
                np.savez(stream, **columns)  # pyright: ignore[reportArgumentType]
                return
            width = columns["features"].shape[1]
            flat = pa.array(columns["features"].ravel())
            rest = {name: pa.array(column) for name, column in columns.items() if name != "features"}
            pq.write_table(
                pa.table({**rest, "features": pa.FixedSizeListArray.from_arrays(flat, width)}), stream
            )

    def _claim(self, settings: dict[str, object]) -> None:
        listed = hashlib.sha256("\n".join(video.video_id for video in self.videos).encode()).hexdigest()
        wanted = {**settings, "per": self.per, "videos": len(self.videos), "list": listed}
        wanted["format"] = FORMAT_OF_PARTS
        wanted = json.loads(json.dumps(wanted | {"videos_per_part": self.videos_per_part}, default=str))
        description = self.folder / "settings.json"
        if description.exists():
            found = json.loads(description.read_text())
            differs = [name for name in wanted if found.get(name) != wanted[name]]
            if differs:
                raise ValueError(
                    f"{self.folder} holds parts of another extraction ({', '.join(differs)} differ); finish "
                    "that one, remove the folder, or choose another --out"
                )
        write_text(description, json.dumps(wanted, indent=2))

    @property
    def _num_parts(self) -> int:
        return -(-len(self.videos) // self.videos_per_part)

    def _part(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"

    def _part_videos(self, number: int) -> Sequence[VideoRecord]:
        return self.videos[number * self.videos_per_part : (number + 1) * self.videos_per_part]
