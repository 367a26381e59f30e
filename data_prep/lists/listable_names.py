"""Which names a list can hold, and a file can have."""

LONGEST_NAME = 240
"""Bytes: the system's limit is 255, and a file that is being written has a longer name."""


def unlistable(name: str) -> str | None:
    """Return why a name cannot stand in a list of one row a line, or None."""
    if any("\ud800" <= character <= "\udfff" for character in name):
        return "name that is not UTF-8"
    if len(name.splitlines()) > 1 or any(ord(character) < 32 for character in name):
        return "name with control characters"
    if name != name.strip():
        return "name with spaces around it"
    return None
