"""The arguments of `gcvideo attention`."""

from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from gcvideo.cli.options import add_checkpoint, add_config, add_device, add_out, add_root
from gcvideo.cli.parser import CommandParser


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo attention",
        description="Measure how far apart positions are in the input, the context and the attention of "
        "every context block (GCNet, table 1), over a data set: over all pairs of positions, over those of "
        "one frame, of one place, and of neither. Draws attention maps of some videos, and Grad-CAM. Takes a "
        "checkpoint, or the config files of a network, which is measured as it is initialised; of those any "
        "key can be given as --model.key or --data.key.",
    )
    # The network and the videos
    add_checkpoint(arguments, required=False)
    add_config(arguments)
    arguments.add_argument(
        "--data",
        type=Path | None,
        help="Measure this folder, list (.csv, .txt) or file of videos; by default the test set of the "
        "checkpoint or the config files.",
    )
    add_root(arguments)
    arguments.add_argument(
        "--num_videos",
        type=NonNegativeInt,
        help="Measure so many videos, the first ones; all if unset, 0 for none.",
    )

    # What is measured
    arguments.add_argument(
        "--num_clips", type=PositiveInt, default=1, help="Measure so many clips per video."
    )
    arguments.add_argument("--num_crops", type=PositiveInt, default=1, help="Measure so many crops per clip.")
    arguments.add_argument(
        "--blocks", type=str, nargs="+", help="Look at these context blocks, as res4.3; at all if unset."
    )
    arguments.add_argument(
        "--num_pairs",
        type=PositiveInt,
        default=2000,
        help="Take the Jensen-Shannon divergence of a clip over so many pairs of each kind.",
    )

    # What is drawn
    arguments.add_argument(
        "--maps",
        type=NonNegativeInt,
        default=2,
        help="Draw maps of so many videos, the first ones of the data.",
    )
    arguments.add_argument(
        "--videos", type=Path, nargs="+", help="Draw maps of these videos, folders or lists instead."
    )
    arguments.add_argument(
        "--query",
        type=str,
        nargs="+",
        metavar="T,Y,X",
        help="Draw maps of these query points: shares, 0..1, of the clip's length, height and width, so that "
        "0.5,0.5,0.5 is the middle of every block's feature map; by default two places in two frames.",
    )
    arguments.add_argument(
        "--gradcam", type=str, nargs="+", metavar="STAGE", help="Draw Grad-CAM of these stages, as res5."
    )

    # Where to write and to compute
    add_out(arguments, help="Write to this folder; by default attention/ in the run's folder.")
    arguments.add_argument(
        "--seed", type=int, default=0, help="Draw pairs, and weights before training, from this seed."
    )
    add_device(arguments)
    return arguments
