"""A learning-rate range test: the loss as the rate rises over a few steps."""

import math
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import STEP_OUTPUT
from matplotlib.figure import Figure
from torch import Tensor

from gcvideo.atomic import replacing
from gcvideo.clip import ViewBatch

SMOOTHING = 0.9
DIVERGED = 4.0
"""Times the lowest loss at which the test ends."""
RISEN = 1.1
"""Times the lowest loss so far from which on a fall is only the way back."""
CLEAR_FALL = 0.02
"""Share of the loss that it must lose somewhere, to be more than noise."""
FIRST_STEPS = 10
"""Whose smoothed loss says nothing yet, as in Lightning's finder."""


class RangeTest(Callback):
    """Raise the learning rate from step to step, geometrically, and note the loss (Smith, arXiv:1506.01186).

    The rates of parameter groups keep their ratios, as layer_decay gives them. The schedule is left out. The
    loss is the mean over all processes and batches of a step, smoothed (by fastai and Lightning with 0.98).

    Args:
        lowest: The rate of the first step.
        highest: The rate of the last step.
        num_steps: Number of steps; fewer where the loss rises to four times its lowest.

    Raises:
        ValueError: The rates do not rise, or there are fewer than 20 steps.
    """

    def __init__(self, lowest: float = 1e-5, highest: float = 10.0, num_steps: int = 100) -> None:
        if not 0 < lowest < highest:
            raise ValueError(f"rates from {lowest} to {highest}; expected a rise from above 0")
        if num_steps < 20:
            raise ValueError(f"num_steps is {num_steps}; expected at least 20")
        self.lowest, self.highest, self.num_steps = lowest, highest, num_steps
        self.peak = 1.0
        """What the rates of the configuration are multiples of."""
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._initial: list[float] = []
        self._of_step: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.strategy.lr_scheduler_configs = []
        groups = trainer.optimizers[0].param_groups
        self._initial = [float(group.get("initial_lr", group["lr"])) for group in groups]
        self.peak = max(self._initial)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ViewBatch, batch_idx: int
    ) -> None:
        rate = self.lowest * (self.highest / self.lowest) ** (trainer.global_step / (self.num_steps - 1))
        for group, initial in zip(trainer.optimizers[0].param_groups, self._initial, strict=True):
            group["lr"] = rate * initial / self.peak

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: STEP_OUTPUT,
        batch: ViewBatch,
        batch_idx: int,
    ) -> None:
        assert isinstance(outputs, dict)
        loss = trainer.strategy.reduce(
            outputs["loss"].detach() * trainer.accumulate_grad_batches, reduce_op="mean"
        )
        assert isinstance(loss, Tensor)
        self._of_step.append(float(loss))
        if trainer.global_step > len(self.losses):  # the last batch of a step
            done = trainer.global_step - 1
            self.rates.append(self.lowest * (self.highest / self.lowest) ** (done / (self.num_steps - 1)))
            self.losses.append(sum(self._of_step) / len(self._of_step))
            self._of_step = []
            trainer.should_stop = self.diverged_at is not None

    def suggestion(self) -> float | None:
        """Return the rate at which the smoothed loss falls most steeply before it rises.

        None where it does not fall clearly.
        """
        smoothed, rates = np.array(smooth(self.losses))[FIRST_STEPS:], np.log(self.rates)[FIRST_STEPS:]
        risen = smoothed > RISEN * np.minimum.accumulate(smoothed)
        end = int(risen.argmax()) if risen.any() else -1
        smoothed, rates = smoothed[:end], rates[:end]
        if len(smoothed) < 2 or smoothed.min() > (1 - CLEAR_FALL) * smoothed[0]:
            return None
        steepest = int(np.nanargmin(np.gradient(smoothed, rates)))
        return float(math.exp(rates[steepest]))

    @property
    def diverged_at(self) -> float | None:
        """The rate at which the smoothed loss had risen to four times its lowest, if it did."""
        smoothed = smooth(self.losses)
        return None if smoothed[-1] <= DIVERGED * min(smoothed) else self.rates[-1]

    def plot(self, file: Path, *, found: float | None) -> None:
        """Plot the loss, as it is and smoothed, against the rate."""
        figure = Figure(figsize=(6.4, 4), layout="constrained")
        axes = figure.subplots()
        smoothed = smooth(self.losses)
        axes.semilogx(self.rates, self.losses, color="#bbbbbb", linewidth=1, label="loss of the step")
        axes.semilogx(self.rates, smoothed, color="#0072B2", label="smoothed")
        if found is not None:
            axes.axvline(found, color="#D55E00", linestyle="--", label=f"steepest fall: {found:.3g}")
        axes.set(xlabel="learning rate", ylabel="training loss")
        axes.set_ylim(min(smoothed) * 0.9, min(max(smoothed), 1.5 * smoothed[0]))
        axes.legend(frameon=False)
        with replacing(file) as partial:
            figure.savefig(partial, format="png", dpi=120)


def smooth(losses: list[float]) -> list[float]:
    """Return the running means m_t = 0.9 m_{t-1} + 0.1 l_t, each over its weights' sum, 1 - 0.9^t."""
    mean, smoothed = 0.0, []
    for number, loss in enumerate(losses, start=1):
        mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
        smoothed.append(mean / (1 - SMOOTHING**number))
    return smoothed
