"""Loaders for a data set of video files with annotation files: Kinetics and everything of its form."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn

from gcvideo.clip import ClipBatch, VideoRecord, ViewBatch
from gcvideo.data.augmentation import Blend, Blending, ClipAugmentation, RandomErasing
from gcvideo.data.dataset import VideoDataset
from gcvideo.data.decoding import AscendingReader, Backend, FrameNames
from gcvideo.data.grid import clip_grid
from gcvideo.data.listed_videos import ListedVideos
from gcvideo.data.lists.class_counts import class_counts
from gcvideo.data.lists.folds import Folds
from gcvideo.data.lists.splits import SplitLists
from gcvideo.data.loading.epochs import Place, require_whole_batch, say_what_epochs_read
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.loading.multigrid_loader import MultigridLoader, require_possible
from gcvideo.data.loading.train_order import DrawnOrder, ListLabels, TrainOrder
from gcvideo.data.loading.unreadable import (
    RaiseUnreadable,
    ReportUnreadable,
    SkipUnreadable,
    UnreadablePolicy,
)
from gcvideo.data.multigrid import Multigrid, MultigridPlan
from gcvideo.data.packed_videos import PackedSet, PackedVideos
from gcvideo.data.sampling import ClipFrames, ClipSampler, RandomClip
from gcvideo.data.training_clips import Shared, TrainingDataset
from gcvideo.data.training_settings import TrainingSettings
from gcvideo.data.transforms import DeviceTransform, FrameTransform, Normalize, ScaleJitter
from gcvideo.data.views import EvaluationViews
from gcvideo.processes import available_workers
from gcvideo.run_folder import RunFolder

log = logging.getLogger(__name__)

DEFAULT_CLASSES = Path("classes.txt")


class VideoDataModule(ListedVideos):
    """Training, validation and test clips from folders of videos and lists of labels.

    Args:
        root: Folder that holds the annotation files and that the paths in them are relative to.
        train: Annotation file of the training videos: CSV `path,label`, or `path label`; labels are numbers
            from 0, or class names. CSV with a header may have start and end, in seconds, or start_frame and
            end_frame too: a row is that segment of its video then.
        val: Annotation file of the validation videos.
        test: Annotation file of the test videos.
        folds: Hold out a fold of the training list, and validate and test that, for cross-validation; val and
            test are not read then.
        classes: Class names, one a line in the order of the labels, or with numbers, or as JSON. Where there
            is no classes.txt, classes are numbered, and num_classes says how many there are.
        num_classes: Number of classes; by default the class names are counted, or else the training labels.
        multi_label: Whether a video may have several labels, or none: `0;3` or `walk;run` in lists, lines
            `path 0 3`, or a column for every class.
        videos: Folder that the annotated paths are relative to, where it is not the root itself.
        shards: Where the videos lie, if they were packed by data_prep/pack.py.
        source: What a path of the lists is: videos for a file, frames for a folder of pictures. Lists of
            folders may be `folder num_frames label` too (TSN, TSM, MMAction2's rawframes).
        frames: How the pictures of a video are named, and how fast they follow one another.
        clip: Which frames make a clip.
        train_sampler: Rule that chooses the clip of a training video: RandomClip, anywhere (the default); or
            a ClipSampler of your own, made with clip.
        train_order: Which videos an epoch reads and how often: ClassBalanced, SquareRoot,
            ProgressivelyBalanced or a TrainOrder of your own, which draw rare classes more often; by default
            each video once. An epoch has as many places as the list has videos, whatever is drawn.
        train_transform: Random crop and flip of training clips: ScaleJitter (the default),
            AreaJitter or a FrameTransform of one's own.
        augment: Augmentations of training clips, in order, behind crop and flip: transforms of
            torchvision.transforms.v2, TimmRandAugment, TimeReversal, FrameDropping or modules of one's own.
            They see the uint8 frames [T 3 H W] of one clip, in the loader processes; one draw is for all.
        device_augment: The same on the device, where dear ones cost the loader nothing. The draws for a clip
            follow from seed, epoch and video too.
        random_erasing: Fills a box of a clip with noise, behind normalisation.
        repeats: Training clips of every video in a batch, from one decode, each cropped and augmented anew
            (repeated augmentation, Hoffer et al., arXiv:1901.09335). A batch then has batch_size * repeats
            clips; the learning rate counts batch_size.
        repeats_share: What the repeats have in common: clip, the frames (PySlowFast, VideoMAE); or only the
            video, of which each is another clip (MMAction2).
        multigrid: Training clips and batches that change their shape from phase to phase; without, they stay.
        val_views: The views of a video in validation.
        test_views: The views of a video in test and prediction.
        blend: Blending between training clips: mixup, cutmix, both or none, as a list; or a Blending, with a
            probability, and parameters of each.
        blend_alpha: Parameter of the Beta distribution of the blending share, of a list.
        mean: Mean of red, green and blue, of values in 0..1.
        std: Standard deviation of the same.
        batch_size: Training and validation clips per process.
        test_batch_size: Test videos per process; each of them brings all its views.
        num_workers: Loader processes per training process; by default the processors it may use, at most 8.
        backend: Decoder: pyav; or decord or torchcodec (where they are installed) for what a list of
            data_prep/verify.py calls plain, and pyav for all else. The frames are the same.
        reader: What reads all videos in place of a backend: an AscendingReader of your own, made with the
            path.
        timeout_seconds: How long reading one video may take, and a loader process do nothing between two; 0
            is for ever. A decoder that takes longer, or dies, costs one loader process; without loader
            processes (num_workers 0) it ends the run.
        on_error: What a training video does that cannot be read. With raise it ends the run; with skip it is
            missing from its batch, and listed in unreadable.csv in the run's folder. Validation and test
            always go on, and count such videos. Files that are not there are found before a run; of a
            training list they end it or are skipped likewise, and no list may lack all.
        max_unreadable_share: With skip, the share of the training videos that may be unreadable; 0..1.
        seed: What order, clips, crops and flips derive from; with the same seed they are the same.
    """

    def __init__(
        self,
        root: Path,
        *,
        train: Path = Path("train.csv"),
        val: Path = Path("val.csv"),
        test: Path = Path("test.csv"),
        folds: Folds | None = None,
        classes: Path = DEFAULT_CLASSES,
        num_classes: int | None = None,
        multi_label: bool = False,
        videos: Path | None = None,
        shards: PackedSet | None = None,
        source: Literal["videos", "frames"] = "videos",
        frames: FrameNames = FrameNames(),  # noqa: B008 (frozen)
        clip: ClipFrames = ClipFrames(),  # noqa: B008 (frozen)
        train_sampler: Callable[[ClipFrames], ClipSampler] = RandomClip,
        train_order: TrainOrder | None = None,
        train_transform: FrameTransform | None = None,
        augment: list[nn.Module] | None = None,
        device_augment: list[nn.Module] | None = None,
        random_erasing: RandomErasing | None = None,
        repeats: int = 1,
        repeats_share: Shared = "clip",
        multigrid: Multigrid | None = None,
        val_views: EvaluationViews = EvaluationViews(1, 1, 256, 224),  # noqa: B008 (frozen)
        test_views: EvaluationViews = EvaluationViews(),  # noqa: B008
        blend: list[Blend] | Blending | None = None,
        blend_alpha: float = 1.0,
        mean: tuple[float, float, float] = (0.45, 0.45, 0.45),
        std: tuple[float, float, float] = (0.225, 0.225, 0.225),
        batch_size: int = 8,
        test_batch_size: int = 1,
        num_workers: int | None = None,
        backend: Backend = "pyav",
        reader: Callable[[Path], AscendingReader] | None = None,
        timeout_seconds: float = 30.0,
        on_error: Literal["raise", "skip"] = "raise",
        max_unreadable_share: float = 0.05,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        for name, file in {"val": val, "test": test}.items():
            if folds is not None and file != Path(f"{name}.csv"):
                raise ValueError(
                    f"data.{name} is {file}, but with data.folds a part of data.train is held out; drop one"
                )
        self.root = root
        folder = root / videos if videos is not None else root
        self.packed = PackedVideos(shards, videos=folder) if shards is not None else None
        self.split_lists = SplitLists(
            {"train": root / train, "val": root / val, "test": root / test},
            videos=folder,
            classes=root / classes,
            needs_classes=classes != DEFAULT_CLASSES,
            num_classes=num_classes,
            folds=folds,
            of_folders=source == "frames",
            multi_label=multi_label,
            packed=self.packed,
        )
        self.source = source
        self.frames = frames
        self.clip = clip
        self.train_sampler = train_sampler
        self.train_order = train_order
        self.train_transform = train_transform or ScaleJitter()
        self.augment = ClipAugmentation(augment or [])
        self.device_augment = ClipAugmentation(device_augment or [])
        self.random_erasing = random_erasing
        self.repeats = repeats
        self.repeats_share: Shared = repeats_share
        self.multigrid = multigrid
        self.val_views = val_views
        self.test_views = test_views
        for views in (val_views, test_views):
            views.clips(clip)  # so that a rule that cannot be made is refused before a run
        self.blend: list[Blend] | Blending = blend or []
        self.blend_alpha = blend_alpha
        if isinstance(blend, Blending):
            blend.require_possible()
        self.normalize = Normalize(mean, std)
        self.batch_size = batch_size
        self.test_batch_size = test_batch_size
        self.num_workers = available_workers() if num_workers is None else num_workers
        self.backend: Backend = backend
        self.reader = reader
        self.timeout_seconds = timeout_seconds
        self.on_error: Literal["raise", "skip"] = on_error
        self.max_unreadable_share = max_unreadable_share
        self.seed = seed
        others = {"source": source != "videos", "backend": backend != "pyav", "reader": reader is not None}
        for name, is_other in others.items():
            if shards is not None and is_other:
                raise ValueError(
                    f"data.{name} {getattr(self, name)} reads files, and with data.shards videos are none; "
                    f"leave data.{name} out, or unpack the shards (tar xf) and leave data.shards out"
                )
        if source == "frames" and backend != "pyav":
            raise ValueError(f"data.backend {backend} reads files; leave it out with data.source frames")
        least = {"batch_size": 1, "test_batch_size": 1, "repeats": 1, "num_workers": 0, "timeout_seconds": 0}
        for name, smallest in least.items():
            if not getattr(self, name) >= smallest:  # nor nan
                raise ValueError(f"data.{name} is {getattr(self, name)}; expected {smallest} or more")
        self.multigrid_plan()  # which says now what cannot be

    def train_dataloader(self) -> VideoLoader:
        settings, plan, place = self.training_settings, self.multigrid_plan(), Place.of(self.trainer)
        dataset = full = self.training_dataset(self.records("train"))
        settings.require_possible(full, batch_size=self.batch_size)
        if plan is not None:
            dataset = settings.of_every_shape(full, plan)
            if self.trainer is not None:
                require_possible(plan, self.trainer)
        unreadable = self._policy_of_training(len(dataset))
        loader = self._loader(
            dataset, batch_size=self.batch_size, unreadable=unreadable, plan=plan, training=True
        )
        require_whole_batch(loader, place, file=self.lists["train"])
        say_what_epochs_read(loader, place, repeats=self.repeats, said=self._said)
        return loader

    def statistics_dataloader(self) -> VideoLoader:
        """Return training batches to estimate statistics from; with multigrid of the long cycle alone."""
        loader = self.train_dataloader()
        return loader.of_long_cycle() if isinstance(loader, MultigridLoader) else loader

    def val_dataloader(self) -> VideoLoader:
        return self._evaluation_loader("val", self.val_views, batch_size=self.batch_size)

    def test_dataloader(self) -> VideoLoader:
        return self._evaluation_loader("test", self.test_views, batch_size=self.test_batch_size)

    @property
    def views_vary(self) -> bool:
        """Whether the evaluation that runs has other numbers of views for other videos."""
        testing = self.trainer is not None and self.trainer.testing
        return (self.test_views if testing else self.val_views).clips(self.clip).varies

    @property
    def training_settings(self) -> TrainingSettings:
        """What is made of training videos."""
        return TrainingSettings(*(getattr(self, name) for name in TrainingSettings._fields))

    def multigrid_plan(self) -> MultigridPlan | None:
        """Return shape and size of every training batch, where they change."""
        return self.training_settings.plan()

    def training_dataset(self, records: Sequence[VideoRecord]) -> TrainingDataset:
        """Return `records` with random clips and crops, augmented."""
        return self.training_settings.dataset(
            records, backend=self.opens_listed, seed=self.seed, num_classes=self.num_set_classes
        )

    def class_counts(self) -> Int64[Tensor, " K"]:
        """Return how many training videos have each class."""
        records = self.training_dataset(self.records("train")).records
        return class_counts(records, num_classes=len(self.class_names))

    def protocol(self, split: Literal["val", "test"]) -> dict[str, Any]:
        """Return what an evaluation on this split looks at, as plain values."""
        views = {"val": self.val_views, "test": self.test_views}[split]
        return {
            "list": self.split_lists.named(split),
            "clip": {
                name: value for name, value in asdict(self.clip).items() if name != "align"
            },  # training's
            "views": views.as_plain(self.clip),
            "mean": [round(value / 255, 6) for value in self.normalize.mean.flatten().tolist()],
            "std": [round(value / 255, 6) for value in self.normalize.std.flatten().tolist()],
        }

    def evaluation_dataset(self, records: Sequence[VideoRecord], views: EvaluationViews) -> VideoDataset:
        """Return `records` with fixed clips and crops."""
        return VideoDataset(
            records,
            clips=views.clips(self.clip),
            crops=views.crops(),
            backend=self.opens_listed,
            seed=self.seed,
            num_classes=self.num_set_classes,
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> ViewBatch:
        """On the device: normalise, and in training blend."""
        training = self.trainer is not None and self.trainer.training
        transform = self.device_transform(training=training)
        views = transform.to(batch.frames.device)(ClipBatch(*batch))
        return views if self.trainer is None else self.trainer.precision_plugin.convert_input(views)

    def clip_picture(self, batch: ViewBatch) -> UInt8[np.ndarray, "h w 3"]:
        """Return the clips of a batch as the network reads them, with their targets."""
        return clip_grid(batch, self.normalize, self.class_names)

    def device_transform(self, *, training: bool) -> DeviceTransform:
        """Return what a batch goes through on the device."""
        if not training:
            return DeviceTransform(self.normalize)
        return self.training_settings.device_transform(
            self.normalize, num_classes=lambda: len(self.class_names), seed=self.seed
        )

    def _policy_of_training(self, num_videos: int) -> UnreadablePolicy:
        if self.on_error == "raise":
            return RaiseUnreadable()
        run = RunFolder(Path(self.trainer.default_root_dir) if self.trainer is not None else Path())
        return SkipUnreadable(run.unreadable, num_videos=num_videos, max_share=self.max_unreadable_share)

    def _evaluation_loader(self, split: str, views: EvaluationViews, *, batch_size: int) -> VideoLoader:
        records = self.records(split)
        if split not in self._said:  # once, and not in every epoch
            self._said[split] = self.said_of_rates(records, of=f"the videos of {self.lists[split]}")
            if self._said[split] and Place.of(self.trainer).rank == 0:
                log.warning(self._said[split])
        return self._loader(
            self.evaluation_dataset(records, views),
            training=False,
            batch_size=1 if views.clips(self.clip).varies else batch_size,
            unreadable=ReportUnreadable(),
        )

    def _loader(
        self,
        dataset: VideoDataset,
        *,
        training: bool,
        batch_size: int,
        unreadable: UnreadablePolicy,
        plan: MultigridPlan | None = None,
    ) -> VideoLoader:
        drawn = None
        if self.train_order is not None and training:
            drawn = partial(DrawnOrder, self.train_order, ListLabels(dataset.records, self.class_names))
        order = Place.of(self.trainer).order(len(dataset), training=training, seed=self.seed, drawn=drawn)
        order.set_epoch(self.trainer.current_epoch if plan is not None and self.trainer is not None else 0)
        kind = VideoLoader if plan is None else partial(MultigridLoader, plan=plan)
        loader = kind(
            dataset,
            order=order,
            batch_size=batch_size,
            drop_last=training,
            num_workers=self.num_workers,
            timeout_seconds=self.timeout_seconds,
            unreadable=unreadable,
            pin_memory=torch.cuda.is_available(),
        )
        loader.said = self._said.setdefault("training" if training else "evaluation", set())
        return loader
