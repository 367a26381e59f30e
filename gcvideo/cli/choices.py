"""The classes that a setting may name."""

import dataclasses
import inspect
import sys
from collections.abc import Callable
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

PACKAGES = ("gcvideo.backbones", "gcvideo.blocks", "gcvideo.data", "gcvideo.training")
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
    base = base_of(type_)
    assert base is not None
    first = _first_argument(type_)
    module, _, name = path.rpartition(".")
    found = _offered(module, base, first)
    where = f"{module} has"
    if not found:
        ours = ([f"{package}.{sub}" for sub in _offered(package, base, first)] for package in PACKAGES)
        found = next(filter(None, ours), [])
        where = "there are"
    if not found:
        return f"expected the class_path of a {base.__name__}"
    by_name = {sub.rpartition(".")[2]: sub for sub in found}
    near = get_close_matches(name, by_name, n=1)
    meant = f"did you mean {by_name[near[0]]}? " if near else ""
    return f"{meant}{where} {', '.join(found)}"


def _first_argument(type_: Any) -> Any:
    """What a callable among the alternatives is called with first; None where there is none."""
    if get_origin(type_) is Callable:
        return get_args(type_)[0][0]
    return next(filter(None, map(_first_argument, get_args(type_))), None) if get_origin(type_) else None


def _offered(module: str, base: type, first: Any) -> list[str]:
    """The names of an imported module's subclasses of `base` that can be made, from a `first` if given."""
    namespace = sys.modules.get(module)
    names = getattr(namespace, "__all__", None) or [name for name in dir(namespace) if name[0] != "_"]
    values = {name: getattr(namespace, name, None) for name in names}
    return sorted(
        name
        for name, value in values.items()
        if inspect.isclass(value) and base in value.__mro__[1:] and not inspect.isabstract(value)
        if first is None
        or [p.annotation for p in inspect.signature(value).parameters.values()][:1] == [first]
    )
