"""`gcvideo configs`: list, show and copy the configuration files and launch scripts of the package."""

import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from gcvideo.cli.named_configs import FOLDER, configurations, find
from gcvideo.cli.parser import CommandParser
from gcvideo.terminal import Terminal

LAUNCH = FOLDER / "launch"


def parser() -> CommandParser:
    """Return the parser of the command's arguments."""
    arguments = CommandParser(
        prog="gcvideo configs",
        description="The configuration files that come with gcvideo. Every command takes them by name: "
        "--config base+folder+slow_r50+gc5 is four --config in this order, of which the last wins. `ls` "
        "lists them with the scripts that start a run on many GPUs, `show NAME` prints one, and `cp NAME "
        "... FOLDER` copies some to be changed; where a file and a configuration are called alike, the file "
        "is meant.",
    )
    arguments.add_argument("action", choices=["ls", "show", "cp"], help="What to do.")
    arguments.add_argument(
        "names",
        nargs="*",
        type=str,
        help="Names as ls lists them, of cp followed by a folder; ls takes the beginning of some.",
    )
    return arguments


def run(arguments: Sequence[str]) -> None:
    """List, show or copy what `arguments` name.

    Raises:
        ValueError: A name is unknown, or a copy would replace a file.
    """
    options = parser().parse_args(list(arguments[1:]))
    actions: dict[str, Callable[[Sequence[str]], None]] = {"ls": ls, "show": show, "cp": cp}
    actions[options.action](options.names)


def ls(beginnings: Sequence[str]) -> None:
    """Print names and what they are."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for name, file in available().items():
        if not beginnings or name.startswith(tuple(beginnings)):
            table.add_row(name, summary(file))
    if not table.row_count:
        raise ValueError(f"nothing begins with {' or '.join(beginnings)}; `gcvideo configs ls` lists all")
    Terminal().print(table)


def show(names: Sequence[str]) -> None:
    """Print files, each as it is."""
    if not names:
        raise ValueError("show was given no name; `gcvideo configs ls` lists them")
    for name in names:
        sys.stdout.write(found(name).read_text())


def cp(names: Sequence[str]) -> None:
    """Copy files into a folder, below the names of their groups."""
    if len(names) < 2:
        raise ValueError("cp takes one name or more, and a folder: gcvideo configs cp block/gc5 my_configs")
    *names, folder = names
    copies = {file: Path(folder) / file.relative_to(FOLDER) for file in map(found, names)}
    for copy in copies.values():
        if copy.exists():
            raise ValueError(f"{copy} is there already; remove it, or name another folder")
    for file, copy in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
        sys.stdout.write(f"{copy}\n")


def available() -> dict[str, Path]:
    """Return the configurations, and the scripts that start runs."""
    scripts = sorted(LAUNCH.iterdir())
    return configurations() | {f"launch/{script.name}": script for script in scripts}


def found(name: str) -> Path:
    """Return the file of a name; ValueError if there is none."""
    return available().get(name) or find(name)


def summary(file: Path) -> str:
    """Return how the comment begins that a file begins with."""
    lines = file.read_text().splitlines()
    if lines[0].startswith("#!"):
        del lines[0]
    comment = []
    for line in lines:
        if not line.startswith("#") or line == "#":
            break
        comment.append(line.strip("# "))
    said = re.sub(r" \([^)]*\)", "", " ".join(comment))
    return re.split(r"[.:;](?= |$)", said, maxsplit=1)[0]
