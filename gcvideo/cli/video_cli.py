"""Lightning's command line over our module and data of videos."""

from collections.abc import Iterable, Mapping
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.agreement import digest_of_file
from gcvideo.cli.clip_size import add_clip_and_size, settle_clip_and_size
from gcvideo.cli.endings import num_evaluated, say_best, say_early_end
from gcvideo.cli.pretrained import warn_of_other_input
from gcvideo.cli.run_arguments import add_run_arguments
from gcvideo.cli.run_classes import own_classes
from gcvideo.cli.run_cli import RunCLI
from gcvideo.cli.run_parser import RunParser
from gcvideo.cli.run_task import task_defaults
from gcvideo.run_folder import Evaluated, RunFolder
from gcvideo.training import Distillation
from gcvideo.training.tasks import TaskName, require_same_labels


class VideoCLI(RunCLI):
    """The runs of a VideoClassifier and a VideoDataModule."""

    def __init__(self, *args: Any, task: TaskName = "single_label", **kwargs: Any) -> None:
        self.task: TaskName = task
        super().__init__(*args, **kwargs)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        assert isinstance(parser, RunParser)
        add_clip_and_size(parser)
        of_one_label = self.task == "single_label"
        add_run_arguments(
            parser,
            classes=self.named_classes(),
            class_names=self.class_names_of,
            defaults=task_defaults(self.task),
            needed="batch_size or class_names"
            if of_one_label
            else "batch_size, class_names, task or multi_label",
            bases="VideoClassifier or VideoDataModule",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        settle_clip_and_size(self.config[self.config.subcommand], args)

    def named_classes(self) -> Mapping[str, type]:
        return own_classes(self.model_class, self.datamodule_class)

    def require_fitting_parts(self, config: Any) -> None:
        require_same_labels(
            config.model.get("task", "single_label"), multi_label=config.data.get("multi_label")
        )

    def figures_of_validation(self) -> Iterable[str]:
        return self.model.val_metrics.keys()

    def files(self) -> dict[str, str]:
        """Return digests of the lists, and of the file that the weights come from."""
        source = self.checkpoint or (self.model.weights.path if self.model.weights else None)
        weights = f"{source.name} ({digest_of_file(source)})" if source is not None else "none"
        files = {**self.datamodule.list_digests(self.config.subcommand), "weights": weights}
        if isinstance(self.model.loss, Distillation) and self.config.subcommand == "fit":
            teacher = self.model.loss.weights.path
            files["teacher"] = f"{teacher.name} ({digest_of_file(teacher)})"
        return files

    def protocol(self, evaluated: Evaluated) -> dict[str, Any]:
        return {**self.datamodule.protocol(evaluated), "videos": num_evaluated(self.trainer, evaluated)}

    def instantiate_classes(self) -> None:
        super().instantiate_classes()
        starts = self.config_init[self.config.subcommand].ckpt_path is None
        if self.model.weights is not None and starts and self.trainer.is_global_zero:
            warn_of_other_input(self.model.weights, self.datamodule)

    def before_fit(self) -> None:
        # Before a callback copies the weights, as averaging does.
        if self.config_init["fit"].ckpt_path is None:
            self.model.start_from_weights()
        self.model.task.require_loss(self.model.loss, blended=bool(self.datamodule.blend))
        if isinstance(self.model.loss, Distillation) and self.trainer.is_global_zero:
            warn_of_other_input(self.model.loss.weights, self.datamodule)

    def after_fit(self) -> None:
        if self.trainer.is_global_zero:
            config = self.config_init["fit"]
            say_early_end(self.trainer, self.trainer.callbacks)  # pyright: ignore[reportAttributeAccessIssue]
            tested = self.datamodule.lists["test"].is_file()
            say_best(
                RunFolder(config.run_dir), config.checkpoint, next_command="test" if tested else "validate"
            )
