"""What a data module knows of its videos before any of them is opened: their lists and classes."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from lightning.pytorch import LightningDataModule

from gcvideo.data.classes import Trained
from gcvideo.data.records import VideoRecords
from gcvideo.data.split_lists import SplitLists

log = logging.getLogger(__name__)


class ListedVideos(LightningDataModule):
    """The videos that annotation files name for training, validation and test."""

    split_lists: SplitLists
    on_error: Literal["raise", "skip"]
    """What a training video does that cannot be read, or is not there."""
    max_unreadable_share: float
    """With skip, of the training videos; 0..1."""

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
