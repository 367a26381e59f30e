"""Context blocks beside pytorchvideo's non-local layer and mmcv's formulation of global context.

Each pair is first held to equal results with equal weights, then timed in turns: forward, and forward with
backward. Memory is the largest sum of intermediate results that operators hold during a forward pass.

    python scripts/bench_blocks.py [--rounds 15] [--device cpu] [--only non-local] [--keep-memory]
"""

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from benchmark import add_save, benchmark_parser, describe_machine, save, with_quartiles
from pytorchvideo.layers.nonlocal_net import create_nonlocal
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from gcvideo.blocks import GlobalContextBlock, NonLocalBlock, SimplifiedNonLocalBlock
from gcvideo.complexity import peak_bytes
from gcvideo.complexity.turns import Spread, in_turns, times_faster
from gcvideo.memory import keep_freed_memory

console = Console(width=140)


class Pair(NamedTuple):
    """Two modules that compute the same, and what they are given."""

    name: str
    theirs: nn.Module
    ours: nn.Module
    x: Tensor


class ConvolutionalContext(nn.Module):
    """Global context as image codebases write it: 1x1x1 convolutions and a product of 4-D views."""

    def __init__(self, channels: int, transform: nn.Module) -> None:
        super().__init__()
        self.conv_mask = nn.Conv3d(channels, 1, 1)
        self.transform = transform

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, *positions = x.shape
        values = x.reshape(batch, channels, -1).unsqueeze(1)  # B 1 C P
        mask = self.conv_mask(x).reshape(batch, 1, -1).softmax(dim=2).unsqueeze(-1)  # B 1 P 1
        context = torch.matmul(values, mask).view(batch, channels, *(1 for _ in positions))
        return x + self.transform(context)


def main() -> None:
    """Time every pair and print the table."""
    arguments = _parser().parse_args()
    torch.manual_seed(0)
    console.print(describe_machine())
    if arguments.keep_memory:
        keep_freed_memory()
    table = Table("block", "x", "format", "forward", "forward + backward", "peak memory")
    pairs = [
        pair for pair in all_pairs(arguments.device, small=arguments.quick) if arguments.only in pair.name
    ]
    for pair in track(pairs, console=Console(stderr=True)):
        check(pair)
        size = " x ".join(map(str, pair.x.shape))
        is_last = pair.x.is_contiguous(memory_format=torch.channels_last_3d)
        memory_format = "channels last" if is_last else "contiguous"
        ratios = {
            "forward": compare(pair, forward, rounds=arguments.rounds),
            "forward + backward": compare(pair, step, rounds=arguments.rounds),
        }
        save(arguments.save, f"{pair.name}, {size}, {memory_format}", ratios)
        shown = [with_quartiles(ratio) for ratio in ratios.values()]
        table.add_row(pair.name, size, memory_format, *shown, compare_memory(pair))
    console.print(table)
    console.print(
        "Times as fast as theirs: median over the rounds \\[quartiles]. Memory: ours as a share of theirs."
    )


def all_pairs(device: str, *, small: bool) -> Iterator[Pair]:
    """Yield every comparison: res3 and res4 of an R50 at 8 x 224 x 224, one and four clips, both formats."""
    shapes = [(16, 2, 6, 6)] if small else [(512, 8, 28, 28), (1024, 8, 14, 14)]
    for channels, *positions in shapes:
        for batch in (1, 4):
            for memory_format in (torch.contiguous_format, torch.channels_last_3d):
                x = torch.randn(batch, channels, *positions, device=device)
                x = x.to(memory_format=memory_format)
                for name, make in PAIRS.items():
                    theirs, ours = (module.to(device).eval() for module in make(channels))
                    yield Pair(name, theirs, ours, x)


