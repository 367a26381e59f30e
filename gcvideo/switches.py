"""Variables of the environment that switch something off."""

import os


def is_on(name: str) -> bool:
    """Return whether the variable is 1 or not set; raise ValueError for a value other than 0 and 1."""
    value = os.environ.get(name, "1")
    if value not in ("0", "1"):
        raise ValueError(f"{name} is '{value}'; expected 0 or 1")
    return value == "1"
