"""`gcvideo tune`: find a learning rate or a batch size for the run that `gcvideo fit` would start."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.cli.run_classes import settle
from gcvideo.cli.run_help import asked_topic, without_topic
from gcvideo.cli.run_parser import RunParser
from gcvideo.cli.run_ranks import AgreeingRanks
from gcvideo.cli.video_cli import VideoCLI
from gcvideo.preflight.speed import endless, figure, step_clips_per_second
from gcvideo.private_names import parsers_of_subcommands, runs_nothing
from gcvideo.run_folder import RunFolder
from gcvideo.shortage import lacks_memory
from gcvideo.training import (
    ActivationCheckpointing,
    BatchNormOver,
    CompileNetwork,
    FreezeStages,
    FrozenBatchNorm,
)
from gcvideo.training.range_test import RangeTest

log = logging.getLogger(__name__)

KEPT = (
    ActivationCheckpointing,
    AgreeingRanks,
    BatchNormOver,
    CompileNetwork,
    FreezeStages,
    FrozenBatchNorm,
    ProgressBar,
)
"""Of Lightning's and our own callbacks, those that change a step; the others save, stop, average or draw."""
SECONDS = 2.0
"""Of steps at one batch size."""
USAGE = (
    "Find a learning rate or a batch size, with the arguments of fit. `gcvideo tune learning_rate ...` "
    "raises the rate from step to step, plots the loss and says where it falls most steeply. `gcvideo tune "
    "batch_size ...` doubles data.batch_size until memory ends, and says how many clips a step uses up in a "
    "second. Nothing is trained, no run folder is touched: what is found is printed as an argument of fit."
)


class Tuning:
    """What to try.

    Args:
        lowest: Learning rate of the first step, of the optimizer: after the scaling by the batch.
        highest: Learning rate of the last step.
        num_steps: Steps of the test of rates, which ends when the loss has risen to four times its lowest.
        most: Largest batch size per process; where there is no GPU it must be given, since memory is then
            borrowed from the disk before it ends.
        out: File of the plot of losses.
    """

    def __init__(
        self,
        lowest: float = 1e-5,
        highest: float = 10.0,
        num_steps: int = 100,
        most: int | None = None,
        out: Path = Path("learning_rate.png"),
    ) -> None:
        self.lowest, self.highest, self.num_steps, self.most, self.out = lowest, highest, num_steps, most, out


@runs_nothing
class TuneCLI(VideoCLI):
    """The run that `gcvideo fit` would start with the same arguments, without what it would leave behind."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        super().add_arguments_to_parser(parser)
        parser.add_class_arguments(Tuning, "tune")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": VideoCLI.subcommands()["fit"]}

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        super().setup_parser(*args, **kwargs)
        parsers_of_subcommands(self)["fit"].prog = "gcvideo tune learning_rate | batch_size"
        parsers_of_subcommands(self)["fit"].description = USAGE

    def before_instantiate_classes(self) -> None:
        config = self.config["fit"]
        if config.resume is not None or config.ckpt_path is not None:
            raise ValueError("tune tries the start of a run; weights to start from are model.weights.path")
        config.trainer.max_epochs, config.trainer.max_steps = -1, config.tune.num_steps
        config.trainer.min_epochs = config.trainer.min_steps = config.trainer.max_time = None
        config.trainer.limit_val_batches = config.trainer.num_sanity_val_steps = 0
        config.trainer.logger = config.trainer.enable_checkpointing = False
        config.checkpoint.monitor = None
        if config.data.get("multigrid") is not None:
            config.data.multigrid = None  # rate and batch are those of the full shape
        super().before_instantiate_classes()

    def take(self, run: RunFolder, *, goes_on: bool) -> None:
        """Leave the folder alone: nothing is written there."""

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        trainer: Any = super().instantiate_trainer(**kwargs)
        trainer.callbacks = [callback for callback in trainer.callbacks if changes_a_step(callback)]
        return trainer


def changes_a_step(callback: Callback) -> bool:
    """Return whether a callback belongs to a training step; of the user's own it may."""
    package = type(callback).__module__.partition(".")[0]
    return isinstance(callback, KEPT) or package not in ("gcvideo", "lightning")


