"""The arguments of `gcvideo image synthetic`, which are those of write_synthetic_pictures."""

from pathlib import Path
from typing import Literal

from gcvideo.cli.parser import CommandParser


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo image synthetic",
        description="Make a small data set of pictures of shapes: circles, squares, triangles, stars, "
        "crosses, rings. No pixel and no colour tells the class. For classification: train/CLASS/*.png, val "
        "likewise. For detection: train/*.jpg and train.json as COCO has it, with boxes, masks, crowds and "
        "empty pictures. For segmentation: train/pictures and train/masks. Calling again finishes what an "
        "earlier call left undone.",
    )
    arguments.add_argument(
        "out", type=Path, help="Folder to write to: new, empty, or begun with the same settings."
    )
    arguments.add_argument(
        "--task",
        type=Literal["classification", "detection", "segmentation"],
        required=True,
        help="What the pictures are for.",
    )
    for name, default, meaning in (
        ("num_train", 600, "Pictures for training."),
        ("num_val", 120, "Pictures for validation."),
        ("size", 96, "Height and width of a picture in pixels; at least 32."),
        ("seed", 0, "A picture depends on task, size and seed, its split and number alone."),
    ):
        arguments.add_argument(f"--{name}", type=int, default=default, help=meaning)
    return arguments
