"""Parameter groups, and what of an optimizer and its learning rate a resumed run takes over."""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

log = logging.getLogger(__name__)

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)


def parameter_groups(network: nn.Module, *, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: decayed weights, and the undecayed parameters of norms.

    Every parameter comes with its name, by which a resumed run finds its state. Decay pulls a norm's scale
    towards zero for no gain, so weights and biases of norms have none, as in the recipes of PySlowFast.
    Frozen parameters are in neither group.
    """
    of_norms = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, NORMS)
        for parameter in module.parameters(recurse=False)
    }
    trained = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    return [
        {
            "params": [(name, p) for name, p in trained if id(p) not in of_norms],
            "weight_decay": weight_decay,
        },
        {"params": [(name, p) for name, p in trained if id(p) in of_norms], "weight_decay": 0.0},
    ]


def for_own_groups(optimizer: Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
    """Return a saved state in the optimizer's own groups and with their settings.

    What a checkpoint brings is the state of parameters (momentum), found by name; learning rate, momentum,
    weight decay, and which parameters are trained at all, are what the run is asked for now. To be registered
    as `register_load_state_dict_pre_hook`.

    Raises:
        ValueError: The state does not name its parameters.
    """
    if any("param_names" not in group for group in saved["param_groups"]):
        raise ValueError(
            "the checkpoint's optimizer does not name its parameters; it is of an older gcvideo: start a new "
            "run from its weights: --model.weights.path"
        )
    known = {name: saved["state"].get(place) for name, place in _places(saved["param_groups"])}
    own = optimizer.state_dict()["param_groups"]
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
    """Every parameter's name and its place in a state dict."""
    for group in groups:
        yield from zip(group["param_names"], group["params"], strict=True)


class ScheduledRate(LambdaLR):
    """Every group's peak times a factor that follows from the number of steps.

    Its state is that number alone. So a resumed run has, from its first step on, the rate of the peak and the
    schedule that it is asked for now.

    Args:
        optimizer: The optimizer, its groups at their peak.
        factor: The factor after so many steps.
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]) -> None:
        super().__init__(optimizer, factor)

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch, "_step_count": self._step_count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.last_epoch, self._step_count = state_dict["last_epoch"], state_dict["_step_count"]
        factors = [factor(self.last_epoch) for factor in self.lr_lambdas]
        self._last_lr = [peak * factor for peak, factor in zip(self.base_lrs, factors, strict=True)]
        for group, rate in zip(self.optimizer.param_groups, self._last_lr, strict=True):
            group["lr"] = rate
