"""Annotated pictures, read and made into what a detector takes."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from gcvideo.data.lists.rows import AnnotationError
from gcvideo.images.detection.annotations import CocoFile, Instance, Picture, refuse
from gcvideo.images.detection.batch import DetectionItem, Target
from gcvideo.images.pictures import read_picture


class CocoPictures:
    """The pictures of an annotation file, for evaluation: all of them, as they are annotated.

    Args:
        file: The annotations.
        folder: Folder of the pictures.
        label_of: The class 1..K of every category, by its id.
        chosen: Which pictures of the file, by their places in it; by default all.

    Raises:
        AnnotationError: A picture is not there.
    """

    def __init__(
        self,
        file: CocoFile,
        folder: Path,
        *,
        label_of: Mapping[int, int],
        chosen: Sequence[int] | None = None,
    ) -> None:
        self.annotated = file.pictures
        self.folder = folder
        self.label_of = dict(label_of)
        self.chosen = np.arange(len(file.pictures)) if chosen is None else np.asarray(chosen, dtype=np.int64)
        self.names = [self.annotated[place].file_name for place in self.chosen]
        refuse(file.file, missing_files(folder, self.names), instead="fetch them, or name another folder")

    @cached_property
    def is_wide(self) -> Bool[np.ndarray, " N"]:
        """Which pictures are at least as wide as high."""
        pictures = (self.annotated[place] for place in self.chosen)
        return np.array([picture.width >= picture.height for picture in pictures], dtype=bool)

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: int) -> DetectionItem:
        """Return a picture with its instances.

        Raises:
            ValueError: It cannot be read, or has another size than its annotation says.
        """
        picture: Picture = self.annotated[self.chosen[index]]
        file = self.folder / picture.file_name
        image = read_picture(file)
        if image.size != (picture.width, picture.height):
            raise ValueError(
                f"{file}: is {image.width} x {image.height} pixels, and its annotation says "
                f"{picture.width} x {picture.height}; expected the picture that was annotated (EXIF "
                "orientation is not applied)"
            )
        pixels, target = self.made(image, picture)
        return DetectionItem(pixels, target, picture.file_name, picture.id)

    def made(self, image: Image.Image, picture: Picture) -> tuple[UInt8[Tensor, "3 H W"], Target]:
        """Return pixels, and all instances with the areas that the file says; crowds are marked."""
        instances = picture.instances
        masks = self.masks(instances, picture)
        # In double precision, in which no width changes on its way to a corner and back.
        boxes = torch.tensor([instance.box for instance in instances], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        areas = [
            float(mask.sum()) if instance.area is None else instance.area
            for instance, mask in zip(instances, masks, strict=True)
        ]
        target: Target = {
            "boxes": boxes,
            "labels": self.labels(instances),
            "masks": masks,
            "iscrowd": torch.tensor([int(instance.is_crowd) for instance in instances], dtype=torch.int64),
            "area": torch.tensor(areas, dtype=torch.float64),
        }
        return F.pil_to_tensor(image), target

    def labels(self, instances: Sequence[Instance]) -> Tensor:
        """Return the classes 1..K of instances."""
        return torch.tensor([self.label_of[one.category_id] for one in instances], dtype=torch.int64)

    def masks(self, instances: Sequence[Instance], picture: Picture) -> UInt8[Tensor, "N H W"]:
        """Return the masks of instances.

        Raises:
            AnnotationError: Run lengths are of no mask.
        """
        masks = torch.zeros(len(instances), picture.height, picture.width, dtype=torch.uint8)
        for place, instance in enumerate(instances):
            try:
                masks[place] = torch.from_numpy(instance.mask(picture.height, picture.width))
            except ValueError as error:
                raise AnnotationError(
                    f"annotation {instance.id} of {picture.file_name}: its segmentation is none ({error})"
                ) from error
        return masks


class TrainingPictures(CocoPictures):
    """The pictures of an annotation file, for training: augmented, without crowds, boxes cut at the border.

    Args:
        file: The annotations.
        folder: Folder of the pictures.
        label_of: The class 1..K of every category, by its id.
        chosen: Which pictures of the file, by their places in it.
        transform: A transform of torchvision.transforms.v2, of a picture with boxes and masks.
    """

    def __init__(
        self,
        file: CocoFile,
        folder: Path,
        *,
        label_of: Mapping[int, int],
        chosen: Sequence[int],
        transform: v2.Transform,
    ) -> None:
        super().__init__(file, folder, label_of=label_of, chosen=chosen)
        self.transform = transform

    def made(self, image: Image.Image, picture: Picture) -> tuple[UInt8[Tensor, "3 H W"], Target]:
        """Return pixels and instances behind the transform."""
        clipped = [(one, one.clipped(picture.height, picture.width)) for one in picture.instances]
        seen = [(one, box) for one, box in clipped if box is not None and not one.is_crowd]
        instances = [one for one, _ in seen]
        boxes = torch.tensor([box for _, box in seen], dtype=torch.float32).reshape(-1, 4)
        transformed, target = self.transform(
            tv_tensors.Image(F.pil_to_tensor(image)),
            {
                "boxes": tv_tensors.BoundingBoxes(  # pyright: ignore[reportCallIssue]
                    boxes, format="XYXY", canvas_size=(picture.height, picture.width)
                ),
                "labels": self.labels(instances),
                "masks": tv_tensors.Mask(self.masks(instances, picture)),
            },
        )
        return transformed.as_subclass(Tensor), {name: of.as_subclass(Tensor) for name, of in target.items()}


class DropUnseen(nn.Module):
    """Drops the instances of which augmentation has left no pixel, though a corner of their box."""

    def forward(self, image: Tensor, target: dict[str, Any]) -> tuple[Tensor, dict[str, Any]]:
        """Return the picture, and the target of what is seen."""
        seen = target["masks"].flatten(1).bool().any(dim=1)
        wrap: Any = tv_tensors.wrap
        kept = {name: of[seen] for name, of in target.items()}
        return image, {**kept, **{name: wrap(kept[name], like=target[name]) for name in ("boxes", "masks")}}


class UnknownPictures:
    """Pictures to predict on.

    Args:
        files: The pictures.
        ids: By which results name them.
    """

    def __init__(self, files: Sequence[Path], ids: Sequence[int]) -> None:
        self.names = [str(file) for file in files]
        self.ids = list(ids)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> DetectionItem:
        image = F.pil_to_tensor(read_picture(self.names[index]))
        return DetectionItem(image, {}, self.names[index], self.ids[index])


def missing_files(folder: Path, names: Sequence[str]) -> list[str]:
    """Return a line for every file that is not in a folder, which is listed once and not asked for each."""
    there: dict[str, set[str]] = {}
    missing = []
    for name in names:
        below, _, own = name.rpartition("/")
        if below not in there:
            inside = folder / below
            there[below] = {file.name for file in os.scandir(inside)} if inside.is_dir() else set()
        if own not in there[below]:
            missing.append(f"picture {folder / name} is not there")
    return missing
