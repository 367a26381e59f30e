"""One line for what a parser refuses: the key, what was found there, and what would do.

jsonargparse says why each alternative of a type did not fit, level by level. Its exceptions hang together by
their causes, from the command's key down to the value; here they become that key and the last of them.
"""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from gcvideo.cli.choices import base_of, choices
from gcvideo.cli.config_forms import MOVED
from gcvideo.cli.expectations import expected
from gcvideo.cli.trust import distrusted_name
from gcvideo.private_names_of_parsers import actions_of, type_of

UNKNOWN_ARGUMENT = re.compile(r"unrecognized arguments: .*?--([\w.]+)")
UNKNOWN_OPTION = re.compile(
    r"(?:Subcommand '\w+' does not accept option|Group '(?P<group>[\w.]+)' does not accept option|Option) "
    r"'(?P<key>[^']+)'"
)
KEY = re.compile(r'Parser key "(?P<key>[^"]+)"')
REQUIRED = re.compile(r"the following arguments are required: (.*)")
REFUSED = re.compile(
    r"(?P<key>[\w.]+) (?P<text>(?:is no setting|cannot take|must be given|names [\w.]+, wh).*)"
)
FOUND = re.compile(r"(?:Got value|path string): (.*)")
CLASS_PATH = re.compile(
    r"class_path[ =]'([\w.]+)'|Import path ([\w.]+) |Expected '([\w.]+)' to be|Expected a path but ([\w.]+) |"
    r"(?:import path string|callable class: .*Got value): ([A-Za-z_][\w.]*)$"
)
NO_LIST = "Expected a <class 'list'>"
ONE_WORD = re.compile(r"[\w.]+")
MANY_SETTINGS = 20
LONG = 100


class Complaint(NamedTuple):
    """What is wrong, and with which setting."""

    key: str
    """The setting that it is about; "" where there is none."""
    text: str

    def __str__(self) -> str:
        return f"{self.key} {self.text}".strip()


class Refusal(argparse.ArgumentError):
    """The complaint of the parser of a class among the settings, on its way to the command's."""

    def __init__(self, complaint: Complaint) -> None:
        super().__init__(None, str(complaint))
        self.complaint = complaint


def complaint_about(parser: argparse.ArgumentParser, message: str, error: BaseException | None) -> Complaint:
    """Return what is wrong, from the message and the exception of jsonargparse."""
    causes = list(_causes(error))
    outer = KEY.match(message)
    inner = next((cause.complaint for cause in causes if isinstance(cause, Refusal)), None)
    if inner is None and (refused := REFUSED.search(message)):  # by another alternative than the first
        inner = Complaint(refused["key"], " ".join(refused["text"].split()))
    if outer and inner:
        return Complaint(".init_args.".join(filter(None, (outer["key"], inner.key))), inner.text)
    if outer and (action := _action(parser, outer["key"])):
        return Complaint(outer["key"], _misfit(type_of(action), causes))
    if unknown := UNKNOWN_ARGUMENT.match(message):
        return Complaint(unknown[1], _no_setting(unknown[1], parser))
    if unknown := UNKNOWN_OPTION.match(message):
        key = ".".join(filter(None, (unknown["group"], unknown["key"])))
        return Complaint(key, _no_setting(key, getattr(error, "subcommand_parser", parser)))
    if required := REQUIRED.match(message):
        keys = [re.sub(r"^(fit|validate|test|predict)\.", "", key) for key in required[1].split(", ")]
        return Complaint(" and ".join(keys), "must be given")
    return Complaint("", _in_one_line(message))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _action(parser: argparse.ArgumentParser, key: str) -> argparse.Action | None:
    return next((action for action in actions_of(parser) if action.dest == key and key != "config"), None)


def _misfit(type_: Any, causes: Sequence[BaseException]) -> str:
    """Return what is wrong with a value, and what the key's type would be."""
    if refused := next(filter(None, (distrusted_name(str(cause)) for cause in causes)), None):
        return refused
    base = base_of(type_)
    path = next(filter(None, map(_class_path, causes)), None)
    takes = expected(type_)
    lacks_brackets = NO_LIST in str(causes[-1]) and "the class_path of" not in takes
    if base is not None and path is not None and not lacks_brackets:
        return f"names {path}, which {_why_not(causes[-1], base, path)}; {choices(type_, path)}"
    found = FOUND.search(str(causes[-1]))
    if found is None:
        return f"is refused: {_in_one_line(KEY.sub('', str(causes[-1])).lstrip(': '))}"
    value = _in_one_line(found[1])
    item = ONE_WORD.fullmatch(value) and re.search(rf"a list of (class_paths|.*\b{value}\b)", takes)
    in_a_list = f", as [{value}]" if item else ""
    return f"cannot take {value!r}; expected {takes}{in_a_list}"


def _class_path(cause: BaseException) -> str | None:
    match = CLASS_PATH.search(str(cause))
    return next(filter(None, match.groups()), None) if match else None


def _why_not(root: BaseException, base: type, path: str) -> str:
    """Return what speaks against a class; `root` is the exception at the bottom."""
    module, _, name = path.rpartition(".")
    value = getattr(sys.modules.get(module), name, None)
    if value is not None and not (inspect.isclass(value) and base in value.__mro__):
        return f"is no {base.__name__}"
    missing = root.name if isinstance(root, ModuleNotFoundError) else None
    if value is None and (missing is None or f"{path}.".startswith(f"{missing}.")):
        return "does not exist"
    return f"is refused: {_in_one_line(str(root))}"


def _no_setting(key: str, parser: argparse.ArgumentParser) -> str:
    """Say that there is no such key, and which ones it may have been meant for."""
    section, _, name = key.partition(".")
    if section == "model" and (former := next((old for old in MOVED if name.startswith(old)), None)):
        return f"is no setting any more; it is model.{MOVED[former]}{name.removeprefix(former)}"
    known = sorted({action.dest for action in actions_of(parser) if "help" not in action.dest})
    near = did_you_mean(key, known)
    if not near and "." not in key and 0 < len(known) <= MANY_SETTINGS:
        near = f"; expected one of {', '.join(known)}"
    return "is no setting" + near


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean A or B?", or nothing where nothing is near."""
    leaf = word.rpartition(".")[2]
    same_leaf = [name for name in known if name.rpartition(".")[2] == leaf]
    near = same_leaf or get_close_matches(word, known, n=2, cutoff=0.75)
    return f"; did you mean {' or '.join(near[:3])}?" if near else ""


def _in_one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 4 * LONG else f"{line[: 4 * LONG]} ..."
