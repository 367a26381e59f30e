"""Data sets with annotations of COCO's form: boxes, polygons and run lengths in a JSON file a split."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from torch import nn
from torchvision.transforms import v2

from gcvideo.agreement import digest_of_file
from gcvideo.data.dataset import EpochOrder
from gcvideo.data.lists.rows import AnnotationError
from gcvideo.data.loading.epochs import Place
from gcvideo.images.data import ImageData, Split
from gcvideo.images.detection.annotations import CocoFile, refuse
from gcvideo.images.detection.batch import DetectionBatch, DetectionItem, collate
from gcvideo.images.detection.order import AspectOrder
from gcvideo.images.detection.pictures import (
    CocoPictures,
    DropUnseen,
    TrainingPictures,
    UnknownPictures,
)
from gcvideo.images.loading import Pictures
from gcvideo.images.pictures import find_pictures
from gcvideo.run_folder import Evaluated

log = logging.getLogger(__name__)

MOST_NAMED = 3


class Listed(NamedTuple):
    """Where the annotations of a split are, and its pictures."""

    annotations: Path
    pictures: Path


class CocoData(ImageData):
    """Pictures with instances, annotated as in COCO: root/train.json and root/train/*.jpg, val likewise.

    Labels are 1..K in the order of the categories' ids in the training file; other files are matched by the
    categories' names, and so is a checkpoint, whatever numbers it gives to classes.

    In training, pictures are grouped by aspect ratio, and left out are: crowds; pictures without annotations
    (with only a crowd they stay, as background); pictures smaller than smallest_side. In evaluation every
    picture counts as COCO's own evaluation counts it.

    Args:
        root: Folder of the data set.
        train: Annotation file of the training pictures, in root.
        train_pictures: Folder of the training pictures, in root.
        val: Annotation file of the validation pictures.
        val_pictures: Folder of the validation pictures.
        test: Annotation file of the test pictures; by default that of validation, as of COCO.
        test_pictures: Folder of the test pictures; by default that of validation.
        filter_empty: Leave pictures without annotations out of training.
        smallest_side: Leave pictures with fewer pixels in height or width out of training.
        bad_boxes: What boxes do that have no area or are not in their pictures. With refuse they end the run;
            with drop, training goes without them, and with what is in the picture of those that reach over
            its border; the log counts them. In evaluation they count then as they are annotated.
        group_aspects: Whether a training batch holds wide pictures alone or high ones alone.
        flip_probability: Of a training picture.
        augment: Augmentations of training pictures, in order, before the flip: transforms of
            torchvision.transforms.v2, or modules of one's own, on a tv_tensors.Image and a dict of its boxes,
            labels and masks.
        settings: Those of every ImageData.
    """

    def __init__(
        self,
        root: Path,
        *,
        train: Path = Path("train.json"),
        train_pictures: Path = Path("train"),
        val: Path = Path("val.json"),
        val_pictures: Path = Path("val"),
        test: Path | None = None,
        test_pictures: Path | None = None,
        filter_empty: bool = True,
        smallest_side: int = 32,
        bad_boxes: Literal["refuse", "drop"] = "refuse",
        group_aspects: bool = True,
        flip_probability: float = 0.5,
        augment: list[nn.Module] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(root, **settings)
        self.listed = {
            "train": Listed(root / train, root / train_pictures),
            "val": Listed(root / val, root / val_pictures),
            "test": Listed(root / (test or val), root / (test_pictures or val_pictures)),
        }
        self.filter_empty = filter_empty
        self.smallest_side = smallest_side
        self.bad_boxes: Literal["refuse", "drop"] = bad_boxes
        self.group_aspects = group_aspects
        cut_again = [v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(), DropUnseen()] if augment else []
        self.transform = v2.Compose([*(augment or []), *cut_again, v2.RandomHorizontalFlip(flip_probability)])
        self.predicted_ids: list[int] = []
        self.predicted_of: Split | None = None
        self.file = cache(self._read)
        self._made: dict[Split, CocoPictures] = {}

    def _read(self, file: Path) -> CocoFile:
        log.info("reading %s", file)
        found = CocoFile(file)
        bad = list(found.bad_boxes())
        if self.bad_boxes == "refuse":
            refuse(file, bad, instead="mend them, or train without them: --data.bad_boxes drop")
        elif bad:
            log.warning(
                "%s: %d boxes have no area or are not in their pictures, as %s", file, len(bad), bad[0]
            )
        return found

    def annotations_of(self, split: Split) -> CocoFile:
        """Return the contents of the annotation file of train, val or test, which is read once."""
        return self.file(self.listed[split].annotations)

    def own_class_names(self) -> list[str] | None:
        """Return the categories of training; None beside a checkpoint, whose names all files must have."""
        return None if self.trained is not None else self.annotations_of("train").category_names

    def label_of(self, split: Split) -> dict[int, int]:
        """Return the label 1..K of every category of a split, by its id.

        Raises:
            AnnotationError: Its categories have other names than the classes.
        """
        file, names = self.annotations_of(split), self.class_names
        unknown = [category.name for category in file.categories if category.name not in names]
        missing = [name for name in names if name not in file.category_names]
        if unknown or missing:
            source = self.trained.checkpoint if self.trained is not None else self.listed["train"].annotations
            raise AnnotationError(
                f"{file.file}: its categories are not the {len(names)} classes of {source}: only here are "
                f"{_some(unknown)}, only there {_some(missing)}; list the same, with or without annotations"
            )
        return {category.id: 1 + names.index(category.name) for category in file.categories}

    def category_ids(self, split: Split) -> list[int]:
        """Return the ids by which results name the K classes; AnnotationError as of label_of."""
        of_label = {label: number for number, label in self.label_of(split).items()}
        return [of_label[label] for label in sorted(of_label)]

    def pictures_of(self, split: Split, *, training: bool) -> CocoPictures:
        if split not in self._made:
            self._made[split] = self._training(split) if training else self._evaluated(split)
        return self._made[split]

    def _evaluated(self, split: Split) -> CocoPictures:
        return CocoPictures(
            self.annotations_of(split), self.listed[split].pictures, label_of=self.label_of(split)
        )

    def _training(self, split: Split) -> TrainingPictures:
        file = self.annotations_of(split)
        small = [min(picture.height, picture.width) < self.smallest_side for picture in file.pictures]
        empty = [self.filter_empty and not picture.instances for picture in file.pictures]
        chosen = np.flatnonzero(~np.array([small, empty], dtype=bool).any(axis=0))
        log.info(
            "%s: trains on %d of %d pictures; left out are %d without annotations and %d smaller than %d "
            "pixels",
            file.file,
            len(chosen),
            len(file.pictures),
            sum(empty),
            sum(small),
            self.smallest_side,
        )
        return TrainingPictures(
            file,
            self.listed[split].pictures,
            label_of=self.label_of(split),
            chosen=chosen.tolist(),
            transform=self.transform,
        )

    def order_of(self, pictures: Pictures, place: Place, *, training: bool) -> EpochOrder:
        if not (training and self.group_aspects and isinstance(pictures, CocoPictures)) or place.overfits:
            return super().order_of(pictures, place, training=training)
        return AspectOrder(
            pictures.is_wide,
            batch_size=self.batch_size,
            shuffle=True,
            even=True,
            seed=self.seed,
            rank=place.rank,
            num_processes=place.num_processes,
        )

    def predict_on(self, named: Sequence[Path]) -> None:
        """Predict on these files, and the pictures below these folders.

        Pictures of val, test or train (the first that has all of them) keep their ids there, so that results
        can be evaluated with its annotations; others are numbered from 1, in their order.
        """
        self.predicted = find_pictures(named)
        self.predicted_ids = list(range(1, 1 + len(self.predicted)))
        self.predicted_of = None
        for split in ("val", "test", "train"):
            annotations, folder = self.listed[split]
            inside = [file for file in self.predicted if file.resolve().is_relative_to(folder.resolve())]
            if not annotations.is_file() or len(inside) < len(self.predicted):
                continue
            known = self.annotations_of(split).id_of_file
            ids = [known.get(file.resolve().relative_to(folder.resolve()).as_posix()) for file in inside]
            if None not in ids:
                self.predicted_ids = [number for number in ids if number is not None]
                self.predicted_of = split
                log.info("pictures and categories have their ids of %s", annotations)
                return

    def unlabelled(self, files: Sequence[Path]) -> UnknownPictures:
        return UnknownPictures(files, self.predicted_ids)

    def collate(self, items: list[DetectionItem]) -> DetectionBatch:
        return collate(items)

    def digests(self, stage: str) -> dict[str, str]:
        splits = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}.get(stage, ())
        return {f"annotations of {split}": digest_of_file(self.listed[split].annotations) for split in splits}

    def protocol(self, evaluated: Evaluated) -> dict[str, Any]:
        annotations, pictures = self.listed[evaluated]
        return {"annotations": str(annotations), "folder": str(pictures)}

    def on_after_batch_transfer(self, batch: DetectionBatch, dataloader_idx: int) -> DetectionBatch:
        """On the device: values of 0..1."""
        return batch._replace(images=[image.float() / 255 for image in batch.images])


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(map(repr, names[:MOST_NAMED])) + more if names else "none"
