"""The arguments of `gcvideo export`."""

from pathlib import Path

from gcvideo.cli.options import add_checkpoint, add_out, add_switch
from gcvideo.cli.parser import CommandParser
from gcvideo.words import ExportKind


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo export",
        description="Write the network of a checkpoint as ONNX (model.onnx), as a torch.export program "
        "(model.pt2) and as plain weights (model.safetensors). Each takes any number of clips [B 3 T H W], "
        "normalised as export.json says, and gives logits [B K]. Each is read back and must agree with the "
        "network itself on real clips; one that does not is deleted, and the exit code is 1.",
    )
    # What to write
    add_checkpoint(arguments)
    add_out(arguments, required=True)
    arguments.add_argument(
        "--kinds",
        type=list[ExportKind],
        default=["onnx", "program", "state"],
        help="Write these kinds of files.",
    )
    add_switch(
        arguments,
        "--fold_batch_norms",
        help="Fold batch norms into the layers before them; faster, and the end of training.",
    )
    arguments.add_argument(
        "--opset", type=int, default=20, help="Write this version of the ONNX operators, from 18 on."
    )

    # What to check it on
    arguments.add_argument(
        "--videos",
        type=list[Path] | None,
        default=None,
        help="Check on these video files or folders; by default validation videos of the checkpoint's data, "
        "or noise where these are not at hand.",
    )
    arguments.add_argument(
        "--num_videos", type=int, default=2, help="Check on so many videos, two clips of each."
    )
    arguments.add_argument(
        "--tolerance",
        type=float,
        default=1e-4,
        help="Allow logits to differ by so much, relative to the largest logit.",
    )
    return arguments
