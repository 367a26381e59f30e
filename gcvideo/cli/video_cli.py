"""Lightning's command line over our module and data."""

import json
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import yaml
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.io import AsyncCheckpointIO
from lightning.pytorch.strategies import DDPStrategy

from gcvideo.agreement import digest_of_file, settings, versions
from gcvideo.atomic import write_text
from gcvideo.cli.config_forms import class_path, plain
from gcvideo.cli.endings import num_evaluated, say_best, say_early_end, show_figures
from gcvideo.cli.loggers import as_list, with_learning_rates, with_run_log
from gcvideo.cli.parser import RunParser
from gcvideo.cli.pretrained import warn_of_other_input
from gcvideo.cli.run_classes import own_classes
from gcvideo.cli.run_config import (
    accept_changes,
    as_asked,
    changes,
    class_names_in,
    config_in,
    run_of,
    with_config_of_checkpoint,
)
from gcvideo.cli.run_ranks import AgreeingRanks, Common, new_run_dir
from gcvideo.cli.trainer_arguments import (
    require_monitored_metrics,
    require_supported_arguments,
    require_supported_callbacks,
    require_supported_processes,
)
from gcvideo.data import VideoDataModule
from gcvideo.distributed import is_rank_zero, restarts_share_a_store
from gcvideo.keeping import CheckpointFiles, Safeguard
from gcvideo.keeping.checkpoint_file import newest_checkpoint, read_training_state
from gcvideo.keeping.run_lock import FolderStays, RunLock
from gcvideo.memory import keep_freed_memory
from gcvideo.paths import user_path
from gcvideo.private_names import parser_of, set_timeout, settings_are_those_given
from gcvideo.run_folder import Evaluated, RunFolder
from gcvideo.training.progress import with_progress

log = logging.getLogger(__name__)

PROCESS_TIMEOUT = timedelta(minutes=10)
"""How long processes wait for one that hangs; one that is gone is noticed at once. torch waits 30 minutes."""

HANDOVER_SECONDS = 60.0
"""How long a run that goes on waits for the process before it to leave the folder: it may still be saving."""


