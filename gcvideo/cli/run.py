"""`gcvideo fit | validate | test`: one run from its arguments to its end."""

from collections.abc import Sequence

from lightning.fabric.utilities.exceptions import MisconfigurationException

from gcvideo.cli.run_classes import settle
from gcvideo.cli.run_config import RunConfig
from gcvideo.cli.run_help import asked_topic, without_topic
from gcvideo.cli.run_parser import RunParser
from gcvideo.cli.trainer_arguments import reason_of_class
from gcvideo.cli.video_cli import VideoCLI
from gcvideo.keeping import ExactResume


def run(arguments: Sequence[str]) -> None:
    """Run the subcommand that `arguments` begin with.

    Raises:
        ValueError: An argument is wrong, or asks for what this machine does not have.
    """
    try:
        settled = settle(without_topic(arguments))
        VideoCLI(
            settled.model,
            settled.data,
            task=settled.task,
            args=settled.arguments,
            parser_class=RunParser,
            parser_kwargs={arguments[0]: {"topic": asked_topic(arguments)}},
            trainer_defaults={
                "enable_model_summary": False,
                "callbacks": [ExactResume()],
            },
            save_config_callback=RunConfig,
            auto_configure_optimizers=False,
            seed_everything_default=0,
        )
    except (MisconfigurationException, ModuleNotFoundError) as error:
        raise ValueError(str(error)) from error
    except ValueError as error:
        raise ValueError(reason_of_class(str(error))) from error
