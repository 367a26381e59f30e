"""The state of all that augmentations draw from: torch's generator, numpy's and Python's."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class RandomState(NamedTuple):
    """What the next draws on the CPU follow from."""

    torch: Tensor
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> "RandomState":
        """Return the present state."""
        return cls(torch.get_rng_state(), np.random.get_state(), random.getstate())

    @classmethod
    def of(cls, *numbers: int) -> "RandomState":
        """Return a state that follows from numbers."""
        of_torch, of_numpy, of_python = np.random.SeedSequence(numbers).generate_state(3, np.uint32).tolist()
        return cls(
            torch.Generator().manual_seed(of_torch).get_state(),
            np.random.RandomState(of_numpy).get_state(),
            random.Random(of_python).getstate(),
        )

    def use(self) -> None:
        """Draw from this state next."""
        torch.set_rng_state(self.torch)
        np.random.set_state(self.numpy)
        random.setstate(self.python)


@contextmanager
def kept() -> Iterator[None]:
    """Leave the state as it is found."""
    state = RandomState.now()
    try:
        yield
    finally:
        state.use()
