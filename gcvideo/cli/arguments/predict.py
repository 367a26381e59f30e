"""The arguments of `gcvideo predict`."""

from pathlib import Path

from gcvideo.cli.arguments.live import add_live
from gcvideo.cli.options import (
    add_checkpoint,
    add_device,
    add_num_workers,
    add_out,
    add_root,
    add_switch,
    add_videos,
    add_views,
)
from gcvideo.cli.parser import CommandParser


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo predict",
        description="Print and save the five likeliest classes of videos, or all that a network of several "
        "labels finds in them. The network, its class names and "
        "the views come from the checkpoint. Writes predictions.csv and predictions.json, and what else is "
        "asked for. Videos that cannot be read are named at the end and make the exit code 1; the others "
        "are done. With --live it watches a camera or a stream instead.",
    )
    # The videos and the network
    add_videos(arguments, may_lack=True)
    add_checkpoint(arguments)
    add_out(arguments, Path("predictions"))
    add_root(arguments)
    add_views(arguments)

    arguments.add_argument(
        "--threshold",
        type=float | Path | None,
        default=None,
        help="Of a network of several labels: the probability above which a class is there, 0.5 if unset; or "
        "a file that has one for every class, as the val_classes.csv that `gcvideo validate` writes.",
    )

    # What else to write
    add_switch(
        arguments,
        "--timeline",
        help="Slide one clip over the whole video, for long ones: writes timeline.csv and timelines/*.png. "
        "The video's own classes are then the mean over its windows.",
    )
    arguments.add_argument(
        "--hop_seconds",
        type=float | None,
        default=None,
        help="Slide the timeline by so many seconds, of the file's time stamps; by half a clip if unset.",
    )
    add_switch(
        arguments,
        "--annotate",
        help="Write copies of the videos with the classes on the picture, with their times and sound: "
        "annotated/*.mp4.",
    )
    add_live(arguments)

    # How to compute
    add_num_workers(arguments)
    add_device(arguments)
    return arguments
