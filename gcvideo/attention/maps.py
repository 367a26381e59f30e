"""Attention maps of one clip, at the size of its frames."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from gcvideo.attention.blocks import attention_vectors
from gcvideo.blocks import AveragePool, Context, ContextBlock, PairwiseAttention, Scale, SoftmaxAffinity

MapSize = tuple[int, int, int]
"""T, H, W."""


class Query(NamedTuple):
    """A point of a clip in shares of its length, height and width, 0..1: the same in every feature map."""

    time: float
    y: float
    x: float

    @classmethod
    def parse(cls, text: str) -> "Query":
        """Read T,Y,X, as 0.5,0.5,0.5.

        Raises:
            ValueError: Not three numbers, or one out of range.
        """
        try:
            query = cls(*(float(share) for share in text.split(",")))
        except (TypeError, ValueError):
            raise ValueError(
                f"query {text!r} is not three numbers; expected T,Y,X, shares of the clip's length, height "
                "and width, as 0.5,0.5,0.5"
            ) from None
        for name, share in query._asdict().items():
            if not 0 <= share <= 1:
                raise ValueError(
                    f"query {text!r}: {name} is {share:g}; expected 0..1, shares of the clip's length, "
                    "height and width"
                )
        return query

    def cell(self, size: MapSize) -> MapSize:
        """Return the cell of a feature map that the point is in."""
        frame, row, column = (min(int(share * n), n - 1) for share, n in zip(self, size, strict=True))
        return frame, row, column


TWO_FRAMES_BY_TWO_PLACES = [
    Query(0.25, 0.5, 0.5),
    Query(0.75, 0.5, 0.5),
    Query(0.25, 0.2, 0.2),
    Query(0.75, 0.2, 0.2),
]
"""Query points that have pairs of the same frame, of the same place, and of neither among them."""


class Layer(NamedTuple):
    """What is laid over the frames of a clip, one value a pixel, and the point it belongs to."""

    title: str
    values: Float[Tensor, "T H W"]
    point: Query | None
    """The middle of the query's cell; None where the values are those of all queries."""


class Layers(NamedTuple):
    """What is laid over the frames, and what it says."""

    layers: list[Layer]
    legend: str
    """What a value is."""


@torch.inference_mode()
def attention_layers(
    context: Context, x: Float[Tensor, "1 C T H W"], queries: Sequence[Query], *, clip_size: MapSize
) -> Layers:
    """Return the attention map of each query, or the one that all queries have in common.

    Values are a_ij * P. Of a softmax that is the weight relative to a uniform one; of dot product and concat,
    whose C(x) is P, it is f(x_i, x_j) itself.
    """
    map_size = x.shape[2], x.shape[3], x.shape[4]
    attention = attention_vectors(context, x)
    # One map for all queries.
    if attention is None:
        weights = context.attention(x)[0].unflatten(1, map_size)  # 1 T H W
        values = over_frames(weights * weights[0].numel(), map_size=map_size, clip_size=clip_size)
        return Layers([Layer("all queries", values[0], None)], UNIFORM)
    # The map of each query's cell, at the size of the frames.
    cells = torch.tensor([query.cell(map_size) for query in queries], device=x.device)
    _, H, W = map_size
    positions = (cells[:, 0] * H + cells[:, 1]) * W + cells[:, 2]
    keys = context.key_map(x).shape[2:] if isinstance(context, PairwiseAttention) else map_size
    weights = attention.at(positions).unflatten(1, keys) * attention.size
    values = over_frames(weights, map_size=map_size, clip_size=clip_size)
    middles = [
        Query(*((index + 0.5) / n for index, n in zip(cell, map_size, strict=True)))
        for cell in cells.tolist()
    ]
    softmax = isinstance(context, PairwiseAttention) and isinstance(context.affinity, SoftmaxAffinity)
    return Layers(
        [
            Layer(f"query {number}", layer, middle)
            for number, (layer, middle) in enumerate(zip(values, middles, strict=True), start=1)
        ],
        UNIFORM if softmax else "f(x_i, x_j)",
    )


UNIFORM = "attention weight relative to a uniform one"


def over_frames(
    weights: Float[Tensor, "Q t h w"], *, map_size: MapSize, clip_size: MapSize
) -> Float[Tensor, "Q T H W"]:
    """Interpolate weights of key positions to the size of the frames, trilinearly.

    Keys may be 1 x 2 x 2 cells of the feature map, and pooling leaves an odd last row out: the keys then
    cover less than the frame, and what they do not cover has weight 0.
    """
    _, height, width = clip_size
    covered = [
        round(size * keys * (cells // keys) / cells)
        for size, keys, cells in zip((height, width), weights.shape[2:], map_size[1:], strict=True)
    ]
    values = F.interpolate(weights[None].float(), size=(clip_size[0], *covered), mode="trilinear")[0]
    return F.pad(values, (0, width - covered[1], 0, height - covered[0]))


def has_map(block: ContextBlock) -> bool:
    """Tell whether some positions can weigh more than others: an average weighs all the same."""
    return not isinstance(block.context, AveragePool)


@torch.inference_mode()
def channel_weights(block: ContextBlock, x: Float[Tensor, "1 C T H W"]) -> Float[Tensor, " C"] | None:
    """Return sigmoid(y), by which a block that scales (squeeze-excitation) multiplies channels, or None."""
    if not isinstance(block.fusion, Scale):
        return None
    y: Tensor = block.transform(block.context(x))
    return torch.sigmoid(y[0].flatten(1).mean(dim=1))
