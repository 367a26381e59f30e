"""`gcvideo peek`: training clips as the network will see them, before any training."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from PIL import Image

from gcvideo.atomic import replacing
from gcvideo.attention.pictures import write_mp4
from gcvideo.cli.clip_size import add_clip_and_size, settle_clip_and_size
from gcvideo.cli.options import add_out
from gcvideo.cli.parser import CommandParser
from gcvideo.cli.run_classes import settle
from gcvideo.cli.run_help import asked_topic, without_topic
from gcvideo.cli.run_options import run_options
from gcvideo.cli.run_task import task_defaults
from gcvideo.clip import Unreadable, ViewBatch
from gcvideo.data import VideoDataModule
from gcvideo.data.grid import captions, clip_film, clip_grid
from gcvideo.data.loading.unreadable import ReportUnreadable
from gcvideo.data.on_device import OnDevice
from gcvideo.keeping.resuming import seed_step
from gcvideo.limits import limited

log = logging.getLogger(__name__)


def parser(data: type[VideoDataModule] = VideoDataModule, *, topic: str | None = None) -> CommandParser:
    """Return the parser of the command's arguments, for data of this class."""
    arguments = CommandParser(
        prog="gcvideo peek",
        topic=topic,
        description="Draw training clips as the network will see them, cropped, augmented and blended, with "
        "their labels: clips.png and clips.mp4. They are those that `gcvideo fit` trains on, with the same "
        "arguments, in one process; no network is made.",
    )
    arguments.add_argument("--config", action="config", help="Config files of the run, as for fit.")
    add_out(arguments, default=Path("peek"))
    arguments.add_argument("--num_clips", type=PositiveInt, default=8, help="Draw so many clips.")
    arguments.add_argument("--epoch", type=NonNegativeInt, default=0, help="Draw clips of this epoch.")
    arguments.add_argument("--batch", type=NonNegativeInt, default=0, help="Begin with this batch of it.")
    arguments.add_argument("--seed_everything", type=bool | int, default=0, help="Seed of the run.")
    arguments.add_class_arguments(data, "data")
    arguments.add_argument("--trainer", type=dict[str, Any] | None, help="limit_train_batches counts.")
    add_clip_and_size(arguments)
    for other in sorted(run_options() - {"config", "data", "seed_everything", "trainer", "clip", "size"}):
        arguments.add_argument(f"--{other}", type=Any, help="Of the run; makes no difference.")
    return arguments


def run(arguments: Sequence[str]) -> None:
    """Draw the clips that `arguments` name."""
    settled = settle(without_topic(arguments[1:]))
    commands = parser(settled.data, topic=asked_topic(arguments))
    commands.set_defaults(task_defaults(settled.task, ("data",)))
    options = commands.parse_args(settled.arguments)
    settle_clip_and_size(options, settled.arguments)
    data: VideoDataModule = commands.instantiate_classes(options)["data"]
    limit = (options.trainer or {}).get("limit_train_batches")

    # Read and transform as many batches as it takes
    seen = ClipsOfTraining(data, seed=int(options.seed_everything), limit=limit)
    batch = joined(seen.batches(options.epoch, first=options.batch), num_clips=options.num_clips)
    for unreadable in batch.unreadable:
        log.warning("%s: %s", unreadable.record.path, unreadable.reason)
    if not len(batch.views):
        raise ValueError("none of the videos could be read; the lines above name them")

    # Draw them
    options.out.mkdir(parents=True, exist_ok=True)
    names = data.class_names
    picture = clip_grid(batch, data.normalize, names, num_clips=options.num_clips)
    with replacing(options.out / "clips.png") as unfinished:
        Image.fromarray(picture).save(unfinished, "PNG")
    write_mp4(clip_film(batch, data.normalize, names, num_clips=options.num_clips), options.out / "clips.mp4")
    for number, caption in enumerate(captions(batch, names), start=1):
        log.info("clip %d: %s", number, caption)
    log.info("wrote clips.png and clips.mp4 to %s", options.out)


class ClipsOfTraining:
    """The batches of a training of one process, as its network reads them.

    Args:
        data: The data module of the run.
        seed: Its seed_everything, which draws on the device follow from.
        limit: Its trainer.limit_train_batches.
    """

    def __init__(self, data: VideoDataModule, *, seed: int, limit: int | float | None = None) -> None:
        self.loader = data.train_dataloader()
        self.loader.unreadable = ReportUnreadable()
        self.loader.num_workers = 0
        self.on_device = OnDevice(data, torch.device("cpu"), training=True)
        self.seed = seed
        self.limit: int | float = 1.0 if limit is None else limit

    def num_batches(self, epoch: int) -> int:
        """Return the number of batches of an epoch."""
        self.loader.sampler.set_epoch(epoch)
        return limited(len(self.loader), self.limit)

    def batches(self, epoch: int, *, first: int = 0) -> Iterator[ViewBatch]:
        """Yield the batches of an epoch from the first one on.

        Raises:
            ValueError: The epoch has fewer.
        """
        before, here = sum(map(self.num_batches, range(epoch))), self.num_batches(epoch)
        if first >= here:
            raise ValueError(f"batch {first} was asked for; epoch {epoch} has 0..{here - 1}")
        self.loader.skip(first)
        for number, batch in zip(range(first, here), self.loader, strict=False):
            seed_step(self.seed, batches=before + number, process=0)
            yield self.on_device(batch)


def joined(batches: Iterator[ViewBatch], *, num_clips: int) -> ViewBatch:
    """Return the first clips of some batches as one, or fewer where no more of their shape follow at once."""
    taken: list[ViewBatch] = []
    unreadable: list[Unreadable] = []
    for batch in batches:
        if taken and batch.views.shape[1:] != taken[0].views.shape[1:]:
            break
        taken.append(batch)
        unreadable += dict.fromkeys(batch.unreadable)
        if sum(len(one.views) for one in taken) >= num_clips:
            break
    return ViewBatch(
        torch.cat([one.views for one in taken])[:num_clips],
        torch.cat([one.target for one in taken])[:num_clips],
        [video for one in taken for video in one.video_id][:num_clips],
        tuple(unreadable),
    )
