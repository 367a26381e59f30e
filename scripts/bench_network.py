"""Forward passes and training steps of whole networks, side by side.

    python scripts/bench_network.py                                 # everything, on the CPU
    python scripts/bench_network.py blocks --rounds 15              # one section
    python scripts/bench_network.py --device cuda --batch-size 8 32 --precision float32 bfloat16

Sections:
    blocks         the networks of the paper's table beside the one without blocks
    pytorchvideo   its slow_r50, trained as its users write it, beside ours
    formats        channels last beside contiguous
    precisions     bfloat16 beside float32
    checkpointing  activations of residual blocks computed again beside kept ones
    folding        batch norms folded into convolutions, forward only
    compilation    torch.compile beside eager execution

A training step is forward, cross-entropy, backward and SGD with Nesterov momentum. The alternatives of a
section take turns; a figure is the median over the rounds of the ratio within one round, with quartiles. On
a CPU the process keeps the memory it frees, as `gcvideo` does (bench_memory.py has what that brings).
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from benchmark import add_save, benchmark_parser, describe_machine, save, with_quartiles
from pytorchvideo.models.hub import slow_r50
from rich.console import Console
from rich.table import Table
from sections import parse_sections
from torch import Tensor, nn

from gcvideo.backbones import VideoResNet
from gcvideo.backbones.checkpoints.folding import fold_batch_norms
from gcvideo.complexity import peak_bytes
from gcvideo.complexity.paper import PAPER_ROWS, paper_network
from gcvideo.complexity.turns import in_turns, times_faster
from gcvideo.memory import keep_freed_memory
from gcvideo.training.activation_checkpointing import recompute

console = Console(width=140)
NUM_CLASSES = 400


class Case(NamedTuple):
    """A network and how it is run."""

    network: nn.Module
    channels_last: bool = True
    precision: torch.dtype = torch.float32


class Workload(NamedTuple):
    """What every network of a comparison is given."""

    clips: Tensor
    target: Tensor
    rounds: int


def main() -> None:
    arguments = parse_sections(_parser(), SECTIONS)
    console.print(describe_machine())
    if arguments.device == "cpu":
        keep_freed_memory()
    for name in arguments.sections:
        for batch_size in arguments.batch_size:
            for precision in map(partial(getattr, torch), arguments.precision):
                torch.manual_seed(0)
                shape = (batch_size, 3, arguments.num_frames, arguments.crop_size, arguments.crop_size)
                clips = torch.randn(shape, device=arguments.device)
                target = torch.randint(NUM_CLASSES, (batch_size,), device=arguments.device)
                work = Workload(clips, target, arguments.rounds)
                cases = SECTIONS[name](precision)
                console.print(compare(name, cases, work, precision, file=arguments.save))


def compare(
    section: str, cases: Mapping[str, Case], work: Workload, precision: torch.dtype, *, file: Path | None
) -> Table:
    """Return the table of a section; its first case is what the others are measured by."""
    size = " x ".join(map(str, work.clips.shape))
    table = Table(
        "", "forward", "training step", "clips/s, training", "memory of a step", title_justify="left",
        title=f"{section}: clips {size}, {str(precision).removeprefix('torch.')}",
    )  # fmt: skip

    # All cases take turns, forward and in training
    forwards = in_turns(
        {n: partial(forward, placed(c, work), work) for n, c in cases.items()}, rounds=work.rounds
    )
    steps = {}
    if section != "folding":  # folded networks do not train
        steps = in_turns({n: Step(placed(c, work), work) for n, c in cases.items()}, rounds=work.rounds)

    # Ratios to the first within a round
    (first, *_) = cases
    for run, seconds in {"forward": forwards, "training step": steps}.items():
        ratios = {name: times_faster(taken, seconds[first]) for name, taken in seconds.items()}
        save(file, f"network, {section}, {run}", ratios)

    # A row for each case
    for name, case in cases.items():
        row = [as_long(forwards[name], forwards[first])]
        if steps:
            rate = len(work.clips) / (sum(steps[name]) / work.rounds)
            row += [
                as_long(steps[name], steps[first]),
                f"{rate:.2f}",
                f"{memory(case, work) / 2**20:.0f} MiB",
            ]
        table.add_row(name, *row)
    return table


def as_long(seconds: list[float], of_first: list[float]) -> str:
    """Return how many times as long as the first something takes."""
    ratio = times_faster(seconds, of_first)
    return with_quartiles(ratio, digits=3)


def placed(case: Case, work: Workload) -> Case:
    """Return the case with its network on the device of the clips and in its memory format."""
    memory_format = torch.channels_last_3d if case.channels_last else torch.contiguous_format
    case.network.to(device=work.clips.device, memory_format=memory_format)  # pyright: ignore[reportCallIssue]
    return case


def logits(case: Case, clips: Tensor) -> Tensor:
    """Return what the network says of the clips, in the case's format and precision."""
    if case.channels_last:
        clips = clips.contiguous(memory_format=torch.channels_last_3d)
    enabled = case.precision != torch.float32
    with torch.autocast(clips.device.type, dtype=torch.bfloat16, enabled=enabled):
        return case.network(clips)


