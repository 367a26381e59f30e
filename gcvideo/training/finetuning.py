"""Fine-tuning: stages that stay as they are, and learning rates that fall with the distance from the head."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from gcvideo.backbones.protocols import chosen_stages, shown_stages

log = logging.getLogger(__name__)


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
    distance = {
        id(parameter): steps
        for steps, layer in enumerate(reversed(_stages_in_order(network)))
        for parameter in layer.parameters()
    }
    scaled = []
    for group in groups:
        by_rate: dict[float, list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in group["params"]:
            rate = peak * layer_decay ** distance.get(id(parameter), 0)
            by_rate.setdefault(rate, []).append((name, parameter))
        scaled += [{**group, "params": parameters, "lr": rate} for rate, parameters in by_rate.items()]
    return scaled


def _stages_in_order(network: nn.Module) -> list[nn.Module]:
    """Return the stages that a network shows and its head, from the input on.

    Of a network that shows none, they are its children that have parameters; an only child's instead of it.
    """
    if (stages := shown_stages(network)) is not None:
        head = nn.Module()  # whose parameters have the peak, as those of no stage
        return [*stages.values(), head]
    children = list(network.children())
    while len(children) == 1:
        children = list(children[0].children())
    return [child for child in children if any(True for _ in child.parameters())] or [network]
