"""Lightning's command line over runs that live in one folder each, whatever they are trained on."""

import json
import logging
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from gcvideo.agreement import settings, versions
from gcvideo.atomic import write_text
from gcvideo.cli.config_forms import class_path
from gcvideo.cli.endings import show_figures
from gcvideo.cli.resuming import (
    known_classes,
    require_possible_resume,
    require_possible_weights,
    resumed_file,
    weights_evaluated,
)
from gcvideo.cli.run_config import run_of, with_config_of_checkpoint
from gcvideo.cli.run_ranks import AgreeingRanks, Common, new_run_dir
from gcvideo.cli.run_trainer import (
    callbacks_and_loggers,
    settle_strategy,
    supported_trainer,
    warn_of_shared_store,
)
from gcvideo.cli.trainer_arguments import require_supported_arguments
from gcvideo.distributed import is_rank_zero
from gcvideo.keeping import CheckpointFiles
from gcvideo.keeping.run_lock import RunLock
from gcvideo.paths import user_path
from gcvideo.private_names import parser_of, settings_are_those_given
from gcvideo.run_folder import Evaluated, RunFolder

log = logging.getLogger(__name__)

HANDOVER_SECONDS = 60.0
"""How long a run that goes on waits for the process before it to leave the folder: it may still be saving."""


