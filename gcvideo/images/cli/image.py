"""`gcvideo image COMMAND`: choose the command."""

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple

from gcvideo.cli.run_help import FLAGS
from gcvideo.images.cli.run_help import STARTS, answer
from gcvideo.images.cli.synthetic_arguments import parser


class Command(NamedTuple):
    """Where a command is, and what it does."""

    module: str
    summary: str


COMMANDS = {
    "fit": Command("gcvideo.images.cli.run", "train a network, validating as it goes"),
    "validate": Command("gcvideo.images.cli.run", "validate a checkpoint"),
    "test": Command("gcvideo.images.cli.run", "test a checkpoint"),
    "predict": Command(
        "gcvideo.images.cli.run", "predict on pictures: image predict new/ --ckpt_path best.ckpt"
    ),
    "attention": Command(
        "gcvideo.images.cli.attention",
        "what context blocks look at: image attention new/ --ckpt_path best.ckpt",
    ),
    "synthetic": Command("gcvideo.images.cli.synthetic", "write a set of shapes for any of the tasks"),
}

USAGE = "\n".join(
    [
        "usage: gcvideo image COMMAND [--help] [arguments]",
        "",
        "Classification, detection and segmentation of pictures with the same blocks.",
        "",
        *(f"  {name:<12}{command.summary}" for name, command in COMMANDS.items()),
        "",
        "`gcvideo image COMMAND --help` explains the command's arguments.",
        "--config takes files, and names as `gcvideo configs ls images` lists them.",
    ]
)


def run(arguments: Sequence[str]) -> None:
    """Run the command that `arguments`, behind the word image, begin with."""
    named = list(arguments[1:])
    if not named or named[0] in ("-h", "--help"):
        sys.stdout.write(USAGE + "\n")
        return
    if named[0] not in COMMANDS:
        sys.stderr.write(f"gcvideo image: no command {named[0]!r}; one of {', '.join(COMMANDS)}\n")
        sys.exit(2)
    if named[0] in STARTS and answer(named):
        return
    if named[0] == "synthetic" and set(FLAGS) & set(named):
        parser().parse_args(named[1:])
    importlib.import_module(COMMANDS[named[0]].module).run(named)
