"""`gcvideo image fit | validate | test | predict`: one run from its arguments to its end."""

from collections.abc import Sequence

from lightning.fabric.utilities.exceptions import MisconfigurationException

from gcvideo.cli.run_classes import settle
from gcvideo.cli.run_config import RunConfig
from gcvideo.cli.run_help import asked_topic, without_topic
from gcvideo.cli.run_parser import RunParser
from gcvideo.cli.trainer_arguments import reason_of_class
from gcvideo.images.classification import ImageClassifier, ImageFolderData
from gcvideo.images.cli.image_cli import ImageCLI
from gcvideo.images.data import ImageData
from gcvideo.images.module import ImageModule
from gcvideo.keeping import ExactResume

BASES: dict[str, type] = {"model": ImageModule, "data": ImageData}
DEFAULTS: dict[str, type] = {"model": ImageClassifier, "data": ImageFolderData}


def run(arguments: Sequence[str]) -> None:
    """Run the subcommand that `arguments` begin with; ValueError as of run_cli."""
    run_cli(ImageCLI, arguments)


def run_cli(kind: type[ImageCLI], arguments: Sequence[str], *, prog: str = "gcvideo image") -> None:
    """Run the subcommand that `arguments` begin with, on a command line of this kind.

    Raises:
        ValueError: An argument is wrong, or asks for what this machine does not have.
    """
    try:
        settled = settle(without_topic(with_named_pictures(arguments)), bases=BASES, defaults=DEFAULTS)
        kind(
            settled.model,
            settled.data,
            args=settled.arguments,
            parser_class=RunParser,
            parser_kwargs={"prog": prog, arguments[0]: {"topic": asked_topic(arguments)}},
            trainer_defaults={"enable_model_summary": False, "callbacks": [ExactResume()]},
            save_config_callback=RunConfig,
            auto_configure_optimizers=False,
            seed_everything_default=0,
        )
    except (MisconfigurationException, ModuleNotFoundError) as error:
        raise ValueError(str(error)) from error
    except ValueError as error:
        raise ValueError(reason_of_class(str(error))) from error


def with_named_pictures(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of predict with the pictures, which stand before all options, as --pictures."""
    if arguments[0] != "predict":
        return list(arguments)
    rest = list(arguments[1:])
    first = next((place for place, word in enumerate(rest) if word.startswith("-")), len(rest))
    named = [part for picture in rest[:first] for part in ("--pictures+", picture)]
    return ["predict", *rest[first:], *named]
