"""The classes that a setting may name."""

import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

PACKAGES = ("gcvideo.backbones", "gcvideo.blocks", "gcvideo.data", "gcvideo.training")
MOST_NAMED = 20
PLAIN = (int, float, str, list, tuple, dict, set, Path, Enum, NoneType)


def base_of(type_: Any) -> type | None:
    """Return the class whose subclasses, or whose makers, a type asks for; None of a type of plain values."""
    origin = get_origin(type_)
    if origin is Callable:
        return base_of(get_args(type_)[-1])
    if origin is not None:
        return next(filter(None, map(base_of, get_args(type_))), None)
    is_plain = not inspect.isclass(type_) or issubclass(type_, PLAIN) or dataclasses.is_dataclass(type_)
    return None if is_plain else type_


def choices(type_: Any, path: str) -> str:
    """Return which classes of a type there are in the module that `path` names, or else in our packages."""
    from torch import nn  # a parser and its help do not wait for it

    alternatives = _closest(list(_alternatives(type_)))
    module, _, name = path.rpartition(".")
    found = _offered(module, alternatives)
    where = f"{module} has"
    if not found and (nn.Module, None) not in alternatives:  # not just any module
        ours = ([f"{package}.{sub}" for sub in _offered(package, alternatives)] for package in PACKAGES)
        found = next(filter(None, ours), [])
        where = "there are"
    if not found:
        return f"expected the class_path of a {alternatives[0][0].__name__}"
    by_name = {sub.rpartition(".")[2]: sub for sub in found}
    near = get_close_matches(name, by_name, n=1)
    meant = f"did you mean {by_name[near[0]]}? " if near else ""
    shown = found if len(found) <= MOST_NAMED else [*found[:MOST_NAMED], "..."]
    return f"{meant}{where} {', '.join(shown)}"


def _alternatives(type_: Any) -> Iterator[tuple[type, Any]]:
    """Give the classes that a type asks for, and what a class is called with first; None if with nothing."""
    origin, parts = get_origin(type_), get_args(type_)
    if origin is Callable:
        base, first = base_of(parts[-1]), next(iter(parts[0]), None)
        yield from [(base, first)] if base is not None else []
    elif origin is not None:
        for part in parts:
            yield from _alternatives(part)
    elif (base := base_of(type_)) is not None:
        yield base, None


def _closest(alternatives: list[tuple[type, Any]]) -> list[tuple[type, Any]]:
    """Return those of which no other asks for a subclass: any module may be a block, but one is meant."""
    bases = {base for base, _ in alternatives}
    return [(base, first) for base, first in alternatives if not any(base in b.__mro__[1:] for b in bases)]


def _offered(module: str, alternatives: Sequence[tuple[type, Any]]) -> list[str]:
    """Return the names of an imported module's classes that one of the alternatives asks for."""
    namespace = sys.modules.get(module)
    names = getattr(namespace, "__all__", None) or [name for name in dir(namespace) if name[0] != "_"]
    values = {name: getattr(namespace, name, None) for name in names}
    return sorted(
        name
        for name, value in values.items()
        if inspect.isclass(value) and not inspect.isabstract(value)
        if any(_is_one(value, base, first) for base, first in alternatives)
    )


def _is_one(value: type, base: type, first: Any) -> bool:
    if base not in value.__mro__[1:]:
        return False
    parameters = inspect.signature(value).parameters.values()
    annotations = [parameter.annotation for parameter in parameters]
    return first is None or annotations[:1] in ([first], [getattr(first, "__name__", first)])
