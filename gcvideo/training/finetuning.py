"""Fine-tuning: stages that stay as they are, and learning rates that fall with the distance from the head."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from gcvideo.backbones.protocols import chosen_stages, shown_stages

log = logging.getLogger(__name__)

FEWEST_BLOCKS = 4
"""Of a transformer."""


class FreezeStages(Callback):
    """Stages keep their weights and the statistics of their batch norms.

    Their parameters have no gradient, and their modules are in evaluation throughout: a batch norm normalises
    with its running statistics and does not update them. In a configuration file:

        trainer:
          callbacks:
            - class_path: gcvideo.training.FreezeStages
              init_args:
                stages: [stem, res2]

    Args:
        stages: Any of the network's stages: stem, res2, res3, res4, res5.
        context_blocks: What happens to context blocks in these stages: frozen with them, or trained, as
            blocks that start fresh must be.

    Raises:
        ValueError: No stage is named, or the network shows none of a name.
    """

    def __init__(self, stages: list[str], *, context_blocks: Literal["frozen", "trained"] = "frozen") -> None:
        if not stages:
            raise ValueError("stages is empty; name some of stem, res2, res3, res4, res5")
        self.stages = stages
        self.context_blocks = context_blocks

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        layers = self._layers(pl_module)
        parameters = [parameter for layer in layers for parameter in layer.parameters(recurse=False)]
        for parameter in parameters:
            parameter.requires_grad_(False)
        log.info(
            "%s frozen: %.2f M parameters",
            ", ".join(self.stages),
            sum(parameter.numel() for parameter in parameters) / 1e6,
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for layer in self._layers(pl_module):
            layer.training = False

    def _layers(self, classifier: LightningModule) -> list[nn.Module]:
        """Return every module of the frozen stages, context blocks left out where they are trained."""
        network = classifier.get_submodule("network")
        return [
            layer
            for stage in chosen_stages(network, self.stages, asker="FreezeStages").values()
            for name, layer in stage.named_modules()
            if self.context_blocks == "frozen" or "context" not in name.split(".")
        ]


def scaled_by_depth(
    groups: Sequence[dict[str, Any]], network: nn.Module, *, peak: float, layer_decay: float
) -> list[dict[str, Any]]:
    """Return optimizer groups with a learning rate of peak * layer_decay^d, d stages before the head.

    Every stage is a step: the head has the peak, res5 layer_decay times it, the stem layer_decay^5 (Clark et
    al., ELECTRA, arXiv:2003.10555, for the layers of a transformer). Parameters of no stage have the peak.
    With 1, groups stay as they are.
    """
    distance = distances_to_head(network)
    scaled = []
    for group in groups:
        by_rate: dict[float, list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in group["params"]:
            rate = peak * layer_decay ** distance.get(id(parameter), 0)
            by_rate.setdefault(rate, []).append((name, parameter))
        scaled += [{**group, "params": parameters, "lr": rate} for rate, parameters in by_rate.items()]
    return scaled


def distances_to_head(network: nn.Module) -> dict[int, int]:
    """Return by id how many stages each parameter stands before the head.

    Of a network that shows no stages, they are the blocks of its transformer, if it is one; else its children
    that have parameters, an only child's instead of it.
    """
    if (stages := shown_stages(network)) is not None:
        head = nn.Module()  # whose parameters have the peak, as those of no stage
        return _counted_back([*stages.values(), head])
    if (blocks := transformer_blocks(network)) is not None:
        return _before_blocks(network, blocks)
    children = list(network.children())
    while len(children) == 1:
        children = list(children[0].children())
    return _counted_back([child for child in children if any(True for _ in child.parameters())] or [network])


def transformer_blocks(network: nn.Module) -> list[nn.Module] | None:
    """Return the list of at least four modules of one class with most of the parameters, if there is one."""
    total = sum(parameter.numel() for parameter in network.parameters())
    for module in network.modules():
        blocks = list(module.children())
        is_list = isinstance(module, nn.ModuleList | nn.Sequential) and len(blocks) >= FEWEST_BLOCKS
        alike = len({type(block) for block in blocks}) == 1
        if is_list and alike and 2 * sum(parameter.numel() for parameter in module.parameters()) > total:
            return blocks
    return None


def _before_blocks(network: nn.Module, blocks: Sequence[nn.Module]) -> dict[int, int]:
    """Return L - i of parameters of block i of L, L + 1 of those before the blocks, 0 of those behind them.

    PySlowFast's and VideoMAE's decay^(L + 1 - id), with id 0 of embeddings, i + 1 of a block and L + 1 of the
    norm and head behind them.
    """
    within = _counted_back([*blocks, nn.Module()])
    distance: dict[int, int] = {}
    behind = len(blocks) + 1
    for parameter in network.parameters():
        if id(parameter) in within:
            behind = 0
        distance[id(parameter)] = within.get(id(parameter), behind)
    return distance


def _counted_back(stages: Sequence[nn.Module]) -> dict[int, int]:
    return {
        id(parameter): steps
        for steps, stage in enumerate(reversed(stages))
        for parameter in stage.parameters()
    }
