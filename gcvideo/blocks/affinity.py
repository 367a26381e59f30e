"""Normalised affinity f(x_i, x_j) / C(x) of the non-local block (Wang et al., arXiv:1711.07971)."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FEW_PAIRS = 2**22
"""Of a query and a position: so small a matrix stays in a CPU's cache, and storing it is the faster way."""


class Affinity(nn.Module, ABC):
    """y_i = sum_j f(q_i, k_j) / C v_j over P positions j, for Q query positions i.

    `weights` is the matrix f / C; a subclass whose product has a cheaper order overrides `forward`.
    """

    @abstractmethod
    def weights(
        self, query: Float[Tensor, "B Q E"], key: Float[Tensor, "B P E"]
    ) -> Float[Tensor, "B Q P"]: ...

    def forward(
        self,
        query: Float[Tensor, "B Q E"],
        key: Float[Tensor, "B P E"],
        value: Float[Tensor, "B P D"],
    ) -> Float[Tensor, "B Q D"]:
        return self.weights(query, key) @ value


class SoftmaxAffinity(Affinity):
    """f = exp(scale <q_i, k_j>), C = sum_j f: Gaussian and embedded Gaussian, equations 2 and 3.

    The paper's scale is 1; code in wide use has 1 / sqrt(E).
    """

    def __init__(self, scale: float = 1.0):
        super().__init__()
        self.scale = scale

    def weights(self, query: Float[Tensor, "B Q E"], key: Float[Tensor, "B P E"]) -> Float[Tensor, "B Q P"]:
        return (self.scale * query @ key.mT).softmax(dim=-1)

    def forward(
        self,
        query: Float[Tensor, "B Q E"],
        key: Float[Tensor, "B P E"],
        value: Float[Tensor, "B P D"],
    ) -> Float[Tensor, "B Q D"]:
        if query.device.type == "cpu" and query.shape[1] * key.shape[1] <= FEW_PAIRS:
            return super().forward(query, key, value)
        # Kernels that never store the Q x P matrix want an axis of heads and adjacent channels.
        query, key, value = (rows.contiguous().unsqueeze(1) for rows in (query, key, value))
        return F.scaled_dot_product_attention(query, key, value, scale=self.scale).squeeze(1)


class DotProductAffinity(Affinity):
    """f = <q_i, k_j>, C = P: equation 4.

    Without a softmax the product associates, (q k^T) v = q (k^T v): no Q x P matrix is needed.
    """

    def weights(self, query: Float[Tensor, "B Q E"], key: Float[Tensor, "B P E"]) -> Float[Tensor, "B Q P"]:
        return query @ (key / key.shape[1]).mT

    def forward(
        self,
        query: Float[Tensor, "B Q E"],
        key: Float[Tensor, "B P E"],
        value: Float[Tensor, "B P D"],
    ) -> Float[Tensor, "B Q D"]:
        return query @ ((key / key.shape[1]).mT @ value)


class ConcatAffinity(Affinity):
    """f = ReLU(w^T [q_i, k_j]), C = P: equation 5. The Q x P matrix is stored.

    w^T [q, k] is taken apart as w_q^T q + w_k^T k, so the pairs are never laid out.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.score = nn.Linear(2 * channels, 1, bias=False)

    def weights(self, query: Float[Tensor, "B Q E"], key: Float[Tensor, "B P E"]) -> Float[Tensor, "B Q P"]:
        score_query, score_key = self.score.weight.chunk(2, dim=1)
        scores = F.linear(query, score_query) + F.linear(key, score_key).mT  # B Q P
        return scores.relu() / key.shape[1]
