"""The average distance of GCNet (section 3.2, arXiv:1904.11492) as plain loops over pairs, in float64."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from tests.blocks import equations

Vector = list[float]


def cosine_distance(v: Vector, w: Vector) -> float:
    """(1 - cos(v, w)) / 2."""
    dot = sum(a * b for a, b in zip(v, w, strict=True))
    return (1 - dot / math.sqrt(sum(a * a for a in v) * sum(b * b for b in w))) / 2


def jensen_shannon(v: Vector, w: Vector) -> float:
    """1/2 sum_k v_k log(2 v_k / (v_k + w_k)) + w_k log(2 w_k / (v_k + w_k))."""
    return 0.5 * sum(
        a * math.log(2 * a / (a + b)) + b * math.log(2 * b / (a + b)) for a, b in zip(v, w, strict=True)
    )


def mean_distances(
    vectors: Tensor, distance: Callable[[Vector, Vector], float], *, num_places: int
) -> dict[str, float]:
    """1/N² sum_ij dist(v_i, v_j), and the means over the pairs i != j of one frame, one place, neither."""
    rows = vectors.double().tolist()
    values: dict[str, list[float]] = {"all": [], "same_frame": [], "same_place": [], "neither": []}
    for i, v in enumerate(rows):
        for j, w in enumerate(rows):
            d = distance(v, w)
            values["all"].append(d)
            same_frame, same_place = i // num_places == j // num_places, i % num_places == j % num_places
            if same_frame and not same_place:
                values["same_frame"].append(d)
            if same_place and not same_frame:
                values["same_place"].append(d)
            if not same_frame and not same_place:
                values["neither"].append(d)
    return {kind: sum(found) / len(found) if found else math.nan for kind, found in values.items()}


def non_local(
    block: torch.nn.Module, instantiation: str, x: Tensor, subsampling: str
) -> tuple[Tensor, Tensor]:
    """The aggregated contexts [N D] and attention rows [N P] of a non-local block, position by position."""
    context = block.context

    def rows(layer: torch.nn.Module, clip: Tensor) -> list[Tensor]:
        columns = list(clip.flatten(1).mT)
        return [layer.weight @ v + layer.bias for v in columns] if hasattr(layer, "weight") else columns

    def pooled_rows(layer: torch.nn.Module) -> list[Tensor]:
        if subsampling == "none":
            return rows(layer, x)
        if subsampling == "pool_then_conv":
            return rows(layer, equations.max_pool_1x2x2(x))
        mapped = torch.stack(rows(layer, x), dim=1).unflatten(1, x.shape[1:])
        return list(equations.max_pool_1x2x2(mapped).flatten(1).mT)

    affinity = {
        "gaussian": lambda: equations.gaussian,
        "embedded_gaussian": lambda: equations.gaussian,
        "dot_product": lambda: equations.dot_product,
        "concat": lambda: equations.concat(context.affinity.score.weight[0]),
    }[instantiation]()
    return equations.non_local(
        rows(context.query, x), pooled_rows(context.key), pooled_rows(context.value), affinity
    )