@settings_are_those_given
class RunCLI(LightningCLI):
    """LightningCLI whose runs live in one folder: config, logs, checkpoints, predictions.

    What the module and the data are, subclasses say. Both have class_names, and the data has
    follow(names, checkpoint=...), by which it takes the numbers that a trained network gives to classes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lock: RunLock | None = None
        try:
            super().__init__(*args, **kwargs)
        except OSError:
            if self.lock is not None:
                self.lock.require_in_place()  # else that is the reason
            raise
        finally:
            if self.lock is not None:
                self.lock.release()

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        ours = ("fit", "validate", "test")
        return {name: skip for name, skip in LightningCLI.subcommands().items() if name in ours}

    @abstractmethod
    def named_classes(self) -> Mapping[str, type]:
        """Return by section (model, data) the classes that a configuration has to name."""

    def require_fitting_parts(self, config: Any) -> None:
        """Raise ValueError where settings of the module contradict those of the data."""

    @abstractmethod
    def figures_of_validation(self) -> Iterable[str]:
        """Return the names under which a validation logs figures."""

    @abstractmethod
    def files(self) -> dict[str, str]:
        """Return names and digests of the files that must be the same on every rank."""

    @abstractmethod
    def protocol(self, evaluated: Evaluated) -> dict[str, Any]:
        """Return, as plain values, what an evaluation was of."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, with_config_of_checkpoint(args))
        config = self.config[self.config.subcommand]
        if config.ckpt_path is not None:
            config.ckpt_path = str(user_path(config.ckpt_path))

    def before_instantiate_classes(self) -> None:
        config = self.config[self.config.subcommand]
        self.require_fitting_parts(config)
        require_supported_arguments(config.trainer, subcommand=self.config.subcommand, run_dir=config.run_dir)
        if config.run_dir is None:
            run = run_of(config)
            config.run_dir = run.path if run is not None else None
        require_possible_resume(config, subcommand=self.config.subcommand)
        require_possible_weights(config, subcommand=self.config.subcommand)
        if config.run_dir is None:
            config.run_dir = new_run_dir()
        config.trainer.default_root_dir = None  # which is the run_dir
        config.checkpoint.dirpath = str(RunFolder(config.run_dir).checkpoints)
        if self.config.subcommand == "fit":
            goes_on = config.resume is not None or config.ckpt_path is not None
            self.take(RunFolder(config.run_dir), goes_on=goes_on)
        self.resumed_file = resumed_file(config)
        self._compare_with_checkpoint(config)

    def class_names_of(self, data: Any) -> list[str]:
        """Return the data set's class names; of a run that goes on those of before."""
        if self.checkpoint is None:
            return data.class_names
        names = self.known_classes
        data.follow(names, checkpoint=self.checkpoint)
        matched = data.class_names
        return names if self.config.subcommand == "fit" else matched

    def take(self, run: RunFolder, *, goes_on: bool) -> None:
        """Keep other trainings out of the run's folder; one that goes on waits for the one before to end.

        Raises:
            ValueError: Another process trains there, or a new run would write over another.
        """
        if is_rank_zero():
            self.lock = RunLock(run)
            self.lock.take(wait_seconds=HANDOVER_SECONDS if goes_on else 0.0)
        if not goes_on and run.config.exists() and run.holds_training():
            raise ValueError(
                f"{run.path} holds a run already; choose another run_dir, or go on with --resume auto"
            )

    def _compare_with_checkpoint(self, config: Any) -> None:
        """Say, or refuse, what is asked otherwise than the checkpoint was trained."""
        named = Path(config.ckpt_path) if config.ckpt_path is not None else None
        self.checkpoint = self.resumed_file or named
        if self.checkpoint is None:
            return
        parser, fits = parser_of(self, self.config.subcommand), self.config.subcommand == "fit"
        self.known_classes = known_classes(self.checkpoint, parser, config, fits=fits)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the configured trainer; a training logs to the run's folder too."""
        config, made = self.config[self.config.subcommand], self.config_init[self.config.subcommand]
        callbacks, loggers = callbacks_and_loggers(
            made.trainer, RunFolder(config.run_dir), fits=self.config.subcommand == "fit", lock=self.lock
        )
        if self.resumed_file is not None:
            made.ckpt_path = str(self.resumed_file)
        kwargs |= {"logger": loggers, "default_root_dir": str(config.run_dir)}
        stays = self.lock.require_in_place if self.lock is not None else None
        files = CheckpointFiles(stays, state=config.weights.state)
        trainer = supported_trainer(
            super().instantiate_trainer,
            made,
            run=RunFolder(config.run_dir),
            of_validation=self.figures_of_validation(),
            callbacks=[AgreeingRanks(self.common()), *callbacks],
            files=files,
            **kwargs,
        )
        settle_strategy(trainer, files, chosen=config.trainer.strategy != "auto")
        log.info("run folder: %s", config.run_dir)
        warn_of_shared_store(trainer)
        return trainer

    def common(self) -> Common:
        """Return what must be the same on every rank, each computed when it is asked for."""
        return {"versions": versions, "config": self._settings, "files": self.files}

    def _settings(self) -> dict[str, str]:
        """Return the configuration, but for what may differ between ranks."""
        config = self.parser.dump(self.config, skip_link_targets=False, skip_none=False)
        return settings(yaml.safe_load(config)[self.config.subcommand])

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:
            if "compute_fn of link" in str(error) and error.__cause__ is not None:  # what class_names_of said
                raise error.__cause__ from None
            raise
        made = {"model": self.model, "data": self.datamodule}
        for section, kind in self.named_classes().items():
            made[section].hparams["_class_path"] = class_path(kind)  # for those who load a checkpoint

    def before_validate(self) -> None:
        self._replace_table("validate")

    def before_test(self) -> None:
        self._replace_table("test")

    def _replace_table(self, subcommand: str) -> None:
        """Leave Lightning's table of the figures out; --verbose false leaves out ours as well."""
        self.shows_figures = self.config_init[subcommand].verbose
        self.config_init[subcommand].verbose = False

    def after_validate(self) -> None:
        self._write_metrics("val")

    def after_test(self) -> None:
        self._write_metrics("test")

    def _write_metrics(self, evaluated: Evaluated) -> None:
        """Write the figures, and what they are of."""
        config = self.config_init[self.config.subcommand]
        if not self.trainer.is_global_zero or config.trainer.fast_dev_run:
            return
        figures = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        protocol = {
            "checkpoint": str(self.checkpoint) if self.checkpoint is not None else None,
            **weights_evaluated(self.checkpoint, config.weights.state),
            **self.protocol(evaluated),
        }
        file = RunFolder(Path(self.trainer.default_root_dir)).evaluation_metrics(evaluated)
        write_text(file, json.dumps(figures | {"protocol": protocol}, indent=2) + "\n")
        if self.shows_figures:
            title = f"{self.config.subcommand}: {self.checkpoint or 'the network as configured'}"
            show_figures(title, figures, num_classes=len(self.model.class_names), file=file)
