"""Folders of pictures, one a class: root/train/CLASS/*.jpg, root/val/CLASS/*.jpg."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from gcvideo.agreement import digest_of_values
from gcvideo.images.classification.batch import UNKNOWN, Labelled, LabelledBatch, collate
from gcvideo.images.data import ImageData, Split
from gcvideo.images.loading import Pictures
from gcvideo.images.pictures import is_picture, read_picture
from gcvideo.run_folder import Evaluated

log = logging.getLogger(__name__)

MOST_NAMED = 3


class ImageFolderData(ImageData):
    """Pictures in folders that are called after their classes: root/train/CLASS/*.jpg, root/val/CLASS/*.jpg.

    Classes are those of the training folder, in the order of their names; where there is none, those of a
    checkpoint. Folders are matched with them by name.

    Args:
        root: Folder of the data set.
        train: Folder of the training pictures, in root.
        val: Folder of the validation pictures.
        test: Folder of the test pictures; by default those of validation, as of ImageNet.
        crop_size: Side of the square that the network sees, in pixels.
        resize_size: Short side to which a picture is brought before its centre is cut out, in evaluation.
        min_area: Least share of a picture that a training crop has.
        flip_probability: Of a training crop.
        augment: Augmentations of training crops, in order, behind crop and flip: transforms of
            torchvision.transforms.v2, or modules of one's own, on uint8 [3 H W].
        mean: Mean of red, green and blue, of values in 0..1.
        std: Standard deviation of the same.
        settings: Those of every ImageData.
    """

    def __init__(
        self,
        root: Path,
        *,
        train: Path = Path("train"),
        val: Path = Path("val"),
        test: Path = Path("val"),
        crop_size: int = 224,
        resize_size: int = 256,
        min_area: float = 0.08,
        flip_probability: float = 0.5,
        augment: list[nn.Module] | None = None,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
        **settings: Any,
    ) -> None:
        super().__init__(root, **settings)
        if not 0 < crop_size <= resize_size:
            raise ValueError(
                f"data.crop_size is {crop_size} and data.resize_size {resize_size}; expected no larger crop"
            )
        self.folders = {"train": root / train, "val": root / val, "test": root / test}
        self.crop_size = crop_size
        self.resize_size = resize_size
        self.mean, self.std = mean, std
        self.normalize = v2.Normalize(list(mean), list(std))
        self.training_transform = v2.Compose(
            [
                v2.RandomResizedCrop(crop_size, scale=(min_area, 1.0)),
                v2.RandomHorizontalFlip(flip_probability),
                v2.PILToTensor(),
                *(augment or []),
            ]
        )
        self.evaluation_transform = v2.Compose(
            [v2.Resize(resize_size), v2.CenterCrop(crop_size), v2.PILToTensor()]
        )
        self._found: dict[tuple[str, bool], FolderPictures] = {}

    def own_class_names(self) -> list[str] | None:
        folder = self.folders["train"]
        if folder.is_dir():
            return class_folders(folder)
        return None if self.trained is not None else class_folders(self.folders["val"])

    def pictures_of(self, split: Split, *, training: bool) -> "FolderPictures":
        if (split, training) not in self._found:
            transform = self.training_transform if training else self.evaluation_transform
            pictures = FolderPictures(self.folders[split], self.class_names, transform)
            pictures.require_pictures(all_classes=training)
            self._found[split, training] = pictures
        return self._found[split, training]

    def unlabelled(self, files: Sequence[Path]) -> Pictures:
        return FilePictures(files, self.evaluation_transform)

    def collate(self, items: list[Labelled]) -> LabelledBatch:
        return collate(items)

    def digests(self, stage: str) -> dict[str, str]:
        splits = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ())
        sets = {split: self.pictures_of(split, training=split == "train") for split in splits}
        return {f"pictures of {split}": digest_of_values(of.labelled) for split, of in sets.items()}

    def protocol(self, evaluated: Evaluated) -> dict[str, Any]:
        return {
            "folder": str(self.folders[evaluated]),
            "resize_size": self.resize_size,
            "crop_size": self.crop_size,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    def on_after_batch_transfer(self, batch: LabelledBatch, dataloader_idx: int) -> LabelledBatch:
        """On the device: values of 0..1, normalised."""
        images = self.normalize(batch.images.float() / 255)
        batch = batch._replace(images=images)
        return batch if self.trainer is None else self.trainer.precision_plugin.convert_input(batch)


class FolderPictures(ImageFolder):
    """torchvision's ImageFolder with classes of given numbers, whose pictures have names.

    Args:
        folder: Holds a folder of pictures for every class.
        class_names: The classes in the order of their labels.
        transform: Makes uint8 [3 H W] of a picture.

    Raises:
        ValueError: The folder is not there, or holds one that is called after no class.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], transform: v2.Transform) -> None:
        self.folder = folder
        self.class_names = list(class_names)
        self.others: list[str] = []
        super().__init__(
            str(folder), transform, loader=read_picture, is_valid_file=self._is_picture, allow_empty=True
        )

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        unknown = sorted({*class_folders(self.folder)} - {*self.class_names})
        if unknown:
            raise ValueError(
                f"{self.folder} has folders of {len(unknown)} unknown classes ({_some(unknown)}); expected "
                f"only {len(self.class_names)} classes: {_some(self.class_names)}"
            )
        return self.class_names, {name: label for label, name in enumerate(self.class_names)}

    def _is_picture(self, file: str) -> bool:
        if is_picture(Path(file)):
            return True
        self.others.append(file)
        return False

    def require_pictures(self, *, all_classes: bool) -> None:
        """Say which classes have no picture, and which files are none.

        Raises:
            ValueError: A class of a training has none, or no class of an evaluation has one.
        """
        present = set(self.targets)
        empty = [name for label, name in enumerate(self.class_names) if label not in present]
        if empty and (all_classes or not present):
            raise ValueError(
                f"{self.folder} has no picture of {len(empty)} classes ({_some(empty)}); expected some in "
                f"each, as {self.folder / empty[0]}/*.jpg"
            )
        if empty:
            log.warning("%s has no picture of %d classes (%s)", self.folder, len(empty), _some(empty))
        if self.others:
            log.warning(
                "%s: %d files that are not named as pictures are left out (%s)",
                self.folder,
                len(self.others),
                _some(self.others),
            )

    @property
    def names(self) -> list[str]:
        """The pictures by their paths below the folder."""
        return [os.path.relpath(file, self.folder) for file, _ in self.samples]

    @property
    def labelled(self) -> dict[str, str]:
        """The class of every picture, by name."""
        return {name: self.class_names[label] for name, label in zip(self.names, self.targets, strict=True)}

    def __getitem__(self, index: int) -> Labelled:  # pyright: ignore[reportIncompatibleMethodOverride]
        image, label = super().__getitem__(index)
        return Labelled(image, label, os.path.relpath(self.samples[index][0], self.folder))


class FilePictures:
    """Pictures of which nothing is known, called by their paths.

    Args:
        files: The pictures.
        transform: Makes uint8 [3 H W] of a picture.
    """

    def __init__(self, files: Sequence[Path], transform: v2.Transform) -> None:
        self.names = [str(file) for file in files]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Labelled:
        image: torch.Tensor = self.transform(read_picture(self.names[index]))
        return Labelled(image, UNKNOWN, self.names[index])


def class_folders(folder: Path) -> list[str]:
    """Return the folders in a folder, in the order of their names.

    Raises:
        ValueError: It is not there, or has none.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder}: there is no such folder; expected folders of pictures in it, one a class"
        )
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if not names:
        raise ValueError(f"{folder}: has no folders; expected folders of pictures in it, one a class")
    return names


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
