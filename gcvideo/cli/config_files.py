"""Where in a command's config files something stands."""

from collections.abc import Sequence
from os.path import expanduser
from pathlib import Path

import yaml


def config_files(arguments: Sequence[str]) -> list[Path]:
    """Return the files that arguments name as --config FILE or -c FILE, in their order."""
    following = [*arguments[1:], ""]
    named = []
    for argument, value in zip(arguments, following, strict=True):
        name, is_one, given = argument.partition("=")
        if name in ("--config", "-c"):
            named.append(Path(expanduser(given if is_one else value)))  # noqa: PTH111, as in gcvideo.paths
    return named


def fault_in(files: Sequence[Path]) -> str | None:
    """Return what is wrong with the first file that is missing, no YAML, or no mapping: "run.yaml:3: ..."."""
    for file in files:
        if not file.exists():
            return f"{file}: there is no such file"
        if not file.is_file():  # a pipe, which has been read
            continue
        try:
            content = yaml.safe_load(file.read_text())
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            said = ", ".join(filter(None, (error.context, error.problem)))
            return f"{file}:{line}: is no YAML: {said}"
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            return f"{file}: is no YAML: {' '.join(str(error).split())}"
        if not isinstance(content, dict):
            return (
                f"{file}: holds no settings but {type(content).__name__}; expected a mapping, as `model: ...`"
            )
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


def _lines(node: yaml.Node | None, parts: Sequence[str]) -> Sequence[int]:
    """The line of each part of a key, as far as they are there; init_args may stand between any two."""
    if isinstance(node, yaml.SequenceNode):
        return max((_lines(item, parts) for item in node.value), key=len, default=[])
    if not parts or not isinstance(node, yaml.MappingNode):
        return []
    below = {key.value.rstrip("+"): (key.start_mark.line + 1, value) for key, value in node.value}
    if parts[0] in below:
        line, value = below[parts[0]]
        return [line, *_lines(value, parts[1:])]
    return _lines(below["init_args"][1], parts) if "init_args" in below else []
