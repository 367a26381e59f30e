"""`gcvideo complexity`: what a network costs, or the five networks of the paper side by side."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from torch import nn

from gcvideo.analysis.complexity import Complexity, measure
from gcvideo.analysis.paper import PAPER_NOTE, PAPER_ROWS
from gcvideo.cli.parser import CommandParser
from gcvideo.training import VideoClassifier

log = logging.getLogger(__name__)


def parser() -> CommandParser:
    """The command's arguments."""
    arguments = CommandParser(
        prog="gcvideo complexity",
        description="Parameters, multiply-adds, forward time and peak memory of one network (--config) or "
        "of the five networks of the paper (--paper), as a table, complexity.csv and complexity.md.",
    )
    arguments.add_argument("--config", action="config", help="Config files, as for fit.")
    arguments.add_argument(
        "--paper",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="Measure the five rows of the paper's Kinetics table.",
    )
    arguments.add_argument("--out", type=Path, default=Path(), help="Folder to write to.")
    arguments.add_argument("--num_classes", type=int, default=400, help="Classes of the head.")
    arguments.add_argument("--num_frames", type=int, default=8, help="Frames of a view.")
    arguments.add_argument("--crop_size", type=int, default=224, help="Side of a view, in pixels.")
    arguments.add_argument("--num_views", type=int, default=30, help="Views of a video.")
    arguments.add_class_arguments(
        VideoClassifier, "model", instantiate=False, skip={"class_names", "network"}
    )
    arguments.add_argument("--model.network", type=Callable[[int], nn.Module] | None, default=None)
    for unused in ("trainer", "data", "seed_everything", "checkpoint", "safeguard"):
        arguments.add_argument(f"--{unused}", help="Accepted from config files, not used.")
    return arguments


def run(arguments: Sequence[str]) -> None:
    """Measure what `arguments` name, print it and save it."""
    command = parser()
    options = command.parse_args(list(arguments[1:]))
    if options.paper == (options.model.network is not None):
        raise ValueError("name networks with either --config (with model.network in it) or --paper")
    if options.paper:
        networks = {name: row.network for name, row in PAPER_ROWS.items()}
    else:
        network = command.instantiate_classes(options)["model"]["network"]
        networks = {Path(str(options.config[-1])).stem: network}

    clip = (options.num_frames, options.crop_size, options.crop_size)
    measured = {
        name: measure(build(options.num_classes), clip)
        for name, build in track(networks.items(), description="measure")
    }
    frame = tabulate(measured, num_views=options.num_views)
    if options.paper:
        frame = beside_the_paper(frame)
    notes = notes_on(measured, paper=options.paper)
    show(frame, notes)
    options.out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(options.out / "complexity.csv", index=False)
    (options.out / "complexity.md").write_text(
        frame.to_markdown(index=False) + "\n\n" + "\n".join(f"- {note}" for note in notes) + "\n"
    )
    log.info("wrote complexity.csv and complexity.md to %s", options.out)


def tabulate(measured: dict[str, Complexity], *, num_views: int) -> pd.DataFrame:
    """One row per network; what is added is relative to the first."""
    baseline = next(iter(measured.values()))
    rows = []
    for name, cost in measured.items():
        row = {
            "network": name,
            "params_M": round(cost.parameters / 1e6, 3),
            "GFLOPs_per_view": round(cost.flops_per_view / 1e9, 3),
            "views": num_views,
            "GFLOPs_per_video": round(cost.flops_per_view * num_views / 1e9, 1),
            "forward_ms": round(cost.forward_seconds * 1e3),
            "peak_MiB": round(cost.peak_bytes / 2**20, 1),
        }
        if len(measured) > 1:
            row["added_params_M"] = round((cost.parameters - baseline.parameters) / 1e6, 3)
            row["added_GFLOPs"] = round((cost.flops_per_view - baseline.flops_per_view) / 1e9, 3)
        rows.append(row)
    return pd.DataFrame(rows)


def beside_the_paper(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with the figures that the paper prints."""
    rows = [PAPER_ROWS[name] for name in frame["network"]]
    return frame.assign(
        paper_params_M=[row.parameters_millions for row in rows],
        paper_GFLOPs=[row.gflops for row in rows],
        paper_added_GFLOPs=[round(row.gflops - rows[0].gflops, 2) for row in rows],
        paper_top1=[row.top1 for row in rows],
    )


def notes_on(measured: dict[str, Complexity], *, paper: bool) -> list[str]:
    """What a reader must know of the figures: the view, the operators left out, where the paper differs."""
    clip = next(iter(measured.values())).clip
    uncounted = {operator.removeprefix("aten::") for cost in measured.values() for operator in cost.uncounted}
    notes = [
        f"A view is {clip[0]} x {clip[1]} x {clip[2]}; one FLOP is one multiply-add of a convolution or a "
        "matrix product.",
        f"Operators that are not counted: {', '.join(sorted(uncounted))}.",
        f"Forward time (median of 3) and peak memory of intermediate results: one view, {device_name()}, "
        f"torch {torch.__version__}.",
    ]
    return [*notes, PAPER_NOTE] if paper else notes


def device_name() -> str:
    """The device that was measured, with the number of threads of a CPU."""
    return f"CPU, {torch.get_num_threads()} threads"


def show(frame: pd.DataFrame, notes: Sequence[str]) -> None:
    """Print the table, networks across and figures down, which fits a terminal."""
    # Spaces, where a narrow terminal may break the names of the columns.
    printed = Table(Column("", no_wrap=True), *frame["network"].str.replace("_", " "))
    for column in frame.columns.drop("network"):
        printed.add_row(column, *(f"{value:g}" for value in frame[column]))
    console = Console()
    console.print(printed)
    for note in notes:
        console.print(f"- {note}", highlight=False)
