"""The arguments of `gcvideo synthetic`, which are those of gcvideo.data.synthetic.write_synthetic."""

from pathlib import Path

from gcvideo.cli.parser import CommandParser


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo synthetic",
        description="Make a small data set of H.264 videos in 8 classes that no single frame can tell apart: "
        "textured objects that move in one of eight directions. Mirroring swaps classes: train without "
        "horizontal flips. Writes train/, val/ and test/ with a folder of mp4 files per class, their lists, "
        "and classes.txt. Calling again finishes what an earlier call left undone.",
    )
    arguments.add_argument(
        "root", type=Path, help="Folder to write to: new, empty, or begun with the same settings."
    )
    for name, default, meaning in (
        ("num_train_per_class", 48, "Videos per class for training."),
        ("num_val_per_class", 8, "Videos per class for validation."),
        ("num_test_per_class", 12, "Videos per class for testing."),
        ("num_frames", 32, "Frames per video."),
        ("fps", 16, "Frames per second."),
        ("height", 72, "Picture height in pixels: even, at least 32."),
        ("width", 96, "Picture width in pixels: even, at least 32."),
        ("seed", 0, "A video's content depends on the seed, its split, class and number alone."),
    ):
        arguments.add_argument(f"--{name}", type=int, default=default, help=meaning)
    return arguments
