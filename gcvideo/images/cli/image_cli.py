"""Lightning's command line over the modules and data of image tasks."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from gcvideo.agreement import digest_of_file
from gcvideo.cli.endings import num_evaluated, say_best, say_early_end
from gcvideo.cli.run_arguments import add_run_arguments
from gcvideo.cli.run_cli import RunCLI
from gcvideo.cli.run_parser import RunParser
from gcvideo.images.data import ImageData
from gcvideo.images.module import ImageModule
from gcvideo.run_folder import Evaluated, RunFolder

log = logging.getLogger(__name__)

COMMANDS = ("fit", "validate", "test", "predict")


class ImageCLI(RunCLI):
    """The runs of an ImageModule and an ImageData; every configuration of one names both."""

    model: ImageModule
    datamodule: ImageData

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        skipped = {name: skip for name, skip in LightningCLI.subcommands().items() if name in COMMANDS}
        return {**skipped, "predict": {*skipped["predict"], "return_predictions"}}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        assert isinstance(parser, RunParser)
        module: Any = self.model_class
        add_run_arguments(
            parser,
            classes=self.named_classes(),
            class_names=self.class_names_of,
            defaults={"checkpoint.monitor": f"val/{module.figure}"},
            needed="batch_size or class_names",
            bases="ImageModule or ImageData",
        )
        parser.add_argument(
            "--pictures",
            type=list[Path] | None,
            default=None,
            help="predict only: pictures, and folders of them.",
        )
        parser.add_argument(
            "--out",
            type=Path | None,
            default=None,
            help="predict only: folder to write to; by default `predictions` in the run's folder.",
        )

    def named_classes(self) -> Mapping[str, type]:
        named: dict[str, Any] = {"model": self.model_class, "data": self.datamodule_class}
        return named

    def figures_of_validation(self) -> Iterable[str]:
        return self.model.logged_in_validation()

    def files(self) -> dict[str, str]:
        """Return digests of the data set's lists, and of the file that the weights come from."""
        source = self.checkpoint or (self.model.weights.path if self.model.weights else None)
        weights = f"{source.name} ({digest_of_file(source)})" if source is not None else "none"
        return {**self.datamodule.digests(self.config.subcommand), "weights": weights}

    def protocol(self, evaluated: Evaluated) -> dict[str, Any]:
        return {**self.datamodule.protocol(evaluated), "pictures": num_evaluated(self.trainer, evaluated)}

    def before_instantiate_classes(self) -> None:
        config, predicts = self.config[self.config.subcommand], self.config.subcommand == "predict"
        if predicts and not (config.pictures and config.ckpt_path):
            raise ValueError(
                "predict takes pictures and a checkpoint: gcvideo image predict new/ --ckpt_path best.ckpt"
            )
        if not predicts and (config.pictures or config.out):
            raise ValueError("pictures and out are for predict; fit, validate and test read data.root")
        super().before_instantiate_classes()

    def before_fit(self) -> None:
        # Before a callback copies the weights, as averaging does.
        if self.config_init["fit"].ckpt_path is None:
            self.model.start_from_weights()

    def after_fit(self) -> None:
        if self.trainer.is_global_zero:
            config = self.config_init["fit"]
            say_early_end(self.trainer, self.trainer.callbacks)  # pyright: ignore[reportAttributeAccessIssue]
            say_best(RunFolder(config.run_dir), config.checkpoint, next_command="image test")

    def before_predict(self) -> None:
        config = self.config_init["predict"]
        self.datamodule.predict_on(config.pictures)
        self.writer = self.model.writer(config.out or RunFolder(config.run_dir).path / "predictions")
        self.trainer.callbacks.append(self.writer)  # pyright: ignore[reportAttributeAccessIssue]

    def after_predict(self) -> None:
        if self.trainer.is_global_zero:
            log.info("%d pictures: %s", len(self.datamodule.predicted), self.writer.written)
