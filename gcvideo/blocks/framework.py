"""The one frame of all four blocks: context modelling, transform, fusion."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn


class Context(nn.Module, ABC):
    """Which of P positions each of Q query positions looks at, and the sum of what it finds there.

    `forward(x)` is the context: one that all positions share (Q = 1), [B D 1 ... 1], or one for
    each (Q = P), [B D *positions].
    """

    @abstractmethod
    def attention(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B Q P"]:
        """Return the weights of that sum; position axes are flattened in order."""


class ContextBlock(nn.Module):
    """z = fuse(x, transform(context(x))) (Cao et al., GCNet, arXiv:1904.11492).

    x may have any number of position axes: 1 for a sequence, 2 for an image, 3 for a clip. Fusion
    broadcasts a context that all positions share.

    Raises ValueError for x without a position axis or, where `channels` says C, with another number.
    """

    def __init__(
        self, context: Context, transform: nn.Module, fusion: nn.Module, *, channels: int | None = None
    ):
        super().__init__()
        self.channels = channels
        self.context = context
        self.transform = transform
        self.fusion = fusion

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B C *positions"]:
        if x.ndim < 3 or x.shape[1] != (self.channels or x.shape[1]):
            raise ValueError(f"{type(self).__name__}: {self._expected(x)}")
        return self.fusion(x, self.transform(self.context(x)))

    def _expected(self, x: Tensor) -> str:
        """Say which shape was expected instead of this one."""
        expected = f"{self.channels or 'C'} channels in dim 1 and position axes behind it"
        remedy = "; call it with x.mT" if x.ndim == 3 and x.shape[2] == self.channels else ""
        return f"expected {expected}, found a map of shape {list(x.shape)}{remedy}"
