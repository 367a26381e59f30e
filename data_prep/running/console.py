"""How a step speaks: a progress bar, a table at the end, one line for an error."""

import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from gcvideo.printable import printable

console = Console(stderr=True, markup=False, emoji=False)  # file names hold [brackets] and :colons:


def progress_bar() -> Progress:
    """Return a bar that counts items and says how long the rest will take."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def byte_bar() -> Progress:
    """Return a bar that counts bytes and says how fast they come and how long the rest will take."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def counted(number: int, thing: str) -> str:
    """Return `1 file`, `2,000 files`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def say(text: str, *, style: str | None = None) -> None:
    """Print a line that stays one line, however long its paths are."""
    console.print(_in_one_line(text), style=style, highlight=False, soft_wrap=True)


def show_first(
    what: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, whole: Path, num_shown: int = 20
) -> None:
    """Show the first rows of a table, and say how many there are and which file has all."""
    title = f"{len(rows):,} {what}"
    if len(rows) > num_shown:
        title += f", of which these are the first {num_shown}; all are in {whole}"
    show_table(title, columns, rows[:num_shown])


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Show a table; numbers stand to the right."""
    table = Table()
    for place, column in enumerate(columns):
        numeric = all(re.fullmatch(r"-|[\d.,]+( %)?", str(row[place])) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *(f"{cell:,}" if isinstance(cell, int) else _in_one_line(str(cell))[:500] for cell in row)
        )
    say(title, style="bold")  # Table(title=) would break a title that is wider than the table
    console.print(table)


def _in_one_line(text: str) -> str:
    """Return a text with what no terminal takes, or takes for a command or a new line, written out."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def program(step: str) -> str:
    """Return what a step is called: the script, or the command of the package."""
    script = f"{step}.py"
    return script if Path(sys.argv[0]).name == script else f"gcvideo data {step}"


def run_step(step: Callable[[Sequence[str] | None], int]) -> None:
    """Run a step's main and exit with its code; a ValueError or OSError is one line and code 2."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_path=False)],
    )
    try:
        sys.exit(step(None))
    except (ValueError, OSError) as error:
        said = str(error)
        if isinstance(error, OSError) and error.filename is not None:
            said = f"{error.filename}: {error.strerror}"
        say(f"error: {said}", style="red")
        sys.exit(2)
    except KeyboardInterrupt:
        say("stopped; run the same command again to go on", style="yellow")
        sys.exit(130)
