"""The paper's spatiotemporal table: its five networks, and the figures that it prints for them."""

from collections.abc import Callable
from typing import NamedTuple

from jsonargparse import ArgumentParser
from torch import nn

from gcvideo.paths import shipped_config


class PaperRow(NamedTuple):
    """One row of GCNet's table 5 (arXiv:1904.11492): Slow-only R50 8x8 on Kinetics-400, 30 views."""

    top1: float
    parameters_millions: float
    gflops: float


PAPER_ROWS = {
    "slow_r50": PaperRow(74.94, 32.45, 39.29),
    "slow_r50_nl5": PaperRow(75.95, 39.81, 59.60),
    "slow_r50_snl5": PaperRow(75.76, 36.13, 39.32),
    "slow_r50_gc5": PaperRow(75.85, 34.30, 39.31),
    "slow_r50_gc_all": PaperRow(76.00, 42.45, 39.35),
}

PAPER_NOTES = (
    "Inference peaks at the first and largest feature maps, before any block, so that blocks change nothing "
    "there. Training keeps all feature maps, those of the blocks too.",
    "The paper's 39.29 GFLOPs of the baseline are not those of this network at 8 x 224 x 224, whichever "
    "convolution carries the stride; its increments for SNL, GC and all-GC are ours to the last digit. Its "
    "+20.31 for NL matches no variant: ours pools 1x2x2 before phi and g; pooling behind them costs more.",
)


def paper_network(row: str) -> Callable[..., nn.Module]:
    """Return what builds the network of a row for a number of classes, as configs/paper has it.

    Raises:
        ValueError: There is no such file.
    """
    parser = ArgumentParser()
    parser.add_argument("--model.network", type=Callable[[int], nn.Module])
    options = parser.parse_path(shipped_config(f"paper/{row}.yaml"))
    return parser.instantiate_classes(options)["model"]["network"]
