"""Folders of pictures and masks: root/train/pictures/*.jpg, root/train/masks/*.png, root/val likewise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.transforms import v2

from gcvideo.agreement import digest_of_values
from gcvideo.images.data import ImageData, Split
from gcvideo.images.segmentation.batch import (
    IGNORED,
    MOST_CLASSES,
    SameSize,
    Segmented,
    SegmentedBatch,
    collate,
)
from gcvideo.images.segmentation.pairs import FilePictures, MaskedPictures, MaskLabels, find_pairs
from gcvideo.images.segmentation.transforms import random_crops
from gcvideo.run_folder import Evaluated


class MaskFolderData(ImageData):
    """Pictures, and masks of the same names whose pixels are class indices.

    Masks are files of one channel, or with a palette. Training sees random crops of randomly scaled pictures;
    validation, test and prediction see pictures whole, each at its own size. Class names stand in
    root/classes.txt, one a line.

    Args:
        root: Folder of the data set.
        train: Folder in root that holds pictures/ and masks/ for training.
        val: The same for validation.
        test: The same for tests; by default those of validation.
        crop_size: Side of a training crop, in pixels.
        min_scale: Least factor by which a picture is resized before it is cropped.
        max_scale: Greatest factor.
        flip_probability: Of a training crop.
        ignore_label: What masks have where no class counts; the border around objects, as a rule.
        first_label: What they have where the first class is; with 1 a 0 does not count either, as in ADE20K.
        augment: Augmentations of training crops, in order, behind crop and flip: transforms of
            torchvision.transforms.v2, which change masks only where they move pixels.
        mean: Mean of red, green and blue, of values in 0..1.
        std: Standard deviation of the same.
        settings: Those of every ImageData.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        root: Path,
        *,
        train: Path = Path("train"),
        val: Path = Path("val"),
        test: Path = Path("val"),
        crop_size: int = 512,
        min_scale: float = 0.5,
        max_scale: float = 2.0,
        flip_probability: float = 0.5,
        ignore_label: int = IGNORED,
        first_label: int = 0,
        augment: list[nn.Module] | None = None,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
        **settings: Any,
    ) -> None:
        super().__init__(root, **settings)
        for name, number in {"ignore_label": ignore_label, "first_label": first_label}.items():
            if number not in range(256):
                raise ValueError(f"data.{name} is {number}; expected 0 to 255")
        if crop_size < 1:
            raise ValueError(f"data.crop_size is {crop_size}; expected at least 1")
        self.folders = {"train": root / train, "val": root / val, "test": root / test}
        self.ignore_label, self.first_label = ignore_label, first_label
        self.normalize = v2.Normalize(list(mean), list(std))
        self.mean, self.std = mean, std
        self.training_transform = random_crops(
            crop_size,
            scales=(min_scale, max_scale),
            flip_probability=flip_probability,
            fill=[round(255 * value) for value in mean],
            augment=augment or [],
        )
        self._found: dict[tuple[str, bool], MaskedPictures] = {}

    def own_class_names(self) -> list[str] | None:
        file = self.root / "classes.txt"
        if not file.is_file():
            return None
        names = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not 2 <= len(names) <= MOST_CLASSES - self.first_label:
            most = MOST_CLASSES - self.first_label
            raise ValueError(f"{file} names {len(names)} classes; expected 2 to {most}, one a line")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"{file} names {twice!r} twice; expected each class once")
        return names

    def pictures_of(self, split: Split, *, training: bool) -> MaskedPictures:
        if (split, training) not in self._found:
            names, outputs = self.numbering
            labels = MaskLabels(
                torch.arange(len(names)) if outputs is None else outputs,
                first_label=self.first_label,
                ignore_label=self.ignore_label,
            )
            folder = self.folders[split]
            pairs = find_pairs(folder / "pictures", folder / "masks")
            transform = self.training_transform if training else None
            self._found[split, training] = MaskedPictures(pairs, labels, transform)
        return self._found[split, training]

    def unlabelled(self, files: Sequence[Path]) -> FilePictures:
        return FilePictures(files)

    def collate(self, items: list[Segmented]) -> SegmentedBatch:
        return collate(items)

    def digests(self, stage: str) -> dict[str, str]:
        splits = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ())
        sets = {split: self.pictures_of(split, training=split == "train") for split in splits}
        files = {split: {pair.name: pair.mask.name for pair in of.pairs} for split, of in sets.items()}
        return {f"pictures of {split}": digest_of_values(names) for split, names in files.items()}

    def protocol(self, evaluated: Evaluated) -> dict[str, Any]:
        return {
            "folder": str(self.folders[evaluated]),
            "size": "whole pictures",
            "ignore_label": self.ignore_label,
            "first_label": self.first_label,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def on_after_batch_transfer(self, batch: SegmentedBatch, dataloader_idx: int) -> SegmentedBatch:
        """On the device: values of 0..1, normalised, and classes as indices."""
        groups = [
            SameSize(self.normalize(images.float() / 255), classes.long()) for images, classes in batch.groups
        ]
        batch = batch._replace(groups=groups)
        return batch if self.trainer is None else self.trainer.precision_plugin.convert_input(batch)