def non_local(
    channels: int, subsampling: str, pool: tuple[int, int, int] | None
) -> tuple[nn.Module, nn.Module]:
    """Return pytorchvideo's non-local layer, and our block with its weights."""
    theirs = create_nonlocal(dim_in=channels, dim_inner=channels // 2, pool_size=pool)
    ours = NonLocalBlock(channels, instantiation="scaled_embedded_gaussian", subsampling=subsampling)
    nn.init.normal_(theirs.norm.weight)
    adopt(
        ours,
        {
            "context.query": theirs.conv_theta,
            "context.key": theirs.conv_phi,
            "context.value": theirs.conv_g,
            "transform.0": theirs.conv_out,
            "transform.1": theirs.norm,
        },
    )
    return theirs, ours


def global_context(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return global context by convolutions, and our block with its weights."""
    hidden = channels // 4
    reduce, expand = nn.Conv3d(channels, hidden, 1), nn.Conv3d(hidden, channels, 1)
    norm = nn.LayerNorm([hidden, 1, 1, 1])
    theirs = ConvolutionalContext(channels, nn.Sequential(reduce, norm, nn.ReLU(), expand))
    ours = GlobalContextBlock(channels)
    layers = {"context.key": theirs.conv_mask, "transform.reduce": reduce, "transform.expand": expand}
    adopt(ours, {**layers, "transform.norm": norm})
    return theirs, ours


def simplified_non_local(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return a simplified non-local block by convolutions, and ours with its weights."""
    value = nn.Conv3d(channels, channels, 1)
    theirs = ConvolutionalContext(channels, value)
    ours = SimplifiedNonLocalBlock(channels)
    adopt(ours, {"context.key": theirs.conv_mask, "transform": value})
    return theirs, ours


PAIRS: dict[str, Callable[[int], tuple[nn.Module, nn.Module]]] = {
    "non-local": lambda channels: non_local(channels, "none", None),
    "non-local, pooled 1x2x2": lambda channels: non_local(channels, "pool_then_conv", (1, 2, 2)),
    "simplified non-local": simplified_non_local,
    "global context": global_context,
}


def adopt(ours: nn.Module, layers: dict[str, nn.Module]) -> None:
    """Load weights into our block: convolutions of size 1 as matrices, norms over [C 1 1 1] as over C."""
    state = {
        f"{place}.{name}": value.reshape(value.shape[0], -1) if value.shape[1:].numel() > 1 else value
        for place, layer in layers.items()
        for name, value in layer.state_dict().items()
    }
    wanted = ours.state_dict()
    ours.load_state_dict({name: value.reshape(wanted[name].shape) for name, value in state.items()})


def check(pair: Pair) -> None:
    """Raise AssertionError unless both compute the same."""
    with torch.inference_mode():
        torch.testing.assert_close(pair.ours(pair.x), pair.theirs(pair.x), rtol=1e-4, atol=1e-4)


def forward(module: nn.Module, x: Tensor) -> Tensor:
    """Return the output, without gradients."""
    with torch.inference_mode():
        return module(x)


def step(module: nn.Module, x: Tensor) -> None:
    """Do a forward and a backward pass."""
    module.train()
    given = x.detach().requires_grad_()
    module(given).backward(torch.ones_like(x))
    module.eval()


def compare(pair: Pair, run: Callable[[nn.Module, Tensor], object], *, rounds: int) -> Spread:
    """Return how many times as fast ours runs."""
    seconds = in_turns(
        {"theirs": lambda: run(pair.theirs, pair.x), "ours": lambda: run(pair.ours, pair.x)}, rounds=rounds
    )
    return times_faster(seconds["theirs"], seconds["ours"])


def compare_memory(pair: Pair) -> str:
    """Return the peak memory of ours as a share of theirs."""
    with torch.inference_mode():
        theirs, ours = (peak_bytes(module, pair.x) for module in (pair.theirs, pair.ours))
    return f"{ours / theirs:.2f} ({ours / 2**20:.0f} of {theirs / 2**20:.0f} MiB)"


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=15)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    add_save(parser)
    parser.add_argument("--quick", action="store_true", help="small features, to try the script")
    parser.add_argument("--only", default="", help="only pairs whose name contains this")
    parser.add_argument(
        "--keep-memory",
        action="store_true",
        help="in a process that keeps the memory it frees, as gcvideo does on a CPU: theirs gain more",
    )
    return parser


if __name__ == "__main__":
    main()
