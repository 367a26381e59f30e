"""`gcvideo fit | validate | test`: Lightning's command line over our module and data."""

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy

from gcvideo.cli.endings import say_best, show_figures
from gcvideo.cli.parser import RunParser
from gcvideo.cli.pretrained import warn_of_other_input
from gcvideo.data import KineticsDataModule
from gcvideo.memory import keep_freed_memory
from gcvideo.paths import user_path
from gcvideo.run_folder import RunFolder
from gcvideo.training import CheckpointFiles, ExactResume, MetricsFile, Safeguard, VideoClassifier
from gcvideo.training.checkpoint_file import newest_checkpoint, require_whole
from gcvideo.training.distributed import restarts_share_a_store
from gcvideo.training.progress import with_progress

log = logging.getLogger(__name__)

PROCESS_TIMEOUT = timedelta(minutes=10)
"""How long processes wait for one that hangs; one that is gone is noticed at once. torch waits 30 minutes."""


class VideoCLI(LightningCLI):
    """LightningCLI whose runs live in one folder: config, logs, checkpoints, predictions."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--run_dir",
            type=Path | None,
            default=None,
            help="Folder of the run. By default a new runs/DATE-TIME, or the folder of the run that "
            "ckpt_path belongs to.",
        )
        parser.add_argument(
            "--resume",
            type=Literal["auto"] | None,
            default=None,
            help="fit only: auto goes on from the newest whole checkpoint in run_dir, or starts afresh where "
            "there is none yet.",
        )
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(Safeguard, "safeguard")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/top1",
                "checkpoint.mode": "max",
                "checkpoint.filename": "best",
                "checkpoint.enable_version_counter": False,
            }
        )
        parser.link_arguments("data.batch_size", "model.batch_size")
        parser.link_arguments("data.class_names", "model.class_names", apply_on="instantiate")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        ours = ("fit", "validate", "test")
        return {name: skip for name, skip in LightningCLI.subcommands().items() if name in ours}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        config = self.config[self.config.subcommand]
        if config.ckpt_path is not None:  # which is read next, for the network's configuration
            config.ckpt_path = str(user_path(config.ckpt_path))
            require_whole(Path(config.ckpt_path))

    def before_instantiate_classes(self) -> None:
        config = self.config[self.config.subcommand]
        self.resumed_file = self._resumed_file(config)
        if config.run_dir is None:
            config.run_dir = self._default_run_dir(config)
        config.trainer.default_root_dir = str(config.run_dir)
        config.checkpoint.dirpath = str(RunFolder(config.run_dir).checkpoints)
        stands = RunFolder(config.run_dir).config.exists()
        resumes = config.resume is not None or config.ckpt_path is not None
        if self.config.subcommand == "fit" and stands and not resumes:
            raise ValueError(
                f"{config.run_dir} holds a run already; choose another run_dir, or go on with --resume auto"
            )
        config.resume = None  # config.yaml says what a run is, not how it was started

    def _resumed_file(self, config: Any) -> Path | None:
        """With `--resume auto` the newest whole checkpoint of the run folder, if there is one yet."""
        if config.resume is None:
            return None
        if self.config.subcommand != "fit":
            raise ValueError("resume is for fit; name a checkpoint as --ckpt_path")
        if config.run_dir is None or config.ckpt_path is not None:
            raise ValueError(
                "resume auto takes the newest checkpoint of --run_dir; name that, and no ckpt_path"
            )
        newest = newest_checkpoint(RunFolder(config.run_dir).checkpoints)
        for reason in newest.damaged:
            log.warning("passed over %s", reason)
        if newest.file is None:
            log.info("%s has no checkpoint yet; starting", config.run_dir)
        else:
            log.info("resuming from %s", newest.file)
        return newest.file

    def _default_run_dir(self, config: Any) -> Path:
        run = RunFolder.of_checkpoint(Path(config.ckpt_path)) if config.ckpt_path is not None else None
        if run is not None:
            return run.path
        return Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The configured trainer; where no logger is configured, training logs to the run's folder."""
        config = self.config[self.config.subcommand]
        configured = self.config_init[self.config.subcommand].trainer.callbacks or []
        callbacks = [*configured] if isinstance(configured, list) else [configured]
        if config.trainer.enable_progress_bar is not False:
            callbacks = with_progress(callbacks)
        kwargs["callbacks"] = callbacks
        if config.trainer.logger is None:
            run_dir = str(config.run_dir)
            kwargs["logger"] = self.config.subcommand == "fit" and [
                TensorBoardLogger(run_dir, name="", version=""),
                MetricsFile(RunFolder(config.run_dir).curves),
            ]
            if kwargs["logger"]:
                callbacks.append(LearningRateMonitor("step"))
        if self.resumed_file is not None:
            self.config_init[self.config.subcommand].ckpt_path = str(self.resumed_file)
        trainer = super().instantiate_trainer(**kwargs)
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # and none of one's own
            trainer.strategy.checkpoint_io = CheckpointFiles()
        if config.trainer.strategy == "auto" and isinstance(trainer.strategy, DDPStrategy):
            trainer.strategy._timeout = PROCESS_TIMEOUT
        if trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        log.info("run folder: %s", config.run_dir)
        if trainer.is_global_zero and restarts_share_a_store():
            log.warning(
                "torchrun's restarts share one store, in which processes may find addresses of dead ones; "
                "start with scripts/train_torchrun.sh, or give torchrun TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
            )
        return trainer

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        starts = self.config_init[self.config.subcommand].ckpt_path is None
        if self.model.weights is not None and starts and self.trainer.is_global_zero:
            warn_of_other_input(self.model.weights, self.datamodule)

    def after_fit(self) -> None:
        if self.trainer.is_global_zero:
            config = self.config_init["fit"]
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

    def _write_metrics(self, stage: str) -> None:
        if self.trainer.is_global_zero:
            file = Path(self.trainer.default_root_dir) / f"{stage}_metrics.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
            file.write_text(json.dumps(metrics, indent=2) + "\n")
            if self.shows_figures:
                config = self.config_init[self.config.subcommand]
                title = f"{self.config.subcommand}: {config.ckpt_path or 'the network as configured'}"
                show_figures(title, metrics, num_classes=len(self.model.class_names), file=file)


def run(arguments: Sequence[str]) -> None:
    """Run the subcommand that `arguments` begin with.

    Raises:
        ValueError: An argument is wrong, or asks for what this machine does not have.
    """
    try:
        VideoCLI(
            VideoClassifier,
            KineticsDataModule,
            args=list(arguments),
            parser_class=RunParser,
            # Our sampler shares the videos out itself, without Lightning's repeated ones.
            trainer_defaults={
                "use_distributed_sampler": False,
                "enable_model_summary": False,
                "callbacks": [ExactResume()],
            },
            save_config_kwargs={"overwrite": True},
            auto_configure_optimizers=False,
            seed_everything_default=0,
        )
    except MisconfigurationException as error:
        raise ValueError(str(error)) from error
