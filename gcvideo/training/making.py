"""How parts that a configuration names are made."""

from collections.abc import Callable
from typing import Any


def shared_by_copies(make: Callable[..., Any]) -> Callable[..., Any]:
    """Return a call that a deep copy of the module, as averaged weights are one, shares with it.

    What jsonargparse makes of a class_path holds its parser, which cannot be copied; a function is not.
    """
    return lambda *arguments: make(*arguments)
