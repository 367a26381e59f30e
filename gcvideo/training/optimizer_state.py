"""What of an optimizer a resumed run takes over."""

import copy
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
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


Make = Callable[[ParameterGroups, float], Optimizer]
"""What makes an optimizer of parameter groups and a learning rate."""


def keep_state_by_name(optimizer: Optimizer, make: Make) -> None:
    """Let a state that is loaded find its parameters by name, and leave the optimizer's settings alone.

    Args:
        optimizer: The optimizer.
        make: What has made it.
    """
    optimizer.register_state_dict_post_hook(_with_kind)
    optimizer.register_load_state_dict_pre_hook(partial(_for_own_groups, make))


def _with_kind(optimizer: Optimizer, state: dict[str, Any]) -> None:
    state[KIND] = kind_of(optimizer).__name__


def _for_own_groups(make: Make, optimizer: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return a saved state in the optimizer's own groups and with their settings.

    A checkpoint brings the state of parameters (momentum, second moments) and what an optimizer counts in its
    groups, as timm's Lamb its steps; learning rate, decay and which parameters are trained at all are what
    the run is asked for now.

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
    # What the settings of now need besides, and what is counted in groups.
    weight = optimizer.param_groups[0]["params"][0]
    tried = try_step(make, device=weight.device, dtype=weight.dtype)
    if state:
        _begin_what_is_missing(tried, optimizer, state)
    for group in own:
        group |= _counted(tried, saved["param_groups"], group["param_names"])
    return {**saved, "param_groups": own, "state": state}


class Tried(NamedTuple):
    """What an optimizer keeps after its first step, with a gradient of 0."""

    weight: nn.Parameter
    state: dict[str, Any]
    counted: set[str]
    """Names of values in its groups that the step has set or changed."""


def try_step(make: Make, *, device: torch.device | str = "cpu", dtype: torch.dtype | None = None) -> Tried:
    """Return what an optimizer keeps of one weight of 64 x 64."""
    weight = nn.Parameter(torch.zeros(64, 64, device=device, dtype=dtype))
    weight.grad = torch.zeros_like(weight)
    optimizer = make([{"params": [("weight", weight)]}], 0.0)
    (group,) = optimizer.param_groups
    before = {name: copy.copy(value) for name, value in group.items() if name != "params"}
    optimizer.step(lambda: 0.0)
    after = {name: value for name, value in group.items() if name != "params"}
    counted = {name for name, value in after.items() if name not in before or before[name] != value}
    return Tried(weight, dict(optimizer.state[weight]), counted)


def _begin_what_is_missing(tried: Tried, optimizer: Optimizer, state: dict[int, dict[str, Any]]) -> None:
    """Let what no parameter has a state of begin as it does in a first step: amsgrad's largest moments at 0.

    Raises:
        ValueError: It does not begin at 0 for every number of a parameter.
    """
    kept = {name for of_parameter in state.values() for name in of_parameter}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name in tried.state.keys() - kept:
        value = tried.state[name]
        kind = type(optimizer).__name__
        if not (isinstance(value, Tensor) and value.shape == tried.weight.shape and not value.any()):
            raise ValueError(
                f"the checkpoint's {kind} has no {name}, which it needs with its settings of now; put "
                "those of model.optimizer back, or start a new run from its weights: --model.weights.path"
            )
        log.warning("%s of %s begins at 0, since the checkpoint has none", name, kind)
        for place, of_parameter in state.items():
            of_parameter[name] = torch.zeros_like(parameters[place], dtype=value.dtype)


def _counted(tried: Tried, saved: Iterable[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Return what is counted in the saved group that has the first of these parameters."""
    before = next((group for group in saved if not set(names).isdisjoint(group["param_names"])), {})
    return {name: before[name] for name in tried.counted if name in before}


def _places(groups: Iterable[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """Yield every parameter's name and its place in a state dict."""
    for group in groups:
        yield from zip(group["param_names"], group["params"], strict=True)


def state_per_weight(make: Make) -> float:
    """Return how many bytes an optimizer keeps per byte of a weight: 1 for SGD with momentum, 2 for Adam."""
    tried = try_step(make)
    kept = [value for value in tried.state.values() if isinstance(value, Tensor)]
    return sum(value.nbytes for value in kept) / tried.weight.nbytes
