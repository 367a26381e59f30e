"""Classes in the terminal, each a bar as long as it is probable."""

from collections.abc import Iterable

from rich.progress_bar import ProgressBar
from rich.table import Column, Table


def class_bars(lines: Iterable[tuple[str, str, float]]) -> Table:
    """Return a line for each (when, class, probability)."""
    printed = Table(
        Column(justify="right"),
        Column(),
        Column(justify="right"),
        Column(overflow="fold"),
        box=None,
        show_header=False,
    )
    for when, name, probability in lines:
        bar = ProgressBar(total=1, completed=probability, width=20)
        printed.add_row(when, bar, f"{probability:.1%}", name)
    return printed
