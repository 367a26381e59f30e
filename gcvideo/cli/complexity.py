"""`gcvideo complexity`: what a network costs, or the five networks of the paper side by side."""

import importlib
import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import pandas as pd
import torch
import yaml
from rich.table import Column, Table

from gcvideo.atomic import write_text
from gcvideo.backbones.layout import to_channels_last
from gcvideo.cells import quoted
from gcvideo.cli.arguments.complexity import DEFAULTS, parser
from gcvideo.cli.config_files import config_files
from gcvideo.cli.inputs import usable_device
from gcvideo.cli.untrained import Configured, class_names, read_configs, without_overrides
from gcvideo.complexity import ROUNDS, Complexity, Subject, measure_complexity
from gcvideo.complexity.paper import PAPER_NOTES, PAPER_ROWS, paper_network
from gcvideo.memory import keep_freed_memory
from gcvideo.run_folder import RunFolder
from gcvideo.terminal import Terminal, progress_bar

log = logging.getLogger(__name__)

PAPER_ON_IMAGES = "gcvideo.images.cli.complexity"
"""What prints the other tables of the paper, beside the video line."""


def run(arguments: Sequence[str]) -> None:
    """Measure what `arguments` name, print it and save it."""
    if any(pair == ("--paper", "images") for pair in pairwise(arguments)):
        importlib.import_module(PAPER_ON_IMAGES).run(arguments)
        return
    own, overrides = without_overrides(arguments[1:])
    options = parser().parse_args(own)
    if options.paper == (options.config is not None):
        raise ValueError("name networks with either --config (with model.network in it) or --paper")

    # Networks, and how large their views are
    asked = {name: options[name] for name in DEFAULTS if options[name] is not None}
    if options.paper:
        if overrides:
            raise ValueError(
                f"{overrides[0]} overrides a --config; the paper's networks are taken as they are"
            )
        networks, size = {row: paper_network(row) for row in PAPER_ROWS}, DEFAULTS | asked
        channels_last = True
    else:
        configured = read_configs("gcvideo complexity", options.config, overrides)
        networks = {name_of(options.config): configured.network}
        size = DEFAULTS | size_of_data(configured) | asked
        channels_last = configured.channels_last

    device = usable_device(options.device)
    options.out.mkdir(parents=True, exist_ok=True)  # or an error, before minutes of measuring

    # Build and measure
    clip = (size["num_frames"], size["crop_size"], size["crop_size"])
    keep_freed_memory()
    subjects = {
        name: Subject(build(size["num_classes"]).to(device), clip) for name, build in networks.items()
    }
    for subject in subjects.values() if channels_last else ():
        to_channels_last(subject.network)
    with progress_bar(transient=True) as progress:
        measured = measure_complexity(
            subjects, track=lambda steps, description: progress.track(steps, description=description)
        )

    # Print and save
    frame = tabulate(measured, num_views=size["num_views"])
    if options.paper:
        frame = beside_the_paper(frame)
    notes = notes_on(measured, device, num_classes=size["num_classes"], paper=options.paper)
    print_rows(frame, notes)
    listed = "\n".join(f"- {note}" for note in notes)
    write_text(options.out / "complexity.csv", frame.map(quoted).to_csv(index=False))
    write_text(options.out / "complexity.md", f"{frame.to_markdown(index=False)}\n\n{listed}\n")
    log.info("wrote complexity.csv and complexity.md to %s", options.out)


def name_of(configs: Sequence[str]) -> str:
    """Join the names of the files that say what the network is; a run's config.yaml has the run's name."""
    names = []
    for file in filter(Path.is_file, config_files([f"--config={config}" for config in configs])):
        run, content = RunFolder(file.parent), yaml.safe_load(file.read_text())
        if "network" in (content.get("model") or {}):
            names.append(run.path.resolve().name if file == run.config else file.stem)
    return "_".join(names) or "network"


def size_of_data(configured: Configured) -> dict[str, int]:
    """Return what config files say of classes, clips and views."""
    if not configured.names_data:
        return {}
    data, views, names = configured.data, configured.data.test_views, class_names(configured.data)
    size = {"num_frames": data.clip.num_frames, "crop_size": views.crop_size}
    size["num_views"] = views.num_clips * views.num_crops
    return size | ({"num_classes": len(names)} if names else {})


