"""The classes of a run: VideoClassifier and VideoDataModule, or those that the user names instead.

A configuration names one as `model: {class_path: my.Classifier, init_args: {...}}`, an argument as
`--model my.Classifier`. They are settled before anything is parsed, so that the options of a run (and what
--help lists) are the arguments of its own classes, and a configuration without class_path stays as it is.
"""

from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import ArgumentParser

from gcvideo.cli.config_forms import sections_with_class
from gcvideo.cli.run_config import with_config_of_checkpoint
from gcvideo.cli.run_task import KEYS as TASK_KEYS
from gcvideo.cli.run_task import NamedTask
from gcvideo.cli.trust import distrusted_name
from gcvideo.data import VideoDataModule
from gcvideo.paths import user_path
from gcvideo.training import VideoClassifier
from gcvideo.training.tasks import TaskName

DEFAULTS: dict[str, type] = {"model": VideoClassifier, "data": VideoDataModule}


class Settled(NamedTuple):
    """The classes of a run, its task, and the arguments without the names of the classes."""

    model: type[Any]
    data: type[Any]
    arguments: list[str]
    task: TaskName


def settle(
    arguments: Sequence[str],
    *,
    bases: Mapping[str, type] = DEFAULTS,
    defaults: Mapping[str, type] = DEFAULTS,
) -> Settled:
    """Find the classes and the task that arguments, their config files or their checkpoint name.

    The last one counts.

    Args:
        arguments: Those of the command.
        bases: By section what a class must derive from.
        defaults: By section the class where none is named.

    Raises:
        ValueError: A name is of no such class.
    """
    names: dict[str, str] = {}
    others: list[str] = []
    task = NamedTask()
    rest = iter(with_config_of_checkpoint(arguments))
    for argument in rest:
        key, is_one, value = argument.partition("=")
        section = key.removeprefix("--").removesuffix(".class_path")
        if key in ("--config", "-c"):
            value = value if is_one else next(rest, "")
            content = _content(value)
            names |= {
                section: str(named["class_path"]) for section, named in sections_with_class(content).items()
            }
            task.read_config(content)
            others += [key, value]
        elif key.startswith("--") and section in DEFAULTS and key not in ("--model.help", "--data.help"):
            value = value if is_one else next(rest, "")
            if user_path(value).is_file() or value.lstrip().startswith(
                "{"
            ):  # settings, as jsonargparse has it
                task.read_config({section: _content(value)})
                others += [key, value]
            else:
                names[section] = value
        else:
            key = key.replace(".init_args.", ".", 1) if _of(key) else key
            others.append(key + is_one + value)
            if key.removeprefix("--") in TASK_KEYS:
                others += [] if is_one else [value := next(rest, "")]
                task.read(key, value)
    found = {**defaults, **{section: imported(section, name, bases) for section, name in names.items()}}
    return Settled(found["model"], found["data"], others, task.name)


def imported(section: str, name: str | None, bases: Mapping[str, type] = DEFAULTS) -> type:
    """Import the class of `model` or `data` that is named; without a name return what it must derive from.

    Raises:
        ValueError: The name is of no such class, or of a module that is not trusted.
    """
    base = bases[section]
    if name is None:
        return base
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--class", type=type[base])
    try:
        return parser.parse_object({"class": name})["class"]
    except (ArgumentError, AttributeError, ImportError) as error:
        no_such = f"names {name}, which is no {base.__name__} or not there; expected a subclass of it"
        raise ValueError(f"{section} {distrusted_name(str(error)) or no_such}") from error


def own_classes(model: Any, data: Any) -> dict[str, type]:
    """Return by section the classes of a run that are not the default."""
    given = {"model": model, "data": data}
    return {section: kind for section, kind in given.items() if kind is not DEFAULTS[section]}


def _of(key: str) -> bool:
    return key.startswith(tuple(f"--{section}.init_args." for section in DEFAULTS))


def _content(config: str) -> Mapping[str, Any]:
    """Return what is in a config file, or in the text of one."""
    is_text = "\n" in config or config.lstrip().startswith("{")
    file = None if is_text else Path(config).expanduser()
    try:
        content = yaml.safe_load(config if file is None else file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):  # which the parser says
        return {}
    return content if isinstance(content, Mapping) else {}
