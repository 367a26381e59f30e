"""A task whose label depends on the query: a measure of query dependence has to move there.

Every position of a small map holds a key, which one other position, its partner, holds too, and one of V
signs. Labels are asked for at every position. In `matching` the label of a position is the sign of its
partner: positions have to look at different places, so attention has to depend on the query. In `shared` it
is the sign of the one marked position, for all alike: attention need not depend on the query. Both have the
same inputs and the same network, one non-local block between an embedding and a linear classifier, so what
differs is the task. It is a control of the module: no video is read.
"""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from gcvideo.attention import clip_distances
from gcvideo.blocks import NonLocalBlock

Task = Literal["matching", "shared"]
TASKS: tuple[Task, ...] = get_args(Task)

FRAMES, HEIGHT, WIDTH = 2, 4, 4
NUM_POSITIONS = FRAMES * HEIGHT * WIDTH
NUM_KEYS = NUM_POSITIONS // 2
NUM_SIGNS = 4
CHANNELS = 64
CLIPS_OF_A_STEP = 32
MEASURED_CLIPS = 16


class Maps(NamedTuple):
    """Random maps, and the label of every position."""

    x: Float[Tensor, "B D T H W"]
    label: Int64[Tensor, "B P"]


class Controlled(nn.Module):
    """Embed each position, let it look at the others, classify it."""

    def __init__(self, instantiation: Any) -> None:
        super().__init__()
        self.embed = nn.Conv3d(NUM_KEYS + NUM_SIGNS + 1, CHANNELS, 1)
        self.block = NonLocalBlock(
            CHANNELS, instantiation=instantiation, inner_channels=CHANNELS, subsampling="none"
        )
        self.classify = nn.Sequential(nn.ReLU(), nn.Conv3d(CHANNELS, NUM_SIGNS, 1))

    def forward(self, x: Float[Tensor, "B D T H W"]) -> Float[Tensor, "B V P"]:
        return self.classify(self.block(self.embed(x))).flatten(2)


def draw(task: Task, num_maps: int, generator: torch.Generator) -> Maps:
    """Draw maps: keys in a random order, signs, one mark."""
    orders = torch.stack([torch.randperm(NUM_POSITIONS, generator=generator) for _ in range(num_maps)])
    keys = orders % NUM_KEYS
    signs = torch.randint(NUM_SIGNS, keys.shape, generator=generator)
    mark = torch.randint(NUM_POSITIONS, (num_maps, 1), generator=generator)
    marks = torch.zeros_like(keys).scatter(1, mark, 1)
    parts = F.one_hot(keys, NUM_KEYS), F.one_hot(signs, NUM_SIGNS), marks[..., None]
    x = torch.cat(parts, dim=2).float().mT.unflatten(2, (FRAMES, HEIGHT, WIDTH))
    if task == "shared":
        return Maps(x, signs.gather(1, mark).expand_as(signs))
    # Whose order is half of all positions further on has the same key.
    place = orders.argsort(dim=1)
    partner = place.gather(1, (orders + NUM_KEYS) % NUM_POSITIONS)
    return Maps(x, signs.gather(1, partner))


def control(
    task: Task, instantiation: str, *, seed: int, num_steps: int, tell: Callable[[float], None]
) -> dict[str, Any]:
    """Train the network on a task, and return its accuracy and the distances before and after.

    Args:
        task: What the labels are.
        instantiation: Of the non-local block.
        seed: Of weights and maps.
        num_steps: Steps of Adam, on new maps each.
        tell: Is told the share of the steps that is done, 0..1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Controlled(instantiation)
    generator = torch.Generator().manual_seed(seed)
    held_out = draw(task, MEASURED_CLIPS, torch.Generator().manual_seed(1_000_000 + seed))
    before = _distances(network, held_out)

    # Train.
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, num_steps)
    network.train()
    for step in range(num_steps):
        maps = draw(task, CLIPS_OF_A_STEP, generator)
        optimizer.zero_grad()
        F.cross_entropy(network(maps.x), maps.label).backward()
        optimizer.step()
        schedule.step()
        tell((step + 1) / num_steps)

    network.eval()
    with torch.inference_mode():
        accuracy = (network(held_out.x).argmax(1) == held_out.label).float().mean().item()
    distances = {"before": before, "after": _distances(network, held_out)}
    return {"task": task, "instantiation": instantiation, "seed": seed, "accuracy": accuracy, **distances}


@torch.inference_mode()
def _distances(network: Controlled, maps: Maps) -> dict[str, dict[str, float]]:
    """Return the mean over maps of every distance in the block, by what is measured and the kind of pair."""
    training, generator = network.training, torch.Generator().manual_seed(0)
    network.eval()
    found: dict[str, list[dict[str, float]]] = {}
    for embedded in network.embed(maps.x).split(1):
        for row in clip_distances(network.block, embedded, num_pairs=2000, generator=generator):
            if not math.isnan(row.mean.all):  # the divergence, of attention that is no distribution
                found.setdefault(f"{row.measured}/{row.distance}", []).append(row.mean._asdict())
    network.train(training)
    return {
        name: {pairs: sum(clip[pairs] for clip in clips) / len(clips) for pairs in clips[0]}
        for name, clips in found.items()
    }
