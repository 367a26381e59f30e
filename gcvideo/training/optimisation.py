"""Parameter groups, and what of an optimizer and of its schedule a resumed run takes over."""

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau
from torch.optim.optimizer import ParamsT

from gcvideo.private_names import NormBase

log = logging.getLogger(__name__)

KIND = "kind"
"""Under which name the state of an optimizer says what it is the state of."""
KIND_OF_OLDER_RUNS = "SGD"
NORMS = (NormBase, nn.GroupNorm, nn.LayerNorm)


ParameterGroups = list[dict[str, Any]]


Scaling = Literal["linear", "sqrt", "none"]
SCALINGS: dict[Scaling, tuple[Callable[[float, int, int], float], str]] = {
    "linear": (lambda lr, batch, of: lr * batch / of, "{lr:.4g} * global batch {batch} / {of}"),
    "sqrt": (
        lambda lr, batch, of: lr * math.sqrt(batch / of),
        "{lr:.4g} * sqrt(global batch {batch} / {of})",
    ),
    "none": (lambda lr, batch, of: lr, "model.learning_rate at every global batch, here {batch}"),
}
"""The peak of a learning rate for a batch and the batch that it is meant for, and how that is written."""


class Peak(NamedTuple):
    """The peak learning rate of a run, and what it is of."""

    learning_rate: float
    global_batch: int
    reference: int
    scaling: Scaling

    @property
    def value(self) -> float:
        """Return learning_rate by the rule: linear (Goyal et al., arXiv:1706.02677) or by the square root."""
        peak, _ = SCALINGS[self.scaling]
        return peak(self.learning_rate, self.global_batch, self.reference)

    def __str__(self) -> str:
        _, written = SCALINGS[self.scaling]
        how = written.format(lr=self.learning_rate, batch=self.global_batch, of=self.reference)
        return f"peak learning rate {self.value:.4g} = {how}"


def parameter_groups(network: nn.Module) -> ParameterGroups:
    """Return two groups for an optimizer: weights with its own decay, and the undecayed parameters of norms.

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
        {"params": [(name, p) for name, p in trained if id(p) not in of_norms]},
        {"params": [(name, p) for name, p in trained if id(p) in of_norms], "weight_decay": 0.0},
    ]


class NesterovSGD(torch.optim.SGD):
    """SGD with Nesterov momentum: m <- momentum m + g, w <- w - lr (g + momentum m), g with decay w added.

    Sutskever et al., ICML 2013, in torch's form; the optimizer of PySlowFast's Kinetics recipes.

    Args:
        params: Parameters or groups of them.
        lr: Learning rate.
        momentum: Share of the last step's direction that stays; without any, the gradient alone.
        weight_decay: Share of a weight that is added to its gradient.
    """

    def __init__(
        self, params: ParamsT, lr: float, *, momentum: float = 0.9, weight_decay: float = 1e-4
    ) -> None:
        super().__init__(params, lr, momentum=momentum, nesterov=momentum > 0, weight_decay=weight_decay)


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


def make_schedule(
    make: Callable[[Optimizer], LRScheduler], optimizer: Optimizer, *, num_steps: int
) -> LRScheduler:
    """Return a schedule of torch's for an optimizer whose groups are at their peak.

    Args:
        make: Makes it of an optimizer.
        optimizer: The optimizer.
        num_steps: How often the run steps it.

    Raises:
        ValueError: The schedule waits for a metric, or ends before the run.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    schedule = make(optimizer)
    kind = type(schedule).__name__
    if isinstance(schedule, ReduceLROnPlateau):
        raise ValueError(
            f"model.lr_schedule is {kind}, which follows a metric, so that a run stopped beside a validation "
            "could not be resumed exactly; expected a schedule that follows steps or epochs"
        )
    if isinstance(schedule, OneCycleLR) and schedule.total_steps < num_steps:
        raise ValueError(
            f"model.lr_schedule is {kind} of {schedule.total_steps} steps, and the run steps it {num_steps} "
            "times; set total_steps to that, or take gcvideo.training.OneCycle, which knows it"
        )
    if [group["initial_lr"] for group in optimizer.param_groups] != peaks:
        log.warning("%s sets rates of its own: learning_rate and layer_decay have no effect", kind)
    return schedule


class CountedSchedule(LRScheduler):
    """A schedule of torch's whose state is the number of optimizer steps.

    A run that goes on takes these steps again at once, from the peak and with the settings that it is asked
    for now. If nothing has changed, all rates (and momenta, if the schedule moves them) are those of a run
    never stopped, bit for bit. torch's own state would bring the old settings back.

    Args:
        schedule: A schedule that has not stepped yet.
        every: Optimizer steps between two steps of the schedule.
    """

    def __init__(self, schedule: LRScheduler, *, every: int = 1) -> None:
        self.schedule = schedule
        self.every = every
        self.optimizer = schedule.optimizer
        self.last_epoch = 0

    def step(self, epoch: int | None = None) -> None:
        self.last_epoch += 1
        if self.last_epoch % self.every == 0:
            self.schedule.step()

    def get_last_lr(self) -> list[float | torch.Tensor]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, that the optimizer has not stepped before
            if isinstance(self.schedule, LambdaLR) and self.every == 1:  # its last step alone says all
                self.last_epoch = self.schedule.last_epoch = state_dict["last_epoch"] - 1
            while self.last_epoch < state_dict["last_epoch"]:
                self.step()
