"""Give public names to every private name of argparse and jsonargparse that the package uses.

Nothing else is imported: what prints a help does not wait for torch.
"""

import argparse
from typing import Any


# argparse and jsonargparse: checked for Python 3.11 and 4.53
def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return what a parser does with each of its arguments."""
    return parser._actions


def groups_of(parser: argparse.ArgumentParser) -> list[argparse._ArgumentGroup]:
    """Return the groups under whose titles a parser's help lists its arguments."""
    return parser._action_groups


def type_of(action: argparse.Action) -> Any:
    """Return the type that jsonargparse parses an argument as."""
    return getattr(action, "_typehint", action.type)


def set_type(action: argparse.Action, type_: Any) -> None:
    """Let jsonargparse parse an argument as another type."""
    action._typehint = type_  # pyright: ignore[reportAttributeAccessIssue]


def subcommands_of(parser: Any) -> dict[str, Any]:
    """Return the parsers of a parser's subcommands; none where it has no subcommands."""
    return parser._subcommands_action.choices if parser._subcommands_action else {}