@settings_are_those_given
class VideoCLI(LightningCLI):
    """LightningCLI whose runs live in one folder: config, logs, checkpoints, predictions."""

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

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--run_dir",
            type=Path | None,
            default=None,
            help="Folder of the run. By default the folder of the run that ckpt_path or a --config file "
            "belongs to, or else a new runs/DATE-TIME.",
        )
        parser.add_argument(
            "--resume",
            type=Literal["auto"] | None,
            default=None,
            help="fit only: auto goes on from the newest whole checkpoint in run_dir, or starts afresh where "
            "there is none yet.",
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_class_arguments(Safeguard, "safeguard")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/top1",
                "checkpoint.mode": "max",
                "checkpoint.filename": RunFolder(Path()).best.stem,
                "checkpoint.enable_version_counter": False,
                # Our sampler shares the videos out itself, without Lightning's repeated ones.
                "trainer.use_distributed_sampler": False,
            }
        )
        assert isinstance(parser, RunParser)
        parser.classes = own_classes(self.model_class, self.datamodule_class)
        try:
            parser.link_arguments("data.batch_size", "model.batch_size")
            parser.link_arguments(
                "data", "model.class_names", compute_fn=self._class_names, apply_on="instantiate"
            )
        except ValueError as error:
            raise ValueError(
                "model or data takes no batch_size or class_names; let the __init__ of your class take "
                "**kwargs and hand them on to that of VideoClassifier or VideoDataModule"
            ) from error

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        ours = ("fit", "validate", "test")
        return {name: skip for name, skip in LightningCLI.subcommands().items() if name in ours}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, with_config_of_checkpoint(args))
        config = self.config[self.config.subcommand]
        if config.ckpt_path is not None:
            config.ckpt_path = str(user_path(config.ckpt_path))

    def before_instantiate_classes(self) -> None:
        config = self.config[self.config.subcommand]
        require_supported_arguments(config.trainer, subcommand=self.config.subcommand, run_dir=config.run_dir)
        if config.run_dir is None:
            run = run_of(config)
            config.run_dir = run.path if run is not None else None
        self._require_possible_resume(config)
        if config.run_dir is None:
            config.run_dir = new_run_dir()
        config.trainer.default_root_dir = None  # which is the run_dir
        config.checkpoint.dirpath = str(RunFolder(config.run_dir).checkpoints)
        if self.config.subcommand == "fit":
            goes_on = config.resume is not None or config.ckpt_path is not None
            self.take(RunFolder(config.run_dir), goes_on=goes_on)
        self.resumed_file = self._resumed_file(config)
        self._compare_with_checkpoint(config)

    def _class_names(self, data: VideoDataModule) -> list[str]:
        """The data set's class names; of a run that goes on those of before."""
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
        if not goes_on and run.config.exists():
            raise ValueError(
                f"{run.path} holds a run already; choose another run_dir, or go on with --resume auto"
            )

    def _compare_with_checkpoint(self, config: Any) -> None:
        """Say, or refuse, what is asked otherwise than the checkpoint was trained."""
        named = Path(config.ckpt_path) if config.ckpt_path is not None else None
        self.checkpoint = self.resumed_file or named
        if self.checkpoint is None:
            return
        state = read_training_state(self.checkpoint)
        self.known_classes = class_names_in(state, self.checkpoint)
        before = config_in(state)
        if before is not None:
            asked = as_asked(parser_of(self, self.config.subcommand), config)
            fits = self.config.subcommand == "fit"
            accept_changes(changes(plain(before), plain(asked)), fits=fits, checkpoint=self.checkpoint)

    def _require_possible_resume(self, config: Any) -> None:
        if config.resume is None:
            return
        if self.config.subcommand != "fit":
            raise ValueError("resume is for fit; name a checkpoint as --ckpt_path")
        if config.run_dir is None or config.ckpt_path is not None:
            raise ValueError(
                "resume auto takes the newest checkpoint of --run_dir; name that, and no ckpt_path"
            )

    def _resumed_file(self, config: Any) -> Path | None:
        """With `--resume auto` the newest whole checkpoint of the run folder, if there is one yet."""
        if config.resume is None:
            return None
        newest = newest_checkpoint(RunFolder(config.run_dir).checkpoints)
        for reason in newest.damaged:
            log.warning("passed over %s", reason)
        if newest.file is None and newest.damaged:
            raise ValueError(
                f"{config.run_dir} has no whole checkpoint: {'; '.join(newest.damaged)}; move them away "
                "to start afresh there"
            )
        if newest.file is None:
            log.info("%s has no checkpoint yet; starting", config.run_dir)
        else:
            log.info("resuming from %s", newest.file)
        return newest.file

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Build the configured trainer; a training logs to the run's folder too."""
        config = self.config[self.config.subcommand]
        asked = self.config_init[self.config.subcommand].trainer
        callbacks = as_list(asked.callbacks)
        if config.trainer.enable_progress_bar is not False:
            callbacks = with_progress(callbacks)
        if self.lock is not None:
            callbacks = [*callbacks, FolderStays(self.lock)]
        loggers: list[Any] = as_list(asked.logger if asked.logger is not True else None)
        if self.config.subcommand == "fit" and asked.logger is not False:
            callbacks = with_learning_rates(callbacks)
            loggers = with_run_log(loggers, RunFolder(config.run_dir))
        callbacks = [AgreeingRanks(self.common()), *callbacks]
        kwargs |= {"callbacks": callbacks, "logger": loggers, "default_root_dir": str(config.run_dir)}
        if self.resumed_file is not None:
            self.config_init[self.config.subcommand].ckpt_path = str(self.resumed_file)
        trainer = self._supported_trainer(**kwargs)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # and none of one's own
            trainer.strategy.checkpoint_io = CheckpointFiles()
        if config.trainer.strategy == "auto" and isinstance(trainer.strategy, DDPStrategy):
            set_timeout(trainer.strategy, PROCESS_TIMEOUT)
        if trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        log.info("run folder: %s", config.run_dir)
        if trainer.is_global_zero and restarts_share_a_store():
            log.warning(
                "torchrun's restarts share one store, in which processes may find addresses of dead ones; "
                "start with scripts/train_torchrun.sh, or give torchrun TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
            )
        return trainer

    def common(self) -> Common:
        """Return what must be the same on every rank, each computed when it is asked for."""
        return {"versions": versions, "config": self._settings, "files": self._files}

    def _settings(self) -> dict[str, str]:
        """Return the configuration, but for what may differ between ranks."""
        config = self.parser.dump(self.config, skip_link_targets=False, skip_none=False)
        return settings(yaml.safe_load(config)[self.config.subcommand])

    def _files(self) -> dict[str, str]:
        """Return digests of the lists, and of the file that the weights come from."""
        source = self.checkpoint or (self.model.weights.path if self.model.weights else None)
        weights = f"{source.name} ({digest_of_file(source)})" if source is not None else "none"
        return {**self.datamodule.list_digests(self.config.subcommand), "weights": weights}

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except ValueError as error:
            if "compute_fn of link" in str(error) and error.__cause__ is not None:  # what _class_names said
                raise error.__cause__ from None
            raise
        made = {"model": self.model, "data": self.datamodule}
        for section, kind in own_classes(self.model_class, self.datamodule_class).items():
            made[section].hparams["_class_path"] = class_path(kind)  # for those who load a checkpoint
        starts = self.config_init[self.config.subcommand].ckpt_path is None
        if self.model.weights is not None and starts and self.trainer.is_global_zero:
            warn_of_other_input(self.model.weights, self.datamodule)

    def _supported_trainer(self, **kwargs: Any) -> Trainer:
        """Build a trainer that can do what is asked of it, or say what it cannot."""
        made = self.config_init[self.config.subcommand]
        asked, callbacks = made.trainer, kwargs["callbacks"]
        checkpoints = asked.enable_checkpointing is not False
        require_supported_callbacks(callbacks, checkpoints=checkpoints)
        of_validation = self.model.val_metrics.keys()
        require_monitored_metrics([*callbacks, made.checkpoint], {"train/loss", *of_validation})
        if asked.limit_val_batches == 0:
            require_monitored_metrics(callbacks, {"train/loss"})
        if not checkpoints:
            kwargs["enable_checkpointing"] = True  # of Lightning, which is given one that is then removed
        for plugin in asked.plugins if isinstance(asked.plugins, list) else [asked.plugins]:
            if isinstance(plugin, AsyncCheckpointIO):
                plugin.checkpoint_io = CheckpointFiles()  # unless it has been given another
        trainer: Any = super().instantiate_trainer(**kwargs)
        if not checkpoints:
            trainer.callbacks.remove(made.checkpoint)
        trainer.callbacks += made.safeguard.callbacks(writes=checkpoints and not asked.fast_dev_run)
        require_supported_processes(trainer, sync_batchnorm=asked.sync_batchnorm)
        return trainer

    def before_fit(self) -> None:
        # Before a callback copies the weights, as averaging does.
        if self.config_init["fit"].ckpt_path is None:
            self.model.start_from_weights()

    def after_fit(self) -> None:
        if self.trainer.is_global_zero:
            config = self.config_init["fit"]
            say_early_end(self.trainer, self.trainer.callbacks)  # pyright: ignore[reportAttributeAccessIssue]
            tested = self.datamodule.lists["test"].is_file()
            say_best(
                RunFolder(config.run_dir), config.checkpoint, next_command="test" if tested else "validate"
            )

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
            **self.datamodule.protocol(evaluated),
            "videos": num_evaluated(self.trainer, evaluated),
        }
        file = RunFolder(Path(self.trainer.default_root_dir)).evaluation_metrics(evaluated)
        write_text(file, json.dumps(figures | {"protocol": protocol}, indent=2) + "\n")
        if self.shows_figures:
            title = f"{self.config.subcommand}: {self.checkpoint or 'the network as configured'}"
            show_figures(title, figures, num_classes=len(self.model.class_names), file=file)
