"""The arguments of `gcvideo complexity`."""

from pathlib import Path

from jsonargparse.typing import PositiveInt

from gcvideo.cli.options import add_config, add_device, add_out, add_switch
from gcvideo.cli.parser import CommandParser

NUM_CLASSES = 400
"""Classes of the head where no data set says how many."""
MEANINGS = {
    "num_classes": "Classes of the head",
    "num_frames": "Frames of a view",
    "crop_size": "Side of a view, in pixels",
    "num_views": "Views of a video",
}
DEFAULTS = {"num_classes": NUM_CLASSES, "num_frames": 8, "crop_size": 224, "num_views": 30}
"""The paper's."""


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo complexity",
        description="Measure parameters, multiply-adds, forward time and peak memory of one network "
        "(--config) or of the five networks of the paper (--paper), as a table, complexity.csv and "
        "complexity.md. A run's own config.yaml will do; any key of config files can be given as --model.key "
        "or --data.key.",
    )
    add_config(arguments)
    add_switch(
        arguments,
        "--paper",
        help="Measure the five rows of the paper's Kinetics table; --paper images: ImageNet's and COCO's.",
    )
    add_out(arguments, Path())
    add_device(arguments)
    for name, meaning in MEANINGS.items():
        arguments.add_argument(
            f"--{name}",
            type=PositiveInt,
            help=f"{meaning}; that of the config files' data, or else {DEFAULTS[name]}.",
        )
    return arguments
