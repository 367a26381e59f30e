"""`gcvideo completion`: a script by which a shell completes commands, keys, words and configurations."""

import argparse
import importlib
import sys
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any, Literal, get_args, get_origin

import shtab

from gcvideo.cli.arguments.completion import parser
from gcvideo.cli.data import STEPS
from gcvideo.cli.main import COMMANDS
from gcvideo.cli.named_configs import configurations
from gcvideo.cli.run_options import run_parsers
from gcvideo.private_names_of_parsers import actions_of, subcommands_of, type_of

CONFIGS = "_gcvideo_configs"


def run(arguments: Sequence[str]) -> None:
    """Print the script for the shell that `arguments` name."""
    sys.stdout.write(script(parser().parse_args(list(arguments[1:])).shell) + "\n")


def script(shell: str) -> str:
    """Return the script, of the keys that the commands' own parsers have."""
    parsers: dict[str, Any] = dict(run_parsers())
    for name, command in COMMANDS.items():
        if command.arguments:
            parsers[name] = importlib.import_module(command.arguments).parser()
    whole = argparse.ArgumentParser(prog="gcvideo")
    commands = whole.add_subparsers()
    for name, command in COMMANDS.items():
        completed = commands.add_parser(name, help=command.summary)  # shtab leaves out those without
        if name == "data":
            completed.add_argument("step", choices=[*STEPS])
        if name in parsers:
            copy_keys(parsers[name], completed)
    names = {part for name in configurations() for part in (name, name.rpartition("/")[2])}
    listed = f'compgen -W {quote(" ".join(sorted(names)))} -- "$1"; compgen -f -- "$1"'
    return shtab.complete(whole, shell, preamble=f"{CONFIGS}() {{ {listed}; }}")


def copy_keys(source: Any, target: argparse.ArgumentParser) -> None:
    """Give a parser the keys of one of jsonargparse's, and the words that each takes."""
    if below := subcommands_of(source):
        subcommands = target.add_subparsers()
        for name, parser_below in below.items():
            copy_keys(parser_below, subcommands.add_parser(name, help=name))
    for action in actions_of(source):
        keys = [key for key in action.option_strings if key.startswith("-") and key not in ("-h", "--help")]
        if keys:
            words = words_of(type_of(action))
            copied = target.add_argument(*keys, dest=action.dest, choices=words or None)
            if not words:
                copied.complete = completer(keys)  # pyright: ignore[reportAttributeAccessIssue]


def completer(keys: Sequence[str]) -> Mapping[Any, Any]:
    """Return what completes the value of a key."""
    return {"bash": CONFIGS} if "--config" in keys else shtab.FILE


def words_of(type_: Any) -> list[str]:
    """Return the words that a type names: those of a Literal, true and false of a switch."""
    if type_ is bool:
        return ["true", "false"]
    if get_origin(type_) is Literal:
        return [str(word) for word in get_args(type_)]
    return [word for part in get_args(type_) if get_origin(part) is Literal for word in words_of(part)]