def forward(case: Case, work: Workload) -> None:
    """Do a forward pass in evaluation."""
    case.network.eval()
    with torch.inference_mode():
        logits(case, work.clips)


class Step:
    """A training step, written plainly."""

    def __init__(self, case: Case, work: Workload) -> None:
        self.case = case
        self.work = work
        self.optimizer = torch.optim.SGD(case.network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)

    def __call__(self) -> None:
        self.case.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits(self.case, self.work.clips).float(), self.work.target).backward()
        self.optimizer.step()


def memory(case: Case, work: Workload) -> int:
    """Return the bytes that results of operators hold at the peak of a step, gradients among them."""
    step = Step(case, work)
    step()  # the optimizer's state is there from now on
    return peak_bytes(lambda clips: step(), work.clips)


def blocks(precision: torch.dtype) -> dict[str, Case]:
    """Return the five networks of the paper."""
    return {row: Case(paper_network(row)(NUM_CLASSES), True, precision) for row in PAPER_ROWS}


def beside_pytorchvideo(precision: torch.dtype) -> dict[str, Case]:
    """Return ours and pytorchvideo's network, held to equal logits with equal weights."""
    theirs, ours = slow_r50(pretrained=False, model_num_class=NUM_CLASSES), VideoResNet(NUM_CLASSES)
    ours.load_state_dict(theirs.state_dict())
    for network in (theirs, ours):
        network.eval()
    clip = torch.randn(1, 3, 8, 224, 224)  # its head pools windows of 8 x 7 x 7 cells
    with torch.inference_mode():
        torch.testing.assert_close(ours(clip), theirs(clip), rtol=1e-3, atol=1e-3)
    return {"ours": Case(ours, True, precision), "pytorchvideo": Case(theirs, False, precision)}


def formats(precision: torch.dtype) -> dict[str, Case]:
    """Return one network in both memory formats."""
    return {
        "channels last": Case(VideoResNet(NUM_CLASSES), True, precision),
        "contiguous": Case(VideoResNet(NUM_CLASSES), False, precision),
    }


def precisions(precision: torch.dtype) -> dict[str, Case]:
    """Return one network in both precisions."""
    return {
        "float32": Case(VideoResNet(NUM_CLASSES)),
        "bfloat16": Case(VideoResNet(NUM_CLASSES), True, torch.bfloat16),
    }


def checkpointing(precision: torch.dtype) -> dict[str, Case]:
    """Return networks that compute the activations of more and more stages again."""
    cases = {"kept": Case(VideoResNet(NUM_CLASSES), True, precision)}
    for stages in (["res2"], ["res2", "res3"], ["res2", "res3", "res4", "res5"]):
        network = VideoResNet(NUM_CLASSES)
        for stage in stages:
            for residual in network.stages[stage].res_blocks:
                recompute(residual)
        cases[f"computed again in {', '.join(stages)}"] = Case(network, True, precision)
    return cases


def folding(precision: torch.dtype) -> dict[str, Case]:
    """Return a network with and without its batch norms folded into the convolutions before them."""
    network = paper_network("slow_r50_gc_all")(NUM_CLASSES)
    folded, number = fold_batch_norms(network)
    return {
        "slow_r50_gc_all": Case(network, True, precision),
        f"{number} norms folded": Case(folded, True, precision),
    }


def compilation(precision: torch.dtype) -> dict[str, Case]:
    """Return networks with and without context blocks, compiled and not."""
    cases = {}
    for name in ("slow_r50", "slow_r50_gc_all"):
        compiled = paper_network(name)(NUM_CLASSES)
        compiled.compile()
        cases |= {
            name: Case(paper_network(name)(NUM_CLASSES), True, precision),
            f"{name}, compiled": Case(compiled, True, precision),
        }
    return cases


SECTIONS: dict[str, Callable[[torch.dtype], dict[str, Case]]] = {
    "blocks": blocks,
    "pytorchvideo": beside_pytorchvideo,
    "formats": formats,
    "precisions": precisions,
    "checkpointing": checkpointing,
    "folding": folding,
    "compilation": compilation,
}


def _parser() -> argparse.ArgumentParser:
    parser = benchmark_parser(__doc__, rounds=7)
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1], help="clips at once (default: 1)")
    parser.add_argument(
        "--precision",
        nargs="+",
        default=["float32"],
        choices=["float32", "bfloat16"],
        help="(default: float32)",
    )
    add_save(parser)
    parser.add_argument("--num-frames", type=int, default=8, help="(default: 8)")
    parser.add_argument("--crop-size", type=int, default=224, help="(default: 224)")
    return parser


if __name__ == "__main__":
    main()
