"""The arguments of `gcvideo predict --live`."""

from gcvideo.cli.options import add_switch
from gcvideo.cli.parser import CommandParser


def add_live(arguments: CommandParser) -> None:
    """Add --live and what belongs to it."""
    arguments.add_argument(
        "--live",
        type=str | None,
        default=None,
        help="Watch this in place of videos: a camera's number, /dev/video0, an address (rtsp, http, udp, "
        "tcp), a file, which is played at its own rate, or - for standard input. A terminal shows bars; "
        "another program that reads standard output gets a line of JSON a prediction.",
    )
    arguments.add_argument(
        "--every", type=float, default=1.0, help="With live, predict the newest clip every so many seconds."
    )
    arguments.add_argument(
        "--smoothing_seconds",
        type=float,
        default=2.0,
        help="With live, show the running mean over about so many seconds; 0 shows each clip's own classes.",
    )
    add_switch(arguments, "--window", help="With live, show the pictures too; needs opencv-python.")
    arguments.add_argument(
        "--reconnect_seconds",
        type=float | None,
        default=None,
        help="With live, try to open a lost camera or stream again for so many seconds; for ever if unset. "
        "With 0 its end is the end.",
    )
    arguments.add_argument(
        "--source_options",
        type=dict[str, str],
        default={},
        help="With live, FFmpeg's options for a camera or stream, as --source_options.video_size 1280x720.",
    )
