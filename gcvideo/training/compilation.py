"""The network compiled, if that takes no longer than allowed and computes the same."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from gcvideo.clip import ViewBatch
from gcvideo.keeping.epochs import EpochsOfTheirOwn
from gcvideo.private_names import forget_compilation, options_of_mode

log = logging.getLogger(__name__)


class CompileNetwork(Callback):
    """torch.compile for the network, tried on the first training batch before it is trained on.

    The network is compiled for a forward and a backward pass of that batch. Where this takes longer than
    `max_minutes`, training goes on without; where the compiled network's loss differs from the eager one's by
    more than `tolerance`, the run ends. State dicts keep their keys. In a configuration file:

        trainer:
          callbacks:
            - class_path: gcvideo.training.CompileNetwork

    Args:
        mode: As torch.compile knows it.
        max_minutes: How long compilation may take.
        tolerance: Largest relative difference between the two losses.

    Raises:
        ValueError: The compiled network computes something else.
    """

    def __init__(
        self,
        *,
        mode: Literal["default", "reduce-overhead", "max-autotune"] = "default",
        max_minutes: float = 10.0,
        tolerance: float = 1e-3,
    ) -> None:
        self.mode = mode
        self.max_minutes = max_minutes
        self.tolerance = tolerance
        self.tried = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if isinstance(trainer.train_dataloader, EpochsOfTheirOwn):
            raise ValueError(
                "CompileNetwork tries the network at one shape, and data.multigrid has several; leave one out"
            )

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: ViewBatch, batch_idx: int
    ) -> None:
        if self.tried or len(batch.views) == 0:
            return
        self.tried = True
        network = pl_module.get_submodule("network")
        with trainer.strategy.precision_plugin.forward_context():
            loss = pl_module.get_submodule("loss")
            self._try(network, loss, batch.views.flatten(0, 1), batch.target)

    def _try(self, network: nn.Module, loss: nn.Module, views: Tensor, target: Tensor) -> None:
        eager = _loss_of_a_trial(network, loss, views, target)
        # Dropout draws what it would draw without compilation: losses can be compared, and runs repeated.
        network.compile(options={**options_of_mode(self.mode), "fallback_random": True})
        start = time.monotonic()
        try:
            with _time_limit(60 * self.max_minutes):
                compiled = _loss_of_a_trial(network, loss, views, target)
        except TimeoutError:
            forget_compilation(network)
            torch.compiler.reset()
            log.warning(
                "compiling the network took more than max_minutes %g; training goes on without",
                self.max_minutes,
            )
            return
        difference = abs(compiled - eager) / max(abs(eager), 1e-12)
        if not difference <= self.tolerance:
            raise ValueError(
                f"the compiled network's loss is {compiled:.6g} and the eager one's {eager:.6g}, a relative "
                f"difference of {difference:.2g}; tolerance is {self.tolerance:g}; leave CompileNetwork out"
            )
        log.info(
            "compiled the network in %.0f s; its loss differs from the eager one's by %.1g",
            time.monotonic() - start,
            difference,
        )


def _loss_of_a_trial(network: nn.Module, criterion: nn.Module, views: Tensor, target: Tensor) -> float:
    """Return the loss of a forward and a backward pass that leave no trace in gradients, buffers or draws."""
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with torch.random.fork_rng(devices=[views.device] if views.is_cuda else []):
        torch.manual_seed(0)
        loss = criterion(network(views).float(), target)
        loss.backward()
    for parameter in network.parameters():
        parameter.grad = None
    for name, buffer in network.named_buffers():
        buffer.copy_(buffers[name])
    return float(loss.detach())


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the main thread after `seconds`, wherever it then is; in another thread never."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return
    expired = False

    def expire(number: int, frame: FrameType | None) -> None:
        nonlocal expired
        expired = True
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except Exception as error:  # the compiler wraps what is raised inside it
        if not expired:
            raise
        raise TimeoutError from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
