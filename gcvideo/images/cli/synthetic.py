"""`gcvideo image synthetic`: write pictures of shapes for an image task."""

from collections.abc import Sequence

from gcvideo.images.cli.synthetic_arguments import parser
from gcvideo.images.synthetic.folders import write_synthetic_pictures


def run(arguments: Sequence[str]) -> None:
    """Write the data set that `arguments`, the first of which is the command's name, describe."""
    options = parser().parse_args(list(arguments[1:]))
    write_synthetic_pictures(**options.as_dict())
