"""The mean cosine distance over all pairs of positions, in one pass over the positions."""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Float64
from torch import Tensor

from gcvideo.attention.pairs import Grid, PairMeans, Vectors, places_in_turn


class CosineDistance(NamedTuple):
    """The mean cosine distance of pairs of positions."""

    mean: PairMeans
    zero_vectors: float
    """The share of positions whose vector is zero, 0..1."""


def cosine_distance(vectors: Vectors, grid: Grid) -> CosineDistance:
    """Return the mean cosine distance over all pairs of positions.

    AvgDist = 1/N² sum_ij (1 - cos(v_i, v_j)) / 2, 0..1 (GCNet, section 3.2, arXiv:1904.11492).

    A sum of cosines over all pairs of a set is the squared length of the sum of its unit vectors u_i:
    sum_ij cos(v_i, v_j) = |sum_i u_i|². Taken over all positions, over each frame and over each place it
    gives every kind of pair, the pairs that share neither being what is left:

        all = neither + same frame + same place - (i = j, which is of both)

    That is O(N D) for N vectors of D numbers, a few places at a time; the sums are in float64.

    A zero vector has no direction. It counts as one of its own: distance 0 from other zero vectors, 1/2 (a
    right angle) from every other vector.
    """
    T, S = grid
    N = grid.num_positions
    frame_sums = torch.zeros(T, vectors.size + 1, dtype=torch.float64)
    same_place, num_zero = 0.0, 0.0
    for positions in places_in_turn(grid, vector_size=vectors.size):
        units = unit_vectors(vectors.at(positions.flatten()))
        units = rearrange(units, "(T s) D -> T s D", T=T)
        frame_sums += units.sum(dim=1).to(frame_sums.device)
        same_place += units.sum(dim=0).square().sum().item()
        num_zero += units[..., -1].sum().item()

    all_pairs = frame_sums.sum(dim=0).square().sum().item()
    same_frame = frame_sums.square().sum().item()
    neither = all_pairs - same_frame - same_place + N
    return CosineDistance(
        PairMeans(
            all=_distance(all_pairs, N * N),
            same_frame=_distance(same_frame - N, N * (S - 1)),
            same_place=_distance(same_place - N, N * (T - 1)),
            neither=_distance(neither, N * (T - 1) * (S - 1)),
        ),
        zero_vectors=num_zero / N,
    )


def unit_vectors(vectors: Float[Tensor, "n D"]) -> Float64[Tensor, "n D+1"]:
    """Return v / |v|, with one axis more, which is the direction of zero vectors."""
    vectors = vectors.double()
    # By the largest number first, so that squares neither overflow nor vanish.
    largest = vectors.abs().amax(dim=1, keepdim=True)
    is_zero = largest == 0
    scaled = vectors / largest.masked_fill(is_zero, 1)
    norm = scaled.norm(dim=1, keepdim=True).masked_fill(is_zero, 1)
    return torch.cat([scaled / norm, is_zero.double()], dim=1)


def _distance(sum_of_cosines: float, num_pairs: int) -> float:
    """Return (1 - the mean cosine) / 2; rounding may leave a mean just above 1."""
    return max((1 - sum_of_cosines / num_pairs) / 2, 0.0) if num_pairs else math.nan
