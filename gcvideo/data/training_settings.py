"""What is made of a training video, from its frames to the target of its clips."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from gcvideo.clip import VideoRecord
from gcvideo.data.augmentation import (
    Blend,
    BlendClips,
    Blending,
    BlendSometimes,
    ChosenBlend,
    ClipAugmentation,
    RandomErasing,
)
from gcvideo.data.dataset import VideoDataset
from gcvideo.data.decoding import Backend, OpenReader
from gcvideo.data.loading.multigrid_loader import MultigridDataset, plan_of
from gcvideo.data.multigrid import Multigrid, MultigridPlan
from gcvideo.data.sampling import ClipFrames, ClipSampler, ClipShape, RandomStride
from gcvideo.data.training_clips import REPEATED, Shared, TrainingDataset
from gcvideo.data.training_transform import TrainingTransform
from gcvideo.data.transforms import FrameTransform, Normalize


class TrainingSettings(NamedTuple):
    """Attributes of a VideoDataModule, which explains them, that are about training clips."""

    clip: ClipFrames
    train_sampler: Callable[[ClipFrames], ClipSampler]
    train_transform: FrameTransform
    augment: ClipAugmentation
    device_augment: ClipAugmentation
    random_erasing: RandomErasing | None
    repeats: int
    repeats_share: Shared
    multigrid: Multigrid | None
    blend: list[Blend] | Blending
    blend_alpha: float

    def plan(self) -> MultigridPlan | None:
        """Return shape and size of every training batch, where they change.

        Raises:
            ValueError: The schedule cannot be, or the transform cuts one size only.
        """
        if self.multigrid is None:
            return None
        sampler = self.train_sampler(self.clip)
        return plan_of(self.multigrid, clip=self.clip, transform=self.train_transform, sampler=sampler)

    def dataset(
        self,
        records: Sequence[VideoRecord],
        *,
        backend: Backend | OpenReader,
        seed: int,
        num_classes: int | None = None,
    ) -> TrainingDataset:
        """Return `records` with random clips and crops, augmented; num_classes as of VideoDataset."""
        clips = self.train_sampler(self.clip)
        if self.repeats > 1:
            clips = REPEATED[self.repeats_share](clips, num_repeats=self.repeats)
        return TrainingDataset(
            records,
            clips=clips,
            transform=self.train_transform.transform,
            augment=self.augment,
            backend=backend,
            seed=seed,
            num_classes=num_classes,
        )

    def of_every_shape(self, full: VideoDataset, plan: MultigridPlan) -> MultigridDataset:
        """Return the videos of `full` as clips of every shape of a plan."""

        def of(shape: ClipShape) -> VideoDataset:
            return self._replace(
                train_sampler=lambda clip: RandomStride(clip, shape=shape, sampler=self.train_sampler),
                train_transform=self.train_transform.at_crop_size(shape.crop_size),
            ).dataset(full.records, backend=full.backend, seed=full.seed, num_classes=full.num_classes)

        return MultigridDataset(full, {shape: of(shape) for shape in plan.shapes})

    def require_possible(self, dataset: TrainingDataset, *, batch_size: int) -> None:
        """Try what is to happen to training clips.

        Raises:
            ValueError: An augmentation cannot be, or blending would find one video in a batch.
        """
        if batch_size == 1 and (isinstance(self.blend, Blending) or (self.blend and self.repeats > 1)):
            raise ValueError(
                "data.blend blends clips of different videos, and with data.batch_size 1 a batch has one; "
                "raise data.batch_size to 2 or more, or leave data.blend out"
            )
        clip = dataset.empty_clip()
        self.augment.require_possible(clip, key="data.augment")
        self.device_augment.require_possible(clip, key="data.device_augment")

    def device_transform(
        self, normalize: Normalize, *, num_classes: Callable[[], int], seed: int
    ) -> TrainingTransform:
        """Return what a training batch goes through on the device.

        Args:
            normalize: The normalisation.
            num_classes: Tells how many classes there are, which blending alone needs to know.
            seed: What the draws for a clip follow from.
        """
        blend: ChosenBlend | None = None
        if isinstance(self.blend, Blending):
            blend = BlendSometimes(num_classes(), self.blend)
        elif self.blend:
            blend = BlendClips(num_classes(), kinds=self.blend, alpha=self.blend_alpha)
        return TrainingTransform(
            normalize, augment=self.device_augment, erase=self.random_erasing, blend=blend, seed=seed
        )
