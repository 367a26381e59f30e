"""Text that no terminal takes for commands."""

import re

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029"  # control characters but tab and newline
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # which turn the direction of what follows
    "\ud800-\udfff]"  # bytes of broken file names
)
NEW_LINE = re.compile(r"\n(?!  |$)")


def printable(text: str) -> str:
    """Return text with every character that would do more than stand there as `\\x1b`, `\\u202e`."""
    return UNPRINTABLE.sub(_escape, text)


def printable_lines(text: str) -> str:
    """Return a message likewise; lines after the first are its own if they are indented by two spaces."""
    return NEW_LINE.sub(r"\\n", printable(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
