"""Context modelling: pools that all positions share (Q = 1) and pairwise attention (Q = P)."""

from jaxtyping import Float
from torch import Tensor, nn

from gcvideo.blocks import pooling
from gcvideo.blocks.affinity import Affinity
from gcvideo.blocks.framework import Context
from gcvideo.blocks.pooling import attention_pool, attention_weights, weighted_sum


class AveragePool(Context):
    """y = 1/P sum_j x_j: squeeze (Hu et al., equation 2, arXiv:1709.01507)."""

    def attention(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B 1 P"]:
        num_positions = x.flatten(2).shape[2]
        return x.new_full((x.shape[0], 1, num_positions), 1 / num_positions)

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B C *ones"]:
        return _shared(x.flatten(2).mean(dim=2), x)


class AttentionPool(Context):
    """y = sum_j a_j x_j, a = softmax_j(W_k x_j): one map of weights for all query positions.

    GCNet (arXiv:1904.11492). The bias of W_k cancels in the softmax; published parameter counts have it
    all the same. On a GPU `pooling.kernels` compute it, unless the environment has GCVIDEO_FUSED=0.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.key = nn.Linear(channels, 1)
        nn.init.kaiming_normal_(self.key.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.key.bias)

    def attention(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B 1 P"]:
        return attention_weights(x.flatten(2), self.key.weight, self.key.bias)

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B D *ones"]:
        kernels = pooling.kernels
        pool = kernels.attention_pool if kernels and kernels.runs_on(x.device) else attention_pool
        return _shared(pool(x.flatten(2), self.key.weight, self.key.bias), x)


class ValueAttentionPool(AttentionPool):
    """y = sum_j a_j v(x_j): the first form of GCNet's simplified non-local block, where v(x_j) = W_v x_j."""

    def __init__(self, channels: int, value: nn.Module):
        super().__init__(channels)
        self.value = value

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B D *ones"]:
        values = self.value(x).flatten(2)  # B D P
        return _shared(weighted_sum(self.attention(x), values).squeeze(1), x)


class PairwiseAttention(Context):
    """y_i = sum_j f(W_q x_i, W_k x_j) / C(x) W_v x_j: every query position has weights of its own.

    Non-local operation, Wang et al., equation 1 (arXiv:1711.07971); `affinity` holds f and C(x).
    The positions j may be those of a subsampled map, pooled before W_k and W_v (`pool_input`) or
    after them (`pool_output`); P is then the number of pooled positions.
    """

    def __init__(
        self,
        affinity: Affinity,
        *,
        query: nn.Module,
        key: nn.Module,
        value: nn.Module,
        pool_input: nn.Module | None = None,
        pool_output: nn.Module | None = None,
    ):
        super().__init__()
        self.affinity = affinity
        self.query = query
        self.key = key
        self.value = value
        self.pool_input = pool_input or nn.Identity()
        self.pool_output = pool_output or nn.Identity()

    def key_map(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B E *pooled"]:
        """W_k x_j, on the map of the positions j."""
        return self.pool_output(self.key(self.pool_input(x)))

    def attention(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B Q P"]:
        return self.affinity.weights(_rows(self.query(x)), _rows(self.key_map(x)))

    def forward(self, x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B D *positions"]:
        pooled = self.pool_input(x)
        query = _rows(self.query(x))  # B Q E
        key = _rows(self.pool_output(self.key(pooled)))  # B P E
        value = _rows(self.pool_output(self.value(pooled)))  # B P D
        context = self.affinity(query, key, value).mT.unflatten(2, x.shape[2:])  # channels last
        # Maps of two memory formats are slow to add.
        return context.contiguous() if x.is_contiguous() else context


def _shared(context: Float[Tensor, "B D"], x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B D *ones"]:
    """Return the context with one position along each position axis of x, to broadcast against it."""
    return context.view(*context.shape, *(1 for _ in x.shape[2:]))


def _rows(x: Float[Tensor, "B C *positions"]) -> Float[Tensor, "B P C"]:
    """Return one row per position."""
    return x.flatten(2).mT
