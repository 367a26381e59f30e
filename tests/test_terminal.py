"""Names from files are shown as they are, and no terminal does what they say."""

import io
import logging

import pytest
from rich.table import Table
from rich.text import Text

from gcvideo.cli.log import Printable
from gcvideo.printable import printable, printable_lines
from gcvideo.terminal import Terminal

HOSTILE = "a\x1b]0;title\x07b\x9b2J\r[bold]x[/bold] :smile: \u202egnp.4pm\udcff"
SHOWN = r"a\x1b]0;title\x07b\x9b2J\r[bold]x[/bold] :smile: \u202egnp.4pm\udcff"


def test_control_characters_are_shown_as_their_numbers() -> None:
    assert printable(HOSTILE) == SHOWN
    assert printable("caf\u00e9 \u65e5\u672c \U0001f600\tx") == "caf\u00e9 \u65e5\u672c \U0001f600\tx"


def test_a_name_makes_no_line_of_its_own() -> None:
    said = "2 videos could not be read:\n  a.mp4: no frame\n  b.mp4: no frame"
    assert printable_lines(said) == said
    assert printable_lines("a\nwrote 5 predictions: no such file") == r"a\nwrote 5 predictions: no such file"


@pytest.mark.parametrize("printed", [HOSTILE, Text(HOSTILE), "cell", "heading"])
def test_a_console_shows_them_in_every_place(printed: str | Text) -> None:
    stream = io.StringIO()
    terminal = Terminal(file=stream, force_terminal=False, width=200)
    if printed == "cell":
        printed = Table("name")
        printed.add_row(HOSTILE)
    elif printed == "heading":
        printed = Table(HOSTILE)
    terminal.print(printed, soft_wrap=True)
    shown = stream.getvalue()
    assert "[bold]x[/bold] :smile: \\u202egnp.4pm\\udcff" in shown
    assert r"a\x1b]0;title" in shown
    assert "\x1b" not in shown


def test_so_does_the_log() -> None:
    record = logging.LogRecord("gcvideo", logging.INFO, "", 0, "%s: left out", (HOSTILE,), None)
    assert Printable("%(message)s").format(record) == f"{SHOWN}: left out"
