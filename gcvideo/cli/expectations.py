"""The types of settings in words."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from gcvideo.cli.choices import base_of

SINGULAR = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    NoneType: "null",
    dict: "a mapping",
}
PLURAL = {int: "whole numbers", float: "numbers", str: "texts", Path: "paths"}


def expected(type_: Any) -> str:
    """Return what a type takes: "a whole number or null", "one of slow, i3d, c2d", "3 numbers"."""
    origin, parts = get_origin(type_), get_args(type_)
    if type_ in SINGULAR:
        return SINGULAR[type_]
    if origin is Literal:
        return _one_of(parts)
    if origin in (Union, UnionType):
        literal = dict.fromkeys(
            str(p) for part in parts if get_origin(part) is Literal for p in get_args(part)
        )
        others = [expected(part) for part in parts if get_origin(part) is not Literal]
        return " or ".join(dict.fromkeys([*filter(None, [_one_of(literal)]), *others]))
    if origin is Callable:
        return _class_path(type_)
    if origin is tuple and Ellipsis not in parts:
        return f"{len(parts)} {PLURAL.get(parts[0], 'values')}"
    if origin is not None and issubclass(origin, dict):
        return SINGULAR[dict]
    if origin is not None and issubclass(origin, Iterable):
        return f"a list of {_several(parts[0])}"
    fields = [field.name for field in dataclasses.fields(type_)] if dataclasses.is_dataclass(type_) else []
    fields = fields or getattr(type_, "_fields", [])
    if fields:
        return f"a mapping of {', '.join(fields)}"
    return _class_path(type_)


def _several(type_: Any) -> str:
    if get_origin(type_) is Literal:
        return ", ".join(map(str, get_args(type_)))
    return PLURAL.get(type_) or ("class_paths" if base_of(type_) else f"values, each {expected(type_)}")


def _one_of(values: Iterable[Any]) -> str:
    words = [str(value) for value in values]
    return f"one of {', '.join(words)}" if len(words) > 1 else "".join(words)


def _class_path(type_: Any) -> str:
    base = base_of(type_)
    return getattr(type_, "__name__", str(type_)) if base is None else f"the class_path of a {base.__name__}"
