"""Where in a command's config files something stands."""

from collections.abc import Collection, Sequence
from os.path import expanduser
from pathlib import Path
from typing import Any

import yaml


def config_files(arguments: Sequence[str]) -> list[Path]:
    """Return the files that arguments name as --config FILE or -c FILE, in their order.

    Text of several lines is a configuration itself, as a checkpoint carries it.
    """
    following = [*arguments[1:], ""]
    named = []
    for argument, value in zip(arguments, following, strict=False):
        name, is_one, given = argument.partition("=")
        if name in ("--config", "-c"):
            named.append(given if is_one else value)
    return [Path(expanduser(name)) for name in named if name and "\n" not in name]  # noqa: PTH111, as in gcvideo.paths


def fault_in(files: Sequence[Path], sections: Collection[str]) -> str | None:
    """Return what is wrong with the first file that is missing, no YAML, or no mapping: "run.yaml:3: ...".

    Args:
        files: The config files.
        sections: The keys that have settings below them. Anything but a mapping there is passed over by
            jsonargparse, or raises where the classes are made.
    """
    for file in files:
        # The file is there
        if not file.exists():
            return f"{file}: there is no such file"
        if file.is_dir():
            return f"{file}: is a folder; expected a YAML file"
        if not file.is_file():  # a pipe, which has been read
            continue
        # It is YAML, and a mapping
        try:
            content = yaml.safe_load(file.read_text())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            said = ", ".join(filter(None, (error.context, error.problem)))
            return f"{file}:{line}: is no YAML: {said}"
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return f"{file}: is no YAML: {' '.join(str(error).split())}"
        if not isinstance(content, dict):
            held = type(content).__name__
            return f"{file}: holds no settings but {held}; expected a mapping, as `model: ...`"
        # Its sections are mappings
        for section in sections:
            value: Any = content
            for part in section.split("."):
                value = value.get(part) if isinstance(value, dict) else None
            if value is not None and not isinstance(value, dict | str):  # text names one more file
                place = place_of(section, ["--config", str(file)])
                return f"{place}: {section} cannot take {value!r}; expected a mapping of its settings"
    return None


def place_of(key: str, arguments: Sequence[str]) -> str | None:
    """Return "run.yaml:3" for the last file that has a key; None where an argument or nothing has it."""
    parts = [part for part in key.split(".") if part != "init_args"]
    for argument in arguments:
        name = argument.partition("=")[0].rstrip("+").removeprefix("--")
        named = [part for part in name.split(".") if part != "init_args"]
        if argument.startswith("--") and named == parts[: len(named)]:
            return None
    for file in filter(Path.is_file, reversed(config_files(arguments))):
        lines = _lines(yaml.compose(file.read_text(), yaml.SafeLoader), parts)
        if len(lines) == len(parts):
            return f"{file}:{lines[-1]}"
    return None


def before_its_class(key: str, arguments: Sequence[str]) -> str | None:
    """Return "run.yaml:3" where a config file has settings of a class that nothing before it has named."""
    if any(argument.startswith(f"--{key}") for argument in arguments):
        return None
    for file in filter(Path.is_file, config_files(arguments)):
        value: Any = yaml.safe_load(file.read_text())
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str) or (isinstance(value, dict) and "class_path" in value):
            return None
        if value:
            return place_of(key, ["--config", str(file)])
    return None


def _lines(node: yaml.Node | None, parts: Sequence[str]) -> Sequence[int]:
    """Return the line of each part of a key, as far as it is there; init_args may stand between any two."""
    if isinstance(node, yaml.SequenceNode):
        return max((_lines(item, parts) for item in node.value), key=len, default=[])
    if not parts or not isinstance(node, yaml.MappingNode):
        return []
    below = {key.value.rstrip("+"): (key.start_mark.line + 1, value) for key, value in node.value}
    if parts[0] in below:
        line, value = below[parts[0]]
        return [line, *_lines(value, parts[1:])]
    return _lines(below["init_args"][1], parts) if "init_args" in below else []
