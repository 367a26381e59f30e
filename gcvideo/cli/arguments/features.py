"""The arguments of `gcvideo features`."""

from pathlib import Path

from gcvideo.cli.options import (
    add_checkpoint,
    add_device,
    add_num_workers,
    add_out,
    add_root,
    add_videos,
    add_views,
)
from gcvideo.cli.parser import CommandParser
from gcvideo.words import Per


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo features",
        description="Write the pooled features of videos (what the network's last layer reads, averaged over "
        "crops) to .npz or .parquet. A run that was stopped goes on when it is started again. Videos that "
        "cannot be read are left out, named in FILE.unreadable.txt, and make the exit code 1.",
    )
    add_videos(arguments)
    add_checkpoint(arguments)
    add_out(
        arguments,
        Path("features.npz"),
        help="Write this file: .npz with arrays video, features (and of clips: clip, start_seconds, "
        "end_seconds), or .parquet with these columns.",
    )
    arguments.add_argument(
        "--per",
        type=Per,
        default="video",
        help="Write one row per video (the mean over its clips), or one per clip.",
    )
    add_root(arguments)
    add_views(arguments)
    add_num_workers(arguments)
    add_device(arguments)
    return arguments
