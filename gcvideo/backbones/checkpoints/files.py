"""Files of weights: read without running anything in them, written as plain tensors."""

import pickletools
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.serialization import get_unsafe_globals_in_checkpoint

EMA = re.compile(r"(^|_)(ema|averaged?|swa)(_|$)")
"""Names of states that are averages over training steps."""

WRAPPERS = ("module.", "_orig_mod.", "network.", "model.", "ema_model.", "averaged_model.")
"""What wrappers put before every key: distributed and compiled modules, a LightningModule, averages."""


class Checkpoint(NamedTuple):
    """What a file of weights holds, unwrapped."""

    path: Path
    state: dict[str, Tensor]
    wrappers: list[str]
    """What it was unwrapped from, outermost first: `model_state`, `module.`, `EMA`."""
    record: dict[str, Any]
    """Everything else that the file says of itself."""


def read_checkpoint(path: Path, *, state: str | None = None) -> Checkpoint:
    """Read a file of weights: safetensors, or a pickle of tensors and plain values.

    Nothing in the file is run: pickles are read by torch's restricted unpickler alone.

    Args:
        path: The file.
        state: Which of its states, by name, where it has several.

    Raises:
        ValueError: The file is neither, would run code, or holds no state or several.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file of weights")
    if path.suffix == ".safetensors":
        tensors, record = _read_safetensors(path)
        wrappers = []
    else:
        tensors, wrappers, record = _choose_state(path, _read_pickle(path), state)
    tensors, prefixes = _without_prefixes(tensors)
    return Checkpoint(path, tensors, wrappers + prefixes, record)


def write_state(path: Path, state: Mapping[str, Tensor], *, record: Mapping[str, str] | None = None) -> None:
    """Write a plain state dict: as safetensors, or as a pickle of tensors alone (.pth, .pyth, .pt).

    Raises:
        ValueError: The suffix is none of these.
    """
    # Tensors of their own, contiguous: neither views of one memory nor channels-last.
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(tensors, path, metadata=dict(record or {}))
    elif path.suffix in (".pth", ".pyth", ".pt"):
        torch.save(tensors | {}, path)
    else:
        raise ValueError(f"{path}: suffix is '{path.suffix}'; expected .safetensors, .pth, .pyth or .pt")


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: is no safetensors file ({error}); fetch it again") from error


def _read_pickle(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, KeyError, EOFError, RuntimeError, AttributeError, IndexError) as error:
        named = ", ".join(_names_of_code(path))
        if not named:
            raise ValueError(
                f"{path}: is neither safetensors nor a pickle that torch.save writes, or is cut short; "
                "fetch it again"
            ) from error
        raise ValueError(
            f"{path}: is a pickle that names {named}, which could run code when loaded; nothing was loaded. "
            "If you trust its source, keep its tensors alone, in a container that has nothing to lose: "
            f"`state = torch.load('{path.name}', weights_only=False)['state_dict']` (or the entry that holds "
            "them), then `safetensors.torch.save_file(state, 'safe.safetensors')`; use that file"
        ) from error


def _names_of_code(path: Path) -> list[str]:
    """The functions and classes that a pickle names beyond tensors and plain values, without loading it."""
    try:
        return get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError):  # not of torch's zip format
        names = dict.fromkeys(_names_in_pickles(path))
        return [name for name in names if not name.startswith(("torch.", "collections.OrderedDict"))]


def _names_in_pickles(path: Path) -> Iterator[str]:
    """What the pickles at the beginning of a file name, read off their instructions."""
    strings: list[str] = []
    with path.open("rb") as file, suppress(ValueError):  # the end of the file, or of its pickles
        while True:
            for instruction, argument, _ in pickletools.genops(file):
                if instruction.name == "GLOBAL":
                    yield str(argument).replace(" ", ".")
                elif instruction.name == "STACK_GLOBAL":
                    yield ".".join(strings[-2:])
                elif isinstance(argument, str):
                    strings.append(argument)


def _choose_state(
    path: Path, content: Any, name: str | None
) -> tuple[dict[str, Any], list[str], dict[str, Any]]:
    """The state dict in a file, the name that it has there, and what else is there."""
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds a {type(content).__name__}; expected a state dict")
    states = {key: value for key, value in content.items() if _is_state(value)}
    record = {key: value for key, value in content.items() if key not in states}
    if _is_state(content) and name is None:
        return content, [], {}
    if name is None and len(states) == 1:
        (name,) = states
    if name is None or name not in states:
        found = ", ".join(str(key) for key in states) or "none"
        asked = "one was expected" if name is None else f"'{name}' was asked"
        raise ValueError(f"{path}: {asked}, but its states are: {found}; name one as weights.state")
    return states[name], [name, *(["EMA"] if EMA.search(name) else [])], record


def _is_state(value: Any) -> bool:
    """A mapping of names to tensors; averages count their steps in `n_averaged` or `steps`."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in value.items())
    )


def _without_prefixes(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict without what stands before every key, and what stood there."""
    counters = [key for key in ("n_averaged", "steps") if key in state]
    tensors = {key: tensor for key, tensor in state.items() if key not in counters}
    found = ["EMA"] if counters else []
    while prefix := next((p for p in WRAPPERS if all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
        found.append("EMA" if EMA.search(prefix.rstrip(".")) else prefix)
    return tensors, found
