"""Argument parsers whose errors are one line and whose help can be read."""

import re
import sys
from argparse import SUPPRESS
from collections.abc import Sequence
from contextlib import chdir, suppress  # pyright: ignore[reportAttributeAccessIssue]  (of 3.11)
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import register_type

from gcvideo.cli.complaints import Refusal, complaint_about, did_you_mean
from gcvideo.cli.config_files import before_its_class, config_files, fault_in, place_of
from gcvideo.cli.config_forms import with_current_names, without_classes
from gcvideo.cli.run_help import ALL
from gcvideo.cli.trust import EXPLAINED
from gcvideo.paths import user_path
from gcvideo.printable import printable
from gcvideo.private_names_of_parsers import actions_of, groups_of, subcommands_of

register_type(Path, str, user_path, type_check=isinstance)

_given: ContextVar[Sequence[str]] = ContextVar("arguments of the command", default=())
_started_in: ContextVar[Path | None] = ContextVar("folder that its paths are relative to", default=None)


class CommandParser(ArgumentParser):
    """The parser of a command of ours."""

    def __init__(self, *args: Any, topic: str | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, "epilog": EXPLAINED, **kwargs})
        self.topic = topic
        """What --help is asked about: a part of keys, or all."""

    def parse_args(self, args: Sequence[str] | None = None, *others: Any, **settings: Any) -> Namespace:
        """Parse a command's arguments, which errors are then compared with."""
        given = sys.argv[1:] if args is None else list(args)
        before = _given.set(_given.get() or given)  # a subcommand's parser is given fewer
        elsewhere = _started_in.set(_started_in.get() or Path.cwd())
        try:
            parsed = super().parse_args(args, *others, **settings)
            if fault := self._fault():
                self._refuse(fault)
            return parsed
        except UnicodeDecodeError as error:  # of a config file
            self.error(str(error), error)
        finally:
            _given.reset(before)
            _started_in.reset(elsewhere)

    def parse_string(self, content: str, *others: Any, **settings: Any) -> Namespace:
        """Parse a configuration, an older run's among them."""
        with suppress(yaml.YAMLError):  # which is refused below, with its line
            config = yaml.safe_load(content)
            current = with_current_names(without_classes(config)) if isinstance(config, dict) else config
            if current != config:
                content = yaml.safe_dump(current)
        return super().parse_string(content, *others, **settings)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong, without the usage of two hundred arguments before it, and exit with 2."""
        complaint = complaint_about(self, message, ex)
        if not self.exit_on_error:  # a class among the settings, or one alternative of a type
            raise Refusal(complaint) from ex
        with chdir(
            _started_in.get() or Path()
        ):  # jsonargparse reads a config file from the file's own folder
            if fault := self._fault():
                self._refuse(fault)
            if early := before_its_class("model.network", _given.get()):
                self._refuse(
                    f"{early}: model.network has settings, but no file before this one names its class; "
                    "stack one of configs/model before those of configs/block and configs/recipe"
                )
            place = place_of(complaint.key, _given.get())
        self._refuse(f"{place}: {complaint}" if place else str(complaint))

    @property
    def _chosen(self) -> Any:
        """The parser of the subcommand that was given, or this one."""
        given = _given.get()
        return subcommands_of(self).get(given[0], self) if given else self

    def _fault(self) -> str | None:
        return fault_in(config_files(_given.get()), self._chosen.groups)

    def _refuse(self, said: str) -> NoReturn:
        command = self._chosen.prog.replace(" [options]", "")
        end = "" if said.endswith("?") else ";"
        sys.stderr.write(printable(f"{command}: {said}{end} see `{command} --help`") + "\n")
        sys.exit(2)

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        """Return the help on the topic, without the lists of several hundred classes of any module's type.

        Raises:
            ValueError: No key has such a part.
        """
        if self.topic not in (None, ALL):
            self._leave_out_others(self.topic)
        return re.sub(r",\s+known\s+subclasses:([^)]*)\)", _short_list, super().format_help(*args, **kwargs))

    def _leave_out_others(self, topic: str) -> None:
        parts = {part for action in actions_of(self) for part in action.dest.split(".")}
        if topic not in parts:
            near = did_you_mean(topic, sorted(parts)) or "; expected all, or a word of a key, as optimizer"
            raise ValueError(f"--help has nothing on {topic!r}{near}")
        for group in groups_of(self):  # of which empty ones are not shown
            group.description = None
        for action in actions_of(self):
            if topic not in action.dest.split("."):
                action.help = SUPPRESS


def _short_list(listed: re.Match[str]) -> str:
    return listed[0] if listed[1].count(",") < 12 else ")"
