"""The configuration files that come with the package, and their names in place of paths."""

import difflib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "configs"
GROUPS = ("", "model", "block", "data", "recipe", "finetune", "training", "paper")
"""Where a name is looked for, in this order: of files that are called alike, the first is meant."""
IMAGE_GROUPS = ("images", *(f"images/{group}" for group in ("backbone", "block", "head", "data", "recipe")))
"""Those of `gcvideo image`."""
OPTIONS = ("--config", "-c")


@cache
def configurations() -> dict[str, Path]:
    """Return the files by their names, as base or block/gc5."""
    files = [file for group in (*GROUPS, *IMAGE_GROUPS) for file in sorted((FOLDER / group).glob("*.yaml"))]
    return {file.relative_to(FOLDER).with_suffix("").as_posix(): file for file in files}


def with_named_files(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with --config PATH for every part of --config NAME+NAME.

    A file that exists is meant by its path, whatever it is called.

    Raises:
        ValueError: A name is neither that of a file nor of a configuration.
    """
    groups = (*IMAGE_GROUPS, "training", "") if arguments[:1] == ["image"] else GROUPS
    words, expanded = iter(arguments), list[str]()
    for word in words:
        option, is_one, given = word.partition("=")
        value = given if is_one else next(words, None) if word in OPTIONS else None
        if option in OPTIONS and value is not None:
            for file in files_of(value, groups):
                expanded += [option, file]
        else:
            expanded.append(word)
    return expanded


def find(name: str, groups: Sequence[str] = (*GROUPS, *IMAGE_GROUPS)) -> Path:
    """Return the file of a configuration.

    Args:
        name: Its name, with or without that of its group.
        groups: Where it is looked for, in this order.

    Raises:
        ValueError: There is none of this name.
    """
    known = configurations()
    written = name.removeprefix("configs/").removesuffix(".yaml")
    for group in groups:
        if (file := known.get(f"{group}/{written}".lstrip("/"))) is not None:
            return file
    of_groups = [path for path in known if path.rpartition("/")[0] in groups]
    near = difflib.get_close_matches(written, {*of_groups, *(p.rpartition("/")[2] for p in of_groups)}, 1)
    meant = f"did you mean {near[0]}?" if near else "`gcvideo configs ls` lists them"
    raise ValueError(f"no configuration is called {name}; {meant}")


def files_of(value: str, groups: Sequence[str] = GROUPS) -> Iterator[str]:
    """Yield the files that the value of one --config stands for; ValueError if a name is none."""
    if not value or "\n" in value or _is_file(Path(value).expanduser()):
        yield value  # of several lines, it is a configuration itself
        return
    for name in value.split("+"):
        own = Path(name).expanduser()
        if _is_file(own) or own.is_absolute() or name.startswith((".", "~")):
            yield name
            continue
        try:
            yield str(find(name, groups))
        except ValueError as error:
            if own.is_dir() or name.endswith((".yaml", ".yml", ".json")):
                yield name  # a folder, or a file that is not there, as the parser says
            else:
                raise ValueError(f"--config {value}: there is no such file, and {error}") from error


def _is_file(path: Path) -> bool:
    """Return whether a path is of a file or pipe; a data set's folder may be called as a configuration."""
    return path.exists() and not path.is_dir()
