"""python -m tests.backbones.traced ARCHITECTURE BLOCK: one training step, traced and eager."""

import sys
from typing import Any

import torch
from torch._dynamo.backends.debugging import aot_eager

from gcvideo import blocks
from gcvideo.backbones import Placement, VideoResNet


def check(architecture: Any, block: str) -> None:
    """Strides that dynamo does not know as integers make every size behind them an unknown."""
    placement = Placement(res3=[0], res4=[1, 3], position="after_1x1x1")
    network = VideoResNet(
        5,
        architecture=architecture,
        width=0.0625,
        dropout=0.0,
        block=getattr(blocks, block),
        placement=placement,
    )
    clip = torch.randn(2, 3, 4, 64, 64)
    network(clip).square().sum().backward()
    eager = {name: parameter.grad for name, parameter in network.named_parameters()}
    network.zero_grad()
    sizes: list[int | torch.SymInt] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        for node in graph.graph.nodes:
            value = node.meta.get("example_value")
            sizes.extend(value.shape if isinstance(value, torch.Tensor) else ())
        return aot_eager(graph, inputs)

    torch.compile(network, fullgraph=True, backend=backend)(clip).square().sum().backward()
    assert len(sizes) > 500
    assert not any(isinstance(size, torch.SymInt) for size in sizes)
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.grad, eager[name], rtol=1e-3, atol=1e-4)


if __name__ == "__main__":
    torch.manual_seed(0)
    check(*sys.argv[1:])
