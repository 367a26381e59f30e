"""`gcvideo synthetic`: write the embedded data set."""

from collections.abc import Sequence

from gcvideo.cli.arguments.synthetic import parser
from gcvideo.data.synthetic import write_synthetic


def run(arguments: Sequence[str]) -> None:
    """Write the data set that `arguments` describe."""
    options = parser().parse_args(list(arguments[1:]))
    write_synthetic(**options.as_dict())
