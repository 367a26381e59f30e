"""python -m tests.training.recomputed: two steps of a traced network that computes activations again."""

import copy

import torch

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.blocks import GlobalContextBlock
from gcvideo.training.activation_checkpointing import recompute


def check() -> None:
    """Gradients, and batch statistics counted once, are those of the eager network that keeps all."""
    placement = Placement(res3=[0], res4=[1], position="after_1x1x1")
    kept = VideoResNet(3, width=0.0625, dropout=0.0, block=GlobalContextBlock, placement=placement).double()
    recomputed = copy.deepcopy(kept)
    for stage in ("res2", "res3"):
        for residual in recomputed.stages[stage].res_blocks:
            recompute(residual)
    recomputed.compile(fullgraph=True, backend="aot_eager")
    clip = torch.randn(2, 3, 4, 32, 32, dtype=torch.double)
    for network in (kept, recomputed):
        for _ in range(2):
            network(clip).square().sum().backward()
    close = {"rtol": 1e-9, "atol": 1e-12}
    for parameter, expected in zip(recomputed.parameters(), kept.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, **close)
    for buffer, expected in zip(recomputed.buffers(), kept.buffers(), strict=True):
        torch.testing.assert_close(buffer, expected, **close)


if __name__ == "__main__":
    torch.manual_seed(0)
    check()
