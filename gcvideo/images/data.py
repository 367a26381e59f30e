"""What the data of all image tasks have in common: loaders that can go on within an epoch, and classes."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule

from gcvideo.data.dataset import EpochOrder
from gcvideo.data.lists.classes import Numbering, Trained, match
from gcvideo.data.loading.epochs import Place
from gcvideo.images.loading import PictureLoader, Pictures
from gcvideo.images.pictures import find_pictures
from gcvideo.limits import limited
from gcvideo.processes import available_workers
from gcvideo.run_folder import Evaluated

log = logging.getLogger(__name__)

Split = str
"""train, val or test."""


class ImageData(LightningDataModule):
    """Pictures for training, validation, test and prediction.

    A task derives from it and gives `own_class_names`, the sets of pictures that `pictures_of` and
    `unlabelled` return, `collate`, which makes a NamedTuple of `names` and whatever else the task's module
    takes, and for the record `digests` and `protocol`. Its __init__ hands **settings on to this one.

    Every process reads its own share of the pictures, none of them twice: in training those that would make
    shares uneven wait for another epoch, in evaluation each is read once.

    Args:
        root: Folder of the data set.
        batch_size: Pictures per process in training.
        test_batch_size: Pictures per process in validation, test and prediction; by default batch_size.
        num_workers: Loader processes per training process; by default the processors it may use, at most 8.
        seed: What order and augmentation derive from; with the same seed they are the same.

    Raises:
        ValueError: A number is too small.
    """

    def __init__(
        self,
        root: Path,
        *,
        batch_size: int = 32,
        test_batch_size: int | None = None,
        num_workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, number, least in (
            ("batch_size", batch_size, 1),
            ("test_batch_size", test_batch_size, 1),
            ("num_workers", num_workers, 0),
        ):
            if number is not None and number < least:
                raise ValueError(f"data.{name} is {number}; expected at least {least}")
        self.root = root
        self.batch_size = batch_size
        self.test_batch_size = test_batch_size or batch_size
        self.num_workers = available_workers() if num_workers is None else num_workers
        self.seed = seed
        self.trained: Trained | None = None
        self.predicted: list[Path] = []

    @abstractmethod
    def own_class_names(self) -> list[str] | None:
        """Return the class names that the data set gives, in its own order; None where it gives none."""

    @abstractmethod
    def pictures_of(self, split: Split, *, training: bool) -> Pictures:
        """Return the pictures of train, val or test, augmented in training."""

    @abstractmethod
    def unlabelled(self, files: Sequence[Path]) -> Pictures:
        """Return pictures as in a test, of which nothing is known."""

    @abstractmethod
    def collate(self, items: list[Any]) -> Any:
        """Return the batch of some items of these sets."""

    @abstractmethod
    def digests(self, stage: str) -> dict[str, str]:
        """Return digests of what must be the same on every rank in fit, validate, test or predict."""

    @abstractmethod
    def protocol(self, evaluated: Evaluated) -> dict[str, Any]:
        """Return what an evaluation on val or test looks at, as plain values."""

    def follow(self, names: Sequence[str], *, checkpoint: Path) -> None:
        """Take the numbers that a trained network gives to classes, from now on.

        Args:
            names: The network's class names in the order of its outputs.
            checkpoint: Where they come from, for messages.
        """
        self.trained = Trained(names, checkpoint)

    @property
    def numbering(self) -> Numbering:
        """The class of every output of the network, and the output of every label of the data set.

        Raises:
            ValueError: The data set's classes are not those of the network that is followed; or there is
                none, and the data set names none.
        """
        own = self.own_class_names()
        if self.trained is not None:
            return match(own, self.trained, source=str(self.root))
        if own is None:
            raise ValueError(
                f"{self.root}: nothing there tells the classes; name a checkpoint that knows them"
            )
        return Numbering(own, None)

    @property
    def class_names(self) -> list[str]:
        """The K class names in the order of the network's outputs; ValueError as of numbering."""
        return self.numbering.names

    def predict_on(self, named: Sequence[Path]) -> None:
        """Predict on these files, and the pictures below these folders."""
        self.predicted = find_pictures(named)

    def train_dataloader(self) -> PictureLoader:
        loader, place = self._loader(self.pictures_of("train", training=True), training=True)
        num_pictures, at_once = len(loader.dataset), self.batch_size * place.num_processes
        if num_pictures < at_once:
            raise ValueError(
                f"{self.root} has {num_pictures} training pictures, fewer than one batch of "
                f"{self.batch_size} for each of {place.num_processes} processes; lower data.batch_size"
            )
        used = limited(len(loader), place.limit) * at_once
        if used < num_pictures and place.rank == 0:
            log.info("each epoch reads %d of %d training pictures, in whole batches", used, num_pictures)
        return loader

    def val_dataloader(self) -> PictureLoader:
        return self._evaluation_loader(self.pictures_of("val", training=False), named="val")

    def test_dataloader(self) -> PictureLoader:
        return self._evaluation_loader(self.pictures_of("test", training=False), named="test")

    def predict_dataloader(self) -> PictureLoader:
        return self._evaluation_loader(self.unlabelled(self.predicted), named="predict")

    def order_of(self, pictures: Pictures, place: Place, *, training: bool) -> EpochOrder:
        """Return the order in which this process reads pictures."""
        return place.order(len(pictures), training=training, seed=self.seed)

    def _evaluation_loader(self, pictures: Pictures, *, named: str) -> PictureLoader:
        loader, place = self._loader(pictures, training=False)
        if len(pictures) < place.num_processes:  # whose figures would never come together
            raise ValueError(
                f"{named} has {len(pictures)} pictures, and there are {place.num_processes} processes; start "
                "no more than there are pictures"
            )
        return loader

    def _loader(self, pictures: Pictures, *, training: bool) -> tuple[PictureLoader, Place]:
        place = Place.of(self.trainer)
        loader = PictureLoader(
            pictures,
            order=self.order_of(pictures, place, training=training),
            batch_size=self.batch_size if training else self.test_batch_size,
            drop_last=training,
            collate=self.collate,
            seed=self.seed,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
        )
        return loader, place