def tabulate(measured: Mapping[str, Complexity], *, num_views: int) -> pd.DataFrame:
    """Return one row per network; what it adds, and how many times as long it takes, is beside the first.

    The quartiles are those of the times, or of the ratios, of single rounds.
    """
    baseline = next(iter(measured.values()))
    rows = []
    for name, cost in measured.items():
        # Its own cost
        size, forward = cost.size, cost.forward()
        row: dict[str, str | float] = {
            "network": name,
            "params_M": round(size.parameters / 1e6, 3),
            "GFLOPs_per_view": round(size.flops_per_view / 1e9, 3),
            "views_per_video": num_views,
            "GFLOPs_per_video": round(size.flops_per_view * num_views / 1e9, 1),
            "forward_ms": _significant(forward.median * 1e3),
            "forward_ms_q1": _significant(forward.lower * 1e3),
            "forward_ms_q3": _significant(forward.upper * 1e3),
            "inference_peak_MiB": round(size.inference_bytes / 2**20, 1),
            "training_peak_MiB": round(size.training_bytes / 2**20, 1),
        }
        # Beside the first
        if len(measured) > 1:
            ratio = cost.times_as_long(baseline)
            row["added_params_M"] = round((size.parameters - baseline.size.parameters) / 1e6, 3)
            row["added_GFLOPs_per_view"] = round(
                (size.flops_per_view - baseline.size.flops_per_view) / 1e9, 3
            )
            row["forward_ratio"] = round(ratio.median, 3)
            row["forward_ratio_q1"] = round(ratio.lower, 3)
            row["forward_ratio_q3"] = round(ratio.upper, 3)
        rows.append(row)
    return pd.DataFrame(rows)


def _significant(milliseconds: float) -> float:
    return float(f"{milliseconds:.3g}")


def beside_the_paper(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the figures that the paper prints."""
    rows = [PAPER_ROWS[name] for name in frame["network"]]
    return frame.assign(
        paper_params_M=[row.parameters_millions for row in rows],
        paper_GFLOPs_per_view=[row.gflops for row in rows],
        paper_added_GFLOPs_per_view=[round(row.gflops - rows[0].gflops, 2) for row in rows],
        paper_top1_percent=[row.top1 for row in rows],
    )


def notes_on(
    measured: Mapping[str, Complexity], device: torch.device, *, num_classes: int, paper: bool
) -> list[str]:
    """Return what a reader must know of the figures: view, uncounted operators, where the paper differs."""
    size = next(iter(measured.values())).size
    uncounted = {op.removeprefix("aten::") for cost in measured.values() for op in cost.size.uncounted}
    view = " x ".join(map(str, size.clip))
    on_gpu = device.type == "cuda"
    notes = [
        f"A view is {view}, and the head has {num_classes} classes; one FLOP is one multiply-add of a "
        "convolution or a matrix product.",
        f"Operators that are not counted: {', '.join(sorted(uncounted))}.",
        f"Time: one forward pass of one view without gradients, {device_name(device)}, torch "
        f"{torch.__version__}; median and quartiles (q1, q3) of {ROUNDS} rounds after a warm-up"
        + (", by the events of CUDA, with its caches cleared before each call." if on_gpu else "."),
        "Peak memory: what results of operators hold at once on one view, without weights and optimizer and "
        f"{'with' if on_gpu else 'without'} scratch space of kernels. Training is forward, cross-entropy and "
        "backward, with the gradients.",
    ]
    if len(measured) > 1:
        notes.append(
            "In a round the networks take turns; a ratio is that to the first network's time in the same "
            "round. One whose quartiles lie on either side of 1 is no difference."
        )
    return [*notes, *PAPER_NOTES] if paper else notes


def device_name(device: torch.device) -> str:
    """Name the device that was measured: a GPU's card with its memory, a CPU with its number of threads."""
    if device.type != "cuda":
        return f"{device.type.upper()}, {torch.get_num_threads()} threads"
    card = torch.cuda.get_device_properties(device)
    cuda = f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    tf32 = "may use" if torch.backends.cudnn.allow_tf32 else "do not use"
    return (
        f"{card.name} of {card.total_memory / 2**30:.0f} GiB, {cuda}, float32 whose convolutions {tf32} TF32"
    )


def print_rows(frame: pd.DataFrame, notes: Sequence[str]) -> None:
    """Print the table, networks across and figures down, which fits a terminal."""
    # Spaces, where a narrow terminal may break the names of the columns.
    printed = Table(Column("", no_wrap=True), *frame["network"].str.replace("_", " "))
    for column in frame.columns.drop("network"):
        printed.add_row(column, *(f"{value:g}" for value in frame[column]))
    console = Terminal()
    console.print(printed)
    for note in notes:
        console.print(f"- {note}")
