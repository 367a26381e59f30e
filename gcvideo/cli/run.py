"""`gcvideo fit | validate | test`: Lightning's command line over our module and data."""

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from gcvideo.cli.parser import RunParser
from gcvideo.data import KineticsDataModule
from gcvideo.training import VideoClassifier

log = logging.getLogger(__name__)

CHECKPOINTS = "checkpoints"


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
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/top1",
                "checkpoint.mode": "max",
                "checkpoint.filename": "best",
                "checkpoint.save_last": True,
                "checkpoint.enable_version_counter": False,
            }
        )
        parser.link_arguments("data.batch_size", "model.batch_size")
        parser.link_arguments("data.class_names", "model.class_names", apply_on="instantiate")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        ours = ("fit", "validate", "test")
        return {name: skip for name, skip in LightningCLI.subcommands().items() if name in ours}

    def before_instantiate_classes(self) -> None:
        config = self.config[self.config.subcommand]
        if config.run_dir is None:
            config.run_dir = self._default_run_dir(config)
        config.trainer.default_root_dir = str(config.run_dir)
        config.checkpoint.dirpath = str(config.run_dir / CHECKPOINTS)
        stands = (config.run_dir / "config.yaml").exists()
        if self.config.subcommand == "fit" and stands and config.ckpt_path is None:
            raise ValueError(
                f"{config.run_dir} holds a run already; choose another run_dir, "
                f"or resume it with --ckpt_path {config.run_dir / CHECKPOINTS / 'last.ckpt'}"
            )

    def _default_run_dir(self, config: Any) -> Path:
        if config.ckpt_path is not None and Path(config.ckpt_path).parent.name == CHECKPOINTS:
            return Path(config.ckpt_path).parent.parent
        return Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """The configured trainer; where no logger is configured, training logs to the run's folder."""
        config = self.config[self.config.subcommand]
        if config.trainer.logger is None:
            run_dir = str(config.run_dir)
            kwargs["logger"] = self.config.subcommand == "fit" and [
                TensorBoardLogger(run_dir, name="", version=""),
                CSVLogger(run_dir, name="metrics"),
            ]
            if kwargs["logger"]:
                kwargs["callbacks"] = [
                    *kwargs.get("callbacks", []),
                    LearningRateMonitor("step"),
                ]
        trainer = super().instantiate_trainer(**kwargs)
        log.info("run folder: %s", config.run_dir)
        return trainer

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


def run(arguments: Sequence[str]) -> None:
    """Run the subcommand that `arguments` begin with."""
    VideoCLI(
        VideoClassifier,
        KineticsDataModule,
        args=list(arguments),
        parser_class=RunParser,
        # Our sampler shares the videos out itself, without Lightning's repeated ones.
        trainer_defaults={"use_distributed_sampler": False, "enable_model_summary": False},
        save_config_kwargs={"overwrite": True},
        auto_configure_optimizers=False,
        seed_everything_default=0,
    )
