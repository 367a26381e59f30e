"""The order of training pictures: batches of pictures that are all wide or all high."""

import hashlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from gcvideo.data.dataset import EpochOrder


class AspectOrder(EpochOrder):
    """An EpochOrder whose batches hold wide pictures or high ones, so that little of a batch is padding.

    Pictures keep the order that seed and epoch give them, and wait until a batch of their kind is full; of
    what is left at the end, a last batch may hold both. So mmdetection's AspectRatioBatchSampler has it.

    Args:
        is_wide: Which pictures are at least as wide as high.
        batch_size: Pictures in a batch of this process.
        settings: Those of an EpochOrder.
    """

    def __init__(self, is_wide: Bool[np.ndarray, " N"], *, batch_size: int, **settings: Any) -> None:
        super().__init__(len(is_wide), **settings)
        self.is_wide = is_wide
        self.batch_size = batch_size

    def indices(self) -> Int64[Tensor, " N"]:
        waiting: dict[bool, list[int]] = {False: [], True: []}
        order: list[int] = []
        for index in super().indices().tolist():
            of_kind = waiting[bool(self.is_wide[index])]
            of_kind.append(index)
            if len(of_kind) == self.batch_size:
                order += of_kind
                of_kind.clear()
        return torch.tensor(order + waiting[False] + waiting[True], dtype=torch.int64)

    @property
    def fingerprint(self) -> str:
        wide = hashlib.sha256(np.packbits(self.is_wide).tobytes()).hexdigest()
        return f"batches of {self.batch_size}, wide or high: {wide}"
