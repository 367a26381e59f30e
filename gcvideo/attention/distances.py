"""How far apart the positions of a clip are inside a context block (GCNet, table 1, arXiv:1904.11492).

Were every query position given a context of its own, contexts and attention maps would be as far apart as
the input's features are. The paper finds them almost the same, and so shares one context; here the pairs
are split as well, to tell positions of one frame from one place at different times.
"""

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gcvideo.attention.blocks import attention_vectors, context_name
from gcvideo.attention.cosine import cosine_distance
from gcvideo.attention.divergence import jensen_shannon_distance
from gcvideo.attention.pairs import PAIR_KINDS, Grid, PairMeans, Vectors
from gcvideo.blocks import Add, ContextBlock, PairwiseAttention, SoftmaxAffinity

Measured = Literal["input", "output", "added", "attention"]
Distance = Literal["cosine", "jensen_shannon"]

ONE_MAP = "one attention map for all queries"
NO_ERROR = PairMeans(0, 0, 0, 0)


class ClipDistance(NamedTuple):
    """The mean distance over the pairs of one clip's positions."""

    measured: Measured
    distance: Distance
    mean: PairMeans
    standard_error: PairMeans
    """Of the sampling of pairs; 0 where all pairs are in the mean."""
    num_pairs: int | None
    """Pairs i < j that were drawn; None where all are in the mean."""
    zero_vectors: float
    """The share of positions whose vector is zero, 0..1."""
    note: str = ""


@torch.inference_mode()
def clip_distances(
    block: ContextBlock,
    x: Float[Tensor, "1 C T H W"],
    *,
    num_pairs: int,
    generator: torch.Generator,
) -> list[ClipDistance]:
    """Return the distances inside a block that is given x.

    Measured are the vectors of positions i in

    - `input`: x_i;
    - `output`: the aggregated context y_i = sum_j a_ij v_j;
    - `added`: z_i - x_i, what an additive block makes of it (at the start of training it is zero);
    - `attention`: the row a_i of the attention map over the positions j, as the block weighs them.

    The cosine distance is over all pairs. So that a row is a distribution, the Jensen-Shannon divergence
    is for softmax attention alone (the paper's table leaves it out for the others, too), over `num_pairs`
    pairs of each kind. A context that all positions share has distance 0 by construction.
    """
    grid = Grid(x.shape[2], x.shape[3] * x.shape[4])
    context = block.context(x)
    found = [_cosine("input", features(x), grid)]
    additive = isinstance(block.fusion, Add)
    attention = attention_vectors(block.context, x)
    # One map for all queries: the same everywhere behind the input.
    if attention is None:
        shared: tuple[Measured, ...] = (
            ("output", "added", "attention") if additive else ("output", "attention")
        )
        found += [_shared(measured, "cosine", grid) for measured in shared]
        return [*found, _shared("attention", "jensen_shannon", grid)]

    # A map for each query.
    found.append(_cosine("output", features(context), grid))
    if additive:
        found.append(_cosine("added", features(block.transform(context)), grid))
    found.append(_cosine("attention", attention, grid))
    # The divergence of maps that are distributions.
    pairwise = isinstance(block.context, PairwiseAttention)
    if pairwise and isinstance(block.context.affinity, SoftmaxAffinity):
        return [*found, _jensen_shannon(attention, grid, num_pairs=num_pairs, generator=generator)]
    unknown = PairMeans(*(math.nan for _ in PairMeans._fields))
    reason = f"rows of {context_name(block.context)} attention are not distributions"
    return [*found, ClipDistance("attention", "jensen_shannon", unknown, unknown, None, math.nan, reason)]


def features(x: Float[Tensor, "1 C T H W"]) -> Vectors:
    """Return the channels of each position."""
    rows = x[0].flatten(1).mT  # P C
    return Vectors(lambda i: rows[i], size=rows.shape[1])


def _cosine(measured: Measured, vectors: Vectors, grid: Grid) -> ClipDistance:
    mean, zero_vectors = cosine_distance(vectors, grid)
    return ClipDistance(measured, "cosine", mean, NO_ERROR, None, zero_vectors)


def _jensen_shannon(
    attention: Vectors, grid: Grid, *, num_pairs: int, generator: torch.Generator
) -> ClipDistance:
    mean, error, looked_at = jensen_shannon_distance(
        attention, grid, num_pairs=num_pairs, generator=generator
    )
    return ClipDistance("attention", "jensen_shannon", mean, error, looked_at, 0.0)


def _shared(measured: Measured, distance: Distance, grid: Grid) -> ClipDistance:
    nothing = PairMeans(0, *(0 if grid.num_pairs(kind) else math.nan for kind in PAIR_KINDS))
    return ClipDistance(measured, distance, nothing, NO_ERROR, None, 0.0, ONE_MAP)
