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
        """The weights of that sum; position axes are flattened in order."""


class ContextBlock(nn.Module):
    """z = fuse(x, transform(context(x))) (Cao et al., GCNet, arXiv:1904.11492).

    x may have any number of position axes: 1 for a sequence, 2 for an image, 3 for a clip. Fusion
    broadcasts a context that all positions share.
    """

    def __init__(self, context: Context, transform: nn.Module, fusion: nn.Module):
        super().__init__()
        self.context = context
        self.transform = transform
        self.fusion = fusion

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B C *positions"]:
        return self.fusion(x, self.transform(self.context(x)))
