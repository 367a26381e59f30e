"""Distances and maps of context blocks, gathered while a network predicts on pictures.

A picture is a clip of one frame: measures and drawings are those of `gcvideo.attention`, whose pairs of
positions are all of one frame then, as in table 1 of the paper (arXiv:1904.11492).
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from gcvideo.atomic import write_text
from gcvideo.attention import (
    DistanceTable,
    Query,
    as_markdown,
    attention_layers,
    channel_weights,
    clip_distances,
    context_name,
    has_map,
    notes,
    plot_network,
)
from gcvideo.attention.pictures import draw_channels, draw_grid
from gcvideo.blocks import ContextBlock
from gcvideo.cells import quoted
from gcvideo.images.backbones import ContextResNet
from gcvideo.images.writing import PredictionWriter, Row

TWO_PLACES = (Query(0.5, 0.5, 0.5), Query(0.5, 0.2, 0.2))
"""The middle of a picture, and a place near its corner."""


def named_blocks(network: nn.Module, names: Sequence[str] = ()) -> dict[str, ContextBlock]:
    """Return the context blocks of a network, or those that are named, as placement does (`c4.3`).

    Those outside a ContextResNet have the names of their modules.

    Raises:
        ValueError: There is none, or none of a name.
    """
    places = {
        f"{where}.{stage}.{index}".removeprefix("."): f"{name}.{index}"
        for where, backbone in network.named_modules()
        if isinstance(backbone, ContextResNet)
        for (stage, layer), name in zip(stage_names(backbone), backbone.stages, strict=True)
        for index in range(len(layer))
    }
    found = {
        places.get(name.removesuffix(".context"), name): block
        for name, block in network.named_modules()
        if isinstance(block, ContextBlock)
    }
    if not found:
        raise ValueError(
            f"this {type(network).__name__} has no context blocks, so no attention to look at; stack some on "
            "its backbone, as nl or gc_r16"
        )
    for name in names:
        if name not in found:
            raise ValueError(f"there is no context block {name!r}; this network has {', '.join(found)}")
    return {name: found[name] for name in names} if names else found


def stage_names(backbone: ContextResNet) -> list[tuple[str, nn.Sequential]]:
    """Return c2 to c5 with the names of their modules."""
    return [(f"layer{number}", stage) for number, stage in enumerate(backbone.stages.values(), start=1)]


class AttentionWriter(PredictionWriter):
    """Watches the context blocks of a network while it predicts, one picture at a time.

    It writes distances.csv, distances.md and distances.png, and maps of the first pictures,
    map_N_PICTURE_BLOCK.png, and channels_N_PICTURE_BLOCK.png of blocks that scale channels.

    Args:
        folder: The folder.
        blocks: The context blocks, by name.
        num_pairs: Pairs of positions of a picture that the Jensen-Shannon divergence is taken over.
        maps: How many pictures are drawn.
        queries: Points whose maps are drawn.
        seed: What pairs are drawn from.
    """

    def __init__(
        self,
        folder: Path,
        blocks: Mapping[str, ContextBlock],
        *,
        num_pairs: int = 2000,
        maps: int = 2,
        queries: Sequence[Query] = TWO_PLACES,
        seed: int = 0,
    ) -> None:
        super().__init__(folder)
        self.blocks = blocks
        self.num_pairs = num_pairs
        self.maps = maps
        self.queries = queries
        self.generator = torch.Generator().manual_seed(seed)
        self.table = DistanceTable()
        self.inputs: dict[str, Tensor] = {}
        self.num_drawn = 0

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep what every block is given, and the picture as the network is given it."""
        (first, *_) = (part for part in pl_module.modules() if isinstance(part, nn.Conv2d))
        watched: dict[str, nn.Module] = {"": first, **self.blocks}
        for name, part in watched.items():
            part.register_forward_pre_hook(partial(self._keep, name))

    def _keep(self, name: str, _: nn.Module, given: tuple[Tensor]) -> None:
        self.inputs[name] = given[0]

    def add(self, outputs: Any, batch: Any) -> Sequence[Row]:
        (picture,) = batch.names
        for name, block in self.blocks.items():
            x = as_clip(self.inputs[name])
            found = clip_distances(block, x, num_pairs=self.num_pairs, generator=self.generator)
            self.table.add(name, context_name(block.context), tuple(x.shape[2:]), found)
        if self.num_drawn < self.maps:
            self.num_drawn += 1
            self.draw(picture)
        return []

    def draw(self, picture: str) -> None:
        """Draw the maps of every block that has one, and channel weights of those that scale."""
        frame = as_frame(self.inputs[""])
        size = (1, frame.shape[1], frame.shape[2])
        for name, block in self.blocks.items():
            x, title = as_clip(self.inputs[name]), f"{picture}   {name}: {context_name(block.context)}"
            file = f"{self.num_drawn}_{Path(picture).stem}_{name}.png"
            if has_map(block):
                layers = attention_layers(block.context, x, self.queries, clip_size=size)
                draw_grid(frame, layers, self.folder / f"map_{file}", title=title)
            weights = channel_weights(block, x)
            if weights is not None:
                draw_channels(weights, self.folder / f"channels_{file}", title=title)

    def finish(self, rows: Sequence[Row]) -> Path:
        self.summary = self.table.summary()
        self.said = notes(self.summary)
        write_text(self.folder / "distances.csv", self.summary.map(quoted).to_csv(index=False))
        write_text(self.folder / "distances.md", as_markdown(self.summary, self.said))
        plot_network(self.summary, self.folder / "distances.png")
        return self.folder / "distances.md"


def as_clip(x: Float[Tensor, "1 C H W"]) -> Float[Tensor, "1 C 1 H W"]:
    """Return a map as that of a clip of one frame."""
    return x.unsqueeze(2)


def as_frame(x: Float[Tensor, "1 3 H W"]) -> UInt8[Tensor, "1 H W 3"]:
    """Return a normalised picture in levels of 0..255, its darkest value and its brightest at the ends."""
    low, high = x.amin(), x.amax()
    levels = 255 * (x - low) / (high - low).clamp(min=1e-6)
    return levels.round().to(torch.uint8).movedim(1, -1).cpu()
