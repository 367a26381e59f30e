"""What of an optimizer a resumed run takes over."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from gcvideo.training.optimisation import ParameterGroups

log = logging.getLogger(__name__)

KIND = "kind"
"""Under which name the state of an optimizer says what it is the state of."""
KIND_OF_OLDER_RUNS = "SGD"


def kind_of(optimizer: Optimizer) -> type[Optimizer]:
    """Return the class of torch's that an optimizer's class derives from, or else its own."""
    classes = type(optimizer).__mro__
    of_torch = (one for one in classes if one.__module__.startswith("torch.optim."))
    nearest = next(of_torch)
    return type(optimizer) if nearest is Optimizer else nearest


def keep_state_by_name(optimizer: Optimizer) -> None:
    """Let a state that is loaded find its parameters by name, and leave the optimizer's settings alone."""
    optimizer.register_state_dict_post_hook(_with_kind)
    optimizer.register_load_state_dict_pre_hook(_for_own_groups)


def _with_kind(optimizer: Optimizer, state: dict[str, Any]) -> None:
    state[KIND] = kind_of(optimizer).__name__


def _for_own_groups(optimizer: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return a saved state in the optimizer's own groups and with their settings.

    A checkpoint brings the state of parameters (momentum, second moments); learning rate, decay and which
    parameters are trained at all are what the run is asked for now.

    Raises:
        ValueError: The state does not name its parameters.
    """
    if any("param_names" not in group for group in saved["param_groups"]):
        raise ValueError(
            "the checkpoint's optimizer does not name its parameters; it is of an older gcvideo: start a new "
            "run from its weights: --model.weights.path"
        )
    own = optimizer.state_dict()["param_groups"]
    # The state of another optimizer means something else.
    before, now = saved.get(KIND, KIND_OF_OLDER_RUNS), kind_of(optimizer).__name__
    if before != now:
        log.warning("the optimizer is %s (was %s) and begins without the other's state", now, before)
        return {**saved, "param_groups": own, "state": {}}
    # The state of each parameter goes to where the parameter is now.
    known = {name: saved["state"].get(place) for name, place in _places(saved["param_groups"])}
    fresh = [name for name, _ in _places(own) if name not in known]
    left = known.keys() - {name for name, _ in _places(own)}
    if fresh or left:
        log.warning(
            "%d parameters are trained anew, and begin without momentum; %d are trained no more",
            len(fresh),
            len(left),
        )
    state = {place: known[name] for name, place in _places(own) if known.get(name) is not None}
    return {**saved, "param_groups": own, "state": state}


def _places(groups: Iterable[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """Yield every parameter's name and its place in a state dict."""
    for group in groups:
        yield from zip(group["param_names"], group["params"], strict=True)


def state_per_weight(make: Callable[[ParameterGroups, float], Optimizer]) -> float:
    """Return how many bytes an optimizer keeps per byte of a weight: 1 for SGD with momentum, 2 for Adam."""
    weight = nn.Parameter(torch.zeros(64, 64))
    weight.grad = torch.zeros_like(weight)
    optimizer = make([{"params": [("weight", weight)]}], 0.0)
    optimizer.step()
    kept = [value for value in optimizer.state[weight].values() if isinstance(value, torch.Tensor)]
    return sum(value.nbytes for value in kept) / weight.nbytes
