"""A trainer of its own: the recipe of configs/recipe/kinetics_scratch.yaml from its equations, clips by PyAV.

It takes nothing from gcvideo and nothing from torch.optim, and computes the shares of several processes one
after another.
"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from torch import Tensor, nn

NORMS = (nn.BatchNorm1d, nn.BatchNorm3d, nn.LayerNorm)


class Recipe(NamedTuple):
    """Its numbers, of steps and not of epochs."""

    peak: float
    num_steps: int
    warmup_steps: float
    warmup_start: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decays_norms: bool = False
    nesterov: bool = True

    def rate(self, step: int) -> float:
        """Half a cosine over the run, which a line enters from below; of the step behind `step` others."""

        def cosine(at: float) -> float:
            return (1 + math.cos(math.pi * at / self.num_steps)) / 2

        if step >= self.warmup_steps:
            return self.peak * cosine(step)
        rise = (cosine(self.warmup_steps) - self.warmup_start) * step / self.warmup_steps
        return self.peak * (self.warmup_start + rise)


class Share(NamedTuple):
    """What one process trains on in a step."""

    clips: Tensor
    labels: Tensor
    seed: int


class PlainTrainer:
    """L = -1/B sum_b log softmax(z_b)[y_b];  g = mean over processes of dL/dw + decay w;
    m <- momentum m + g;  w <- w - rate (g + momentum m)."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        self.network, self.recipe = network.train(), recipe
        self.weights = dict(network.named_parameters())
        self.momenta = {name: torch.zeros_like(weight) for name, weight in self.weights.items()}
        of_norms = {
            id(weight)
            for module in network.modules()
            if isinstance(module, NORMS)
            for weight in module.parameters()
        }
        spared = set() if recipe.decays_norms else of_norms
        self.decay = {
            name: 0.0 if id(weight) in spared else recipe.weight_decay
            for name, weight in self.weights.items()
        }
        self.num_done = 0

    def step(self, shares: Iterable[Share]) -> list[float]:
        """Do a step on what every process has; return their losses."""
        losses, gradients = zip(*(self._gradients(*share) for share in self._each(shares)), strict=True)
        rate, momentum = self.recipe.rate(self.num_done), self.recipe.momentum
        with torch.no_grad():
            for (name, weight), *of_ranks in zip(self.weights.items(), *gradients, strict=True):
                g = sum(of_ranks) / len(of_ranks) + self.decay[name] * weight
                m = self.momenta[name].mul_(momentum).add_(g)
                weight -= rate * (g + momentum * m if self.recipe.nesterov else m)
        self.num_done += 1
        return [*losses]

    def _each(self, shares: Iterable[Share]) -> Iterable[Share]:
        """Yield all; running statistics are those of the first process, which it gives to the others."""
        for rank, share in enumerate(shares):
            kept = [buffer.clone() for buffer in self.network.buffers()]
            yield share
            for buffer, before in zip(self.network.buffers(), kept, strict=True):
                buffer.copy_(before if rank > 0 else buffer)

    def _gradients(self, clips: Tensor, labels: Tensor, seed: int) -> tuple[float, tuple[Tensor, ...]]:
        torch.manual_seed(seed)
        logits = self.network(clips)
        loss = (logits.logsumexp(dim=1) - logits[torch.arange(len(labels)), labels]).mean()
        return loss.item(), torch.autograd.grad(loss, list(self.weights.values()))


class Videos:
    """Clips of T frames `stride` apart and as wide as the videos are high, decoded by PyAV on its own."""

    def __init__(self, root: Path, *, num_frames: int, stride: int) -> None:
        self.root, self.num_frames, self.stride = root, num_frames, stride
        lines = (root / "train.csv").read_text().splitlines()[1:]
        self.labels = {path: int(label) for path, label in (line.rsplit(",", 1) for line in lines)}
        self.frames = {path: self._decode(path) for path in self.labels}

    def _decode(self, path: str) -> np.ndarray:
        with av.open(str(self.root / path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])

    def clip_like(self, path: str, shown: np.ndarray) -> Tensor:
        """Return the clip of a video, uint8 [3 T H W], that shows what was shown: uint8 [T H H 3].

        Raises:
            AssertionError: No clip that starts anywhere it fits, cut anywhere, does.
        """
        frames = self.frames[path]
        span, side = (self.num_frames - 1) * self.stride + 1, frames.shape[1]
        for start in range(len(frames) - span + 1):
            clip = frames[start : start + span : self.stride]
            for left in range(frames.shape[2] - side + 1):
                cut = clip[:, :, left : left + side]
                if np.array_equal(cut, shown):
                    return torch.from_numpy(cut.transpose(3, 0, 1, 2).copy())
        raise AssertionError(f"{path} has no clip that shows what the network was given")
