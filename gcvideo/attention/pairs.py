"""Pairs of positions of a feature map, told apart by what they share: the frame, the place, or neither."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor

PairKind = Literal["same_frame", "same_place", "neither"]
PAIR_KINDS: tuple[PairKind, ...] = ("same_frame", "same_place", "neither")

NUMBERS_AT_A_TIME = 2**20
"""How many numbers of vectors are worked on at a time: 8 MiB in float64."""


class PairMeans(NamedTuple):
    """A mean over pairs (i, j) of positions.

    `all` is over every ordered pair with i = j among them, as GCNet's AvgDist is. The other three leave
    i = j out and part the rest; where a map has no such pair the mean is nan.
    """

    all: float
    same_frame: float
    same_place: float
    neither: float


class Grid(NamedTuple):
    """A feature map of T frames with S = H*W places each; position i = t*S + s, as `flatten` counts."""

    num_frames: int
    num_places: int

    @property
    def num_positions(self) -> int:
        return self.num_frames * self.num_places

    def num_pairs(self, kind: PairKind) -> int:
        """Return the number of pairs with i < j."""
        T, S = self
        return {
            "same_frame": T * S * (S - 1) // 2,
            "same_place": S * T * (T - 1) // 2,
            "neither": T * (T - 1) * S * (S - 1) // 2,
        }[kind]


class Vectors(NamedTuple):
    """One vector of `size` numbers for every position, made when asked for: all of them may not fit."""

    at: Callable[[Int64[Tensor, " n"]], Float[Tensor, "n D"]]
    size: int


class Pairs(NamedTuple):
    """The positions of some pairs; `complete` where they are all that there are."""

    first: Int64[Tensor, " n"]
    second: Int64[Tensor, " n"]
    complete: bool


def draw_pairs(grid: Grid, kind: PairKind, *, num_pairs: int, generator: torch.Generator) -> Pairs:
    """Return all pairs of a kind if they are `num_pairs` at most, else that many, drawn with replacement."""
    if grid.num_pairs(kind) <= num_pairs:
        return _every_pair(grid, kind)

    draw = partial(torch.randint, size=(num_pairs,), generator=generator)
    T, S = grid
    frame, place = draw(T), draw(S)
    # A step of 1..n-1 around a circle of n: any other element, all equally likely.
    other_frame = frame if kind == "same_frame" else (frame + 1 + draw(T - 1)) % T
    other_place = place if kind == "same_place" else (place + 1 + draw(S - 1)) % S
    return Pairs(frame * S + place, other_frame * S + other_place, complete=False)


def _every_pair(grid: Grid, kind: PairKind) -> Pairs:
    T, S = grid
    position = torch.arange(grid.num_positions).view(T, S)
    if kind == "same_frame":
        first, second = torch.combinations(torch.arange(S)).unbind(dim=1)
        return Pairs(position[:, first].flatten(), position[:, second].flatten(), complete=True)
    if kind == "same_place":
        first, second = torch.combinations(torch.arange(T)).unbind(dim=1)
        return Pairs(position[first].flatten(), position[second].flatten(), complete=True)
    first, second = torch.combinations(torch.arange(grid.num_positions)).unbind(dim=1)
    neither = (first // S != second // S) & (first % S != second % S)
    return Pairs(first[neither], second[neither], complete=True)


def places_in_turn(grid: Grid, *, vector_size: int) -> list[Int64[Tensor, "T s"]]:
    """Yield all positions, some whole places at a time: their vectors have NUMBERS_AT_A_TIME at most.

    One place is the least.
    """
    places = max(NUMBERS_AT_A_TIME // (vector_size * grid.num_frames), 1)
    position = rearrange(torch.arange(grid.num_positions), "(T S) -> T S", S=grid.num_places)
    return list(position.split(places, dim=1))
