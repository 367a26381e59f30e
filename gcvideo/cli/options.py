"""The options that several commands share: each has one spelling, one help text and one default.

Nothing heavy is imported, as in all that prints a help.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from gcvideo.averaged import OPTION, WeightsState
from gcvideo.cli.parser import CommandParser
from gcvideo.processes import available_workers

if TYPE_CHECKING:
    from gcvideo.data.views import EvaluationViews


def add_videos(arguments: CommandParser, *, may_lack: bool = False) -> None:
    """Add the videos themselves, which stand without a name."""
    arguments.add_argument(
        "videos",
        nargs="*" if may_lack else "+",
        type=Path,
        help="Video files, folders of them, or lists of paths (.txt, .csv), with start,end of segments.",
    )


def add_checkpoint(arguments: CommandParser, *, required: bool = True) -> None:
    """Add --checkpoint."""
    arguments.add_argument(
        "--checkpoint",
        type=Path if required else Path | None,
        required=required,
        help="Read the network from this checkpoint of `gcvideo fit`.",
    )
    add_weights_state(arguments)


def add_weights_state(arguments: ArgumentParser) -> None:
    """Add --weights.state, which says which weights of the checkpoint are meant."""
    arguments.add_argument(
        OPTION,
        type=WeightsState | None,
        default=None,
        help="Take these weights of a checkpoint that holds raw and averaged ones; averaged ones if unset.",
    )


def add_config(arguments: CommandParser) -> None:
    """Add --config, for commands that take a network before it is trained."""
    arguments.add_argument(
        "--config",
        action="append",
        type=str,
        help="Take the network from this config file, as for fit; repeatable.",
    )


def add_out(
    arguments: CommandParser,
    default: Path | None = None,
    *,
    required: bool = False,
    help: str = "Write to this folder.",
) -> None:
    """Add --out; without a default and not required, the command itself chooses where to write."""
    is_known = required or default is not None
    kind = Path if is_known else Path | None
    arguments.add_argument("--out", type=kind, default=default, required=required, help=help)


def add_root(arguments: CommandParser) -> None:
    """Add --root, for commands that take lists of videos."""
    arguments.add_argument(
        "--root",
        type=Path | None,
        help="Take the paths in a list relative to this folder; to the list's own if unset.",
    )


def add_views(arguments: CommandParser) -> None:
    """Add --num_clips and --num_crops, which `chosen_views` reads."""
    for count, of in (("num_clips", "clips per video"), ("num_crops", "crops per clip")):
        arguments.add_argument(
            f"--{count}",
            type=int | None,
            help=f"Read so many {of}; as many as in the checkpoint's tests if unset.",
        )


def require_possible_views(options: Namespace) -> None:
    """Check --num_clips and --num_crops.

    Raises:
        ValueError: One of them is less than 1.
    """
    for count in ("num_clips", "num_crops"):
        if options[count] is not None and options[count] < 1:
            raise ValueError(f"{count} is {options[count]}; expected at least 1")


def chosen_views(options: Namespace, views: "EvaluationViews") -> "EvaluationViews":
    """Return the views of the checkpoint, with as many clips and crops as the options name."""
    return replace(
        views,
        num_clips=options.num_clips or views.num_clips,
        num_crops=options.num_crops or views.num_crops,
    )


def add_num_workers(arguments: CommandParser) -> None:
    """Add --num_workers."""
    arguments.add_argument(
        "--num_workers", type=int, default=available_workers(), help="Read videos ahead in so many processes."
    )


def add_device(arguments: CommandParser) -> None:
    """Add --device, which `usable_device` reads."""
    arguments.add_argument(
        "--device",
        type=str,
        default="auto",
        help="Run the network on this device, as torch names it; auto is a GPU if torch finds one.",
    )


def add_switch(arguments: CommandParser, name: str, *, help: str) -> None:
    """Add an option that is off unless it is given, with or without a value: --name, --name false."""
    arguments.add_argument(name, type=bool, nargs="?", const=True, default=False, help=help)
