"""What a data module knows of its videos before any is read: lists and classes, and how they are opened."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningDataModule

from gcvideo.clip import VideoRecord
from gcvideo.data.decoding import AscendingReader, Backend, FrameFolderReader, FrameNames, OpenAny, OpenReader
from gcvideo.data.frame_rates import said_of_rates, typical_frame_rate
from gcvideo.data.lists.classes import Trained
from gcvideo.data.lists.records import VideoRecords
from gcvideo.data.lists.splits import SplitLists
from gcvideo.data.packed_videos import PackedVideos
from gcvideo.data.sampling import ClipFrames

log = logging.getLogger(__name__)


class ListedVideos(LightningDataModule):
    """The videos that annotation files name for training, validation and test."""

    split_lists: SplitLists
    on_error: Literal["raise", "skip"]
    """What a training video does that cannot be read, or is not there."""
    max_unreadable_share: float
    """With skip, of the training videos; 0..1."""
    source: Literal["videos", "frames"]
    frames: FrameNames
    backend: Backend
    reader: Callable[[Path], AscendingReader] | None
    packed: PackedVideos | None
    clip: ClipFrames

    def __init__(self) -> None:
        super().__init__()
        self.trained_frame_rate: float | None = None
        """Of the videos of a checkpoint that is loaded, where that says it."""
        self._said: dict[str, Any] = {}
        """What the log has named of loaders, which may be made anew for every epoch."""

    def follow(self, names: Sequence[str], *, checkpoint: Path) -> None:
        """Take the numbers that a trained network gives to classes, from now on.

        Labels of lists are matched by class name. Where no file names the classes, they are the network's.

        Args:
            names: The network's class names in the order of its outputs.
            checkpoint: Where they come from, for messages.
        """
        self.split_lists.follow(Trained(names, checkpoint))

    @property
    def class_names(self) -> list[str]:
        """The K class names in the order of the network's outputs.

        Raises:
            ValueError: The data set's classes are not those of the network that is followed.
        """
        return self.split_lists.class_names

    @property
    def multi_label(self) -> bool:
        """Whether a video may have several labels, or none."""
        return self.split_lists.multi_label

    @property
    def num_set_classes(self) -> int | None:
        """K, where videos may have several labels; None where each has one."""
        return len(self.class_names) if self.split_lists.multi_label else None

    @property
    def lists(self) -> Mapping[str, Path]:
        """The annotation files of train, val and test."""
        return self.split_lists.files

    def records(self, split: str) -> VideoRecords:
        """Return the annotated videos of train, val or test; a list is read once."""
        return self.split_lists.records(split)

    def setup(self, stage: str) -> None:
        """Look for the videos of fit, validate or test before it begins, without opening them."""
        warnings = self.look_for_videos(stage)
        if self.trainer is None or self.trainer.is_global_zero:
            for warning in warnings:
                log.warning(warning)

    def look_for_videos(self, stage: str) -> list[str]:
        """Return what to warn of: videos of a stage's lists that are not there, or that are in both lists.

        Raises:
            ValueError: All videos of a list are absent, or more of the training list than may be.
        """
        max_share = self.max_unreadable_share if self.on_error == "skip" else 0.0
        return self.split_lists.look_for_videos(self.splits(stage), max_training_share=max_share)

    def list_digests(self, stage: str) -> dict[str, str]:
        """Return the number of videos and a digest of each list of a stage, and a digest of the class names.

        Raises:
            AnnotationError: A list is missing or broken.
        """
        return self.split_lists.digests(self.splits(stage))

    def splits(self, stage: str) -> list[str]:
        """Return the splits that fit, validate or test reads."""
        if stage == "fit" and self.trainer is not None:
            begun = self.trainer.state.fn is not None  # before, Lightning knows of no validation
            validates = self.trainer.enable_validation if begun else self.trainer.limit_val_batches != 0
            return ["train", "val"] if validates else ["train"]
        return {"fit": ["train", "val"], "validate": ["val"], "test": ["test"]}.get(stage, [])

    @property
    def open_any(self) -> OpenAny:
        """What opens videos that no list names, files and folders of pictures alike."""
        return OpenAny(self.reader, self.frames, self.packed)

    @property
    def opens_listed(self) -> Backend | OpenReader:
        """What opens the videos of the lists."""
        if self.packed is not None:
            return self.packed
        if self.reader is not None:
            return self.reader
        return partial(FrameFolderReader, names=self.frames) if self.source == "frames" else self.backend

    def frame_rate(
        self, records: Sequence[VideoRecord], opens: Backend | OpenReader | None = None
    ) -> float | None:
        """Return the rate, in frames a second, that clips of these videos count in; None if it is not known.

        Args:
            records: The videos.
            opens: What opens them; by default what opens those of the lists.
        """
        return self.clip.target_fps or typical_frame_rate(records, opens or self.opens_listed)

    def said_of_rates(
        self, records: Sequence[VideoRecord], *, of: str, opens: Backend | OpenReader | None = None
    ) -> str | None:
        """Return what to warn of where videos have another rate than those of the training."""
        if self.trained_frame_rate is None:
            return None
        return said_of_rates(self.trained_frame_rate, self.frame_rate(records, opens), of=of)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has of the training videos: their rate."""
        if "frame_rate" not in self._said and self.lists["train"].is_file():
            self._said["frame_rate"] = self.frame_rate(self.records("train"))
        rate = self._said.get("frame_rate")
        return {} if rate is None else {"frame_rate": rate}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.trained_frame_rate = state_dict.get("frame_rate")
