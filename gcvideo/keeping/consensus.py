"""Let all ranks of a run know what one of them knows."""

from collections.abc import Callable

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from gcvideo.distributed import any_process

Find = Callable[[Trainer, LightningModule], bool | Tensor]


class Fact:
    """Something that may be true on any rank.

    Args:
        find: Finds whether it is true on this one.
    """

    def __init__(self, find: Find) -> None:
        self.find = find
        self.here: bool | Tensor = False
        self.anywhere = False


class Consensus(Callback):
    """Tell all ranks, before every optimizer step, which facts are true on any of them: by one all-reduce.

    It stands before the callbacks that add facts, the same ones on every rank, and act on them.
    """

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def add(self, find: Find) -> Fact:
        """Ask for another fact from now on."""
        self.facts.append(Fact(find))
        return self.facts[-1]

    def ask(self, trainer: Trainer, pl_module: LightningModule, *facts: Fact) -> None:
        """Find out about some facts; all ranks ask for the same ones at the same time."""
        for fact in facts:
            fact.here = fact.find(trainer, pl_module)
        known = any_process(*(fact.here for fact in facts), device=pl_module.device)
        for fact, anywhere in zip(facts, known, strict=True):
            fact.anywhere = anywhere

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        self.ask(trainer, pl_module, *self.facts)
