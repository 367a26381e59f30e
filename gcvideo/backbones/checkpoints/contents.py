"""Which of a file's contents are the weights; files that hold none are told what they hold."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from gcvideo.averaged import KEYS, NOT_AVERAGED, is_averaged

EMA = re.compile(r"(^|_)(ema|averaged?|swa)(_|$)")
"""Names of states that are averages over training steps."""

WRAPPERS = ("module.", "_orig_mod.", "network.", "model.", "ema_model.", "averaged_model.")
"""What wrappers put before every key: distributed and compiled modules, a LightningModule, averages."""


class State(NamedTuple):
    """A state dict, and how it was found."""

    tensors: dict[str, Tensor]
    wrappers: list[str]
    """What it was unwrapped from, outermost first: `model_state`, `module.`, `EMA`."""
    record: dict[str, Any]
    """What else the file says."""


def choose_state(path: Path, content: Any, name: str | None) -> State:
    """Return the one state dict of a file, or that of the name.

    Raises:
        ValueError: There is none, or there are several and no name, or none of this name.
    """
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: holds a {type(content).__name__}; expected a state dict")
    if is_state(content):
        states, record = {"": dict(content)}, {}
    else:
        states = {str(key): dict(value) for key, value in content.items() if is_state(value)}
        record = {key: value for key, value in content.items() if not is_state(value)}
        states = states or dict(_states_below(content))
    if is_averaged(content):
        name = KEYS.get(name or "averaged", name)
    elif name in KEYS and name not in states:
        raise ValueError(NOT_AVERAGED.format(file=path, state=name))
    if name is None and len(states) == 1:
        (name,) = states
    if name is not None and name in states:
        labels = [*([name] if name else []), *(["EMA"] if EMA.search(name) else [])]
        return State(states[name], labels, record)
    if not states:
        raise ValueError(f"{path}: holds {_instead(content)}")
    parts = [(whole, key) for whole, state in states.items() for key in state if key.startswith(f"{name}.")]
    if parts and len({whole for whole, _ in parts}) == 1:  # of one network among several
        whole, prefix = parts[0][0], f"{name}."
        part = {key.removeprefix(prefix): states[whole][key] for _, key in parts}
        return State(part, [*([whole] if whole else []), prefix], record)
    asked = "one was expected" if name is None else f"'{name}' was asked"
    found = ", ".join(str(key) for key in states) if "" not in states else f"keys as {next(iter(content))}"
    raise ValueError(f"{path}: {asked}, but its states are: {found}; name one as weights.state")


def is_state(value: Any) -> bool:
    """Tell whether a value maps names to tensors; averages count their steps in `n_averaged` or `steps`."""
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(key, str) and isinstance(tensor, Tensor) for key, tensor in value.items())
    )


def without_wrappers(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Return the state dict without what stands before every key, and what stood there."""
    counters = [key for key in ("n_averaged", "steps") if key in state]
    tensors = {key: tensor for key, tensor in state.items() if key not in counters}
    found = ["EMA"] if counters else []
    while prefix := next((p for p in WRAPPERS if all(key.startswith(p) for key in tensors)), None):
        tensors = {key.removeprefix(prefix): tensor for key, tensor in tensors.items()}
        found.append("EMA" if EMA.search(prefix.rstrip(".")) else prefix)
    return tensors, found


def _states_below(content: Mapping[Any, Any], above: str = "") -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield state dicts further down, as `checkpoint.model`; an optimizer's are none."""
    if "param_groups" in content or above.count(".") > 3:
        return
    for key, value in content.items():
        if not isinstance(value, Mapping):
            continue
        if is_state(value) and above:
            yield f"{above}{key}", dict(value)
        yield from _states_below(value, f"{above}{key}.")


def _instead(content: Mapping[Any, Any]) -> str:
    """Return what a file without a state dict holds, and what would do."""
    if isinstance(content.get("blobs"), Mapping):
        return (
            f"blobs of Caffe2 ({', '.join(map(str, list(content['blobs'])[:3]))}, ...), which have other "
            "names and are no tensors; PySlowFast reads them (TRAIN.CHECKPOINT_TYPE caffe2): save the "
            "state_dict of its network with torch.save, and use that file"
        )
    of_optimizers = [key for key in content if "optim" in str(key)]
    if "param_groups" in content or of_optimizers:
        return "the state of an optimizer and no weights; use the checkpoint that was saved beside it"
    for key, value in [("", content), *content.items()]:
        if isinstance(value, Mapping) and any(isinstance(tensor, Tensor) for tensor in value.values()):
            others = [f"{k} ({type(v).__name__})" for k, v in value.items() if not isinstance(v, Tensor)]
            return (
                f"tensors {f'in {key} ' if key else ''}among values that are none: {', '.join(others[:5])}; "
                "expected a state dict, of tensors alone"
            )
    entries = ", ".join(f"{key} ({type(value).__name__})" for key, value in list(content.items())[:8])
    return f"no tensors by name, only: {entries or 'an empty dictionary'}; expected a state dict"
