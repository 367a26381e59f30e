"""Which modules a class_path may name.

To import a module is to run it, before anyone can see whether it has the class that is wanted. What is typed
on the command line, or stands in a file given as --config, is the user's own and may name any. What a
checkpoint carries may be a stranger's: of it only modules are imported that gcvideo is built on, or that the
user names.

jsonargparse imports whatever a value names (classes, functions, types) in one place, and asks a list there.
"""

import os
import re
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path

from jsonargparse import set_parsing_settings

OPTION = "--trust"
VARIABLE = "GCVIDEO_TRUST"
EXPLAINED = f"{OPTION} MODULE lets checkpoints name classes of it; repeatable, or {VARIABLE}=MODULE,MODULE."

BUILT_ON = (
    "gcvideo",
    "torch.nn",
    "torch.optim",
    "torch.distributed.algorithms",
    "torch.distributed.fsdp",
    "torchvision.models",
    "torchvision.ops",
    "torchvision.transforms",
    "torchmetrics",
    "timm.loss",
    "timm.optim",
    "pytorchvideo.layers",
    "pytorchvideo.models",
    "lightning.fabric.plugins",
    "lightning.fabric.strategies",
    "lightning.pytorch.accelerators",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.plugins",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "datetime.timedelta",
)
"""Modules whose classes and functions compute; others of torch run programs (torch.hub) and files of code."""
NOT_FOR_CHECKPOINTS = ("*", "gcvideo.cli")

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
DOTTED = re.compile(r"(?<![\w./-])[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?![\w./-])")
DENIED = re.compile(r"Importing '([\w.]+)' is not allowed")

_distrusted: ContextVar[Path | None] = ContextVar("file whose names are looked at", default=None)


def named_modules(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the modules that the user trusts, and the arguments without --trust.

    Raises:
        ValueError: --trust or GCVIDEO_TRUST names no module.
    """
    modules = list(filter(None, re.split(r"[\s,:]+", os.environ.get(VARIABLE, ""))))
    others: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, is_one, value = argument.partition("=")
        if name == OPTION:
            modules.append(value if is_one else next(rest, ""))
        else:
            others.append(argument)
    for module in modules:
        if not MODULE.fullmatch(module) or module.partition(".")[0] == "jsonargparse":
            raise ValueError(f"trust names {module!r}; expected a module of your own, as my_blocks")
    return modules, others


def trust(modules: Sequence[str]) -> None:
    """Let every value name these modules, and none those that start programs, as os and pickle."""
    set_parsing_settings(import_path_denylist=[], import_path_allowlist=list(modules))


def distrust(file: Path, *, typed: Sequence[str] = ()) -> None:
    """From here on, in this process, import only what gcvideo is built on and what the user named.

    Args:
        file: Whose values are looked at next, for messages.
        typed: What the user wrote beside them.
    """
    _distrusted.set(file)
    values = [argument.partition("=")[2] if argument.startswith("-") else argument for argument in typed]
    own = [name for value in values for name in DOTTED.findall(value)]
    set_parsing_settings(
        import_path_denylist=list(NOT_FOR_CHECKPOINTS),
        import_path_allowlist=[*BUILT_ON, *own],
        validate_subclass_spec_in_any=True,
    )


def distrusted_name(said: str) -> str | None:
    """Return what was not imported, and what would do, if that is what an error of jsonargparse says."""
    denied = DENIED.search(said)
    if denied is None:
        return None
    name, file = denied[1], _distrusted.get()
    package = name.partition(".")[0]
    is_large = package in {*sys.stdlib_module_names, *(one.partition(".")[0] for one in BUILT_ON)}
    module = name.rpartition(".")[0] if is_large else package
    where = f" in {file}" if file is not None else ""
    return f"names {name}, whose module is not trusted{where}; {OPTION} {module} lets it be imported"