def run(arguments: Sequence[str]) -> None:
    """Find what `arguments` ask for."""
    finders = {"learning_rate": find_learning_rate, "batch_size": find_batch_size}
    what, rest = (arguments[1], arguments[2:]) if len(arguments) > 1 else ("", [])
    if what in ("-h", "--help"):
        what, rest = "learning_rate", ["--help"]
    if what not in finders:
        raise ValueError(f"{what or 'nothing'} is not tuned here; expected {' or '.join(finders)}")
    settled = settle(["fit", *without_topic(rest)])
    cli = TuneCLI(
        settled.model,
        settled.data,
        task=settled.task,
        args=settled.arguments,
        parser_class=RunParser,
        parser_kwargs={"fit": {"topic": asked_topic(arguments)}},
        trainer_defaults={"enable_model_summary": False},
        save_config_callback=None,
        auto_configure_optimizers=False,
        seed_everything_default=0,
    )
    finders[what](cli, cli.config_init["fit"].tune)


def find_learning_rate(cli: TuneCLI, tuning: Tuning) -> None:
    """Raise the rate from step to step; plot the loss, and say where it falls most steeply."""
    test = RangeTest(tuning.lowest, tuning.highest, tuning.num_steps)
    callbacks: list[Callback] = cli.trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    callbacks.append(test)
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    if not cli.trainer.is_global_zero:
        return
    found = test.suggestion()
    test.plot(tuning.out, found=found)
    log.info(
        "%d steps, rates from %.3g to %.3g: %s", len(test.rates), test.rates[0], test.rates[-1], tuning.out
    )
    if found is None:
        raise ValueError(
            f"before it rises the loss falls clearly at none of these rates (see {tuning.out}); give more "
            "steps (--tune.num_steps), or other rates (--tune.lowest, --tune.highest)"
        )
    of_config = found * cli.model.learning_rate / test.peak  # whichever rule gives the peak
    sys.stdout.write(f"--model.learning_rate {of_config:.3g}\n")
    ended = f"; it diverges at {test.diverged_at:.3g}" if test.diverged_at is not None else ""
    log.info("the optimizer's rate where the loss falls most steeply: %.3g%s; see the plot", found, ended)


def find_batch_size(cli: TuneCLI, tuning: Tuning) -> None:
    """Double data.batch_size until memory ends, or as far as asked, and say how fast each is."""
    trainer, data = cli.trainer, cli.datamodule
    on_gpu = trainer.strategy.root_device.type == "cuda"
    if trainer.world_size > 1:
        raise ValueError("batch_size is that of a process; give --trainer.devices 1")
    if tuning.most is None and not on_gpu:
        raise ValueError("without a GPU nothing says when memory ends; give the largest size: --tune.most 32")
    data.trainer = trainer
    data.setup("fit")
    most = min(tuning.most or 2**20, len(data.records("train")))
    fastest: tuple[float, int] | None = None
    size = data.batch_size
    while size <= most:
        data.batch_size = size
        batch = next(endless(data.train_dataloader()))
        try:
            speed = step_clips_per_second(trainer, cli.model, data, batch, seconds=SECONDS)
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            log.info("batch_size %d: memory is short", size)
            break
        peak = f", {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB" if on_gpu else ""
        log.info("batch_size %d: %s clips/s%s", size, figure(speed), peak)
        fastest = max(fastest or (0.0, 0), (speed, size))
        size *= 2
    if fastest is None:
        raise ValueError(
            f"data.batch_size {data.batch_size} does not fit already, or is more than {most}; lower it"
        )
    sys.stdout.write(f"--data.batch_size {fastest[1]}\n")
