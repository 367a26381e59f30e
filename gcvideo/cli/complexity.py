"""`gcvideo complexity`: what a network costs, or the five networks of the paper side by side."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from jsonargparse.typing import PositiveInt
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from gcvideo.analysis.complexity import Complexity, measure
from gcvideo.analysis.paper import PAPER_NOTE, PAPER_ROWS
from gcvideo.cli.parser import CommandParser
from gcvideo.cli.untrained import NUM_CLASSES, Configured, class_names, read_configs, without_overrides
from gcvideo.run_folder import RunFolder

log = logging.getLogger(__name__)

MEANINGS = {
    "num_classes": "Classes of the head",
    "num_frames": "Frames of a view",
    "crop_size": "Side of a view, in pixels",
    "num_views": "Views of a video",
}
DEFAULTS = {"num_classes": NUM_CLASSES, "num_frames": 8, "crop_size": 224, "num_views": 30}
"""The paper's."""


def parser() -> CommandParser:
    """The command's arguments."""
    arguments = CommandParser(
        prog="gcvideo complexity",
        description="Parameters, multiply-adds, forward time and peak memory of one network (--config) or "
        "of the five networks of the paper (--paper), as a table, complexity.csv and complexity.md. A run's "
        "own config.yaml will do; any key of config files can be given as --model.key or --data.key.",
    )
    arguments.add_argument("--config", action="append", type=str, help="Config file, as for fit; repeatable.")
    arguments.add_argument(
        "--paper",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="Measure the five rows of the paper's Kinetics table.",
    )
    arguments.add_argument("--out", type=Path, default=Path(), help="Folder to write to.")
    for name, meaning in MEANINGS.items():
        arguments.add_argument(
            f"--{name}",
            type=PositiveInt,
            help=f"{meaning}; that of the config files' data, or else {DEFAULTS[name]}.",
        )
    return arguments


def run(arguments: Sequence[str]) -> None:
    """Measure what `arguments` name, print it and save it."""
    own, overrides = without_overrides(arguments[1:])
    options = parser().parse_args(own)
    if options.paper == (options.config is not None):
        raise ValueError("name networks with either --config (with model.network in it) or --paper")
    asked = {name: options[name] for name in DEFAULTS if options[name] is not None}
    if options.paper:
        if overrides:
            raise ValueError(
                f"{overrides[0]} overrides a --config; the paper's networks are taken as they are"
            )
        networks, size = {name: row.network for name, row in PAPER_ROWS.items()}, DEFAULTS | asked
    else:
        configured = read_configs("gcvideo complexity", options.config, overrides)
        networks = {name_of(Path(options.config[-1])): configured.network}
        size = DEFAULTS | size_of_data(configured) | asked

    clip = (size["num_frames"], size["crop_size"], size["crop_size"])
    measured = {
        name: measure(build(size["num_classes"]), clip)
        for name, build in track(networks.items(), description="measure")
    }
    frame = tabulate(measured, num_views=size["num_views"])
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


def name_of(config: Path) -> str:
    """Return the name of a run for its config.yaml, and else the file's own."""
    run = RunFolder(config.parent)
    return run.path.resolve().name if config == run.config else config.stem


def size_of_data(configured: Configured) -> dict[str, int]:
    """Return what config files say of classes, clips and views."""
    if not configured.names_data:
        return {}
    data, views, names = configured.data, configured.data.test_views, class_names(configured.data)
    size = {"num_frames": data.clip.num_frames, "crop_size": views.crop_size}
    size["num_views"] = views.num_clips * views.num_crops
    return size | ({"num_classes": len(names)} if names else {})


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
