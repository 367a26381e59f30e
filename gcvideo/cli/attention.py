"""`gcvideo attention`: what context blocks attend to, and how much that depends on the query position."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Column, Table

from gcvideo.analysis.attention import (
    DistanceTable,
    WatchedVideos,
    as_in_the_paper,
    as_text,
    choose_blocks,
    clip_distances,
    context_name,
    notes,
)
from gcvideo.cli.inputs import find_videos, load
from gcvideo.cli.parser import CommandParser
from gcvideo.cli.run import CHECKPOINTS
from gcvideo.cli.untrained import from_configs
from gcvideo.clip import VideoRecord
from gcvideo.data import KineticsDataModule

log = logging.getLogger(__name__)


def parser() -> CommandParser:
    """The command's arguments."""
    arguments = CommandParser(
        prog="gcvideo attention",
        description="Measure how far apart positions are in the input, the context and the attention of "
        "every context block (GCNet, table 1), over a data set: over all pairs of positions, over those of "
        "one frame, of one place, and of neither. Takes a checkpoint, or the config files of a network, "
        "which is measured as it is initialised; of those any key can be given as --model.key or --data.key.",
    )
    arguments.add_argument("--checkpoint", type=Path | None, help="Checkpoint written by `gcvideo fit`.")
    arguments.add_argument("--config", action="append", type=str, help="Config file, as for fit; repeatable.")
    arguments.add_argument(
        "--data",
        type=Path | None,
        help="Folder, list (.csv, .txt) or file of videos; by default the test set of the checkpoint or "
        "the config files.",
    )
    arguments.add_argument(
        "--root", type=Path | None, help="Folder that a list's paths are relative to; else the list's own."
    )
    arguments.add_argument(
        "--num_videos", type=int | None, help="Videos to measure, the first ones; all if unset, 0 for none."
    )
    arguments.add_argument("--num_clips", type=int, default=1, help="Clips per video.")
    arguments.add_argument("--num_crops", type=int, default=1, help="Crops per clip.")
    arguments.add_argument(
        "--blocks", type=str, nargs="+", help="Context blocks to look at, as res4.3; all if unset."
    )
    arguments.add_argument(
        "--num_pairs",
        type=int,
        default=2000,
        help="Pairs of each kind that the Jensen-Shannon divergence of a clip is taken over.",
    )
    arguments.add_argument(
        "--out", type=Path | None, help="Folder to write to; by default attention/ in the run's folder."
    )
    arguments.add_argument(
        "--seed", type=int, default=0, help="What pairs, and weights before training, are drawn from."
    )
    arguments.add_argument(
        "--device",
        type=str,
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="Where the network runs, as torch names it.",
    )
    return arguments


def run(arguments: Sequence[str]) -> None:
    """Measure what `arguments` name, print it and save it."""
    own, overrides = without_overrides(arguments[1:])
    options = parser().parse_args(own)
    if (options.checkpoint is None) == (options.config is None):
        raise ValueError("name a network with either --checkpoint or --config")
    if options.checkpoint is not None and overrides:
        raise ValueError(f"{overrides[0]} overrides a --config; a checkpoint is taken as it is")

    if options.checkpoint is not None:
        model, data = load(options.checkpoint, device=options.device)
    else:
        model, data = from_configs("gcvideo attention", options.config, overrides, seed=options.seed)
        model.to(options.device)
    blocks = choose_blocks(model.network, options.blocks)
    out = options.out or default_folder(options.checkpoint)
    out.mkdir(parents=True, exist_ok=True)

    videos = records(data, options.data, root=options.root)[: options.num_videos]
    views = replace(data.test_views, num_clips=options.num_clips, num_crops=options.num_crops)
    watched = WatchedVideos(model, data, data.evaluation_dataset(videos, views))
    generator = torch.Generator().manual_seed(options.seed)
    table = DistanceTable()
    for view in watched.views("distances", blocks):
        for name, block in blocks.items():
            x = view.inputs[name]
            found = clip_distances(block, x, num_pairs=options.num_pairs, generator=generator)
            table.add(name, context_name(block.context), tuple(x.shape[2:]), found)
    if table.rows:
        save(table, watched.notes(), out)
    watched.complain()


def save(table: DistanceTable, said_of_videos: list[str], out: Path) -> None:
    """Write and print the table."""
    summary = table.summary()
    said = [*notes(summary), *said_of_videos]
    means, spreads = as_in_the_paper(summary, "mean"), as_in_the_paper(summary, "std")
    summary.to_csv(out / "distances.csv", index=False)
    (out / "distances.md").write_text(as_markdown(means, spreads, said))
    show(means, said)
    log.info("wrote distances.csv and distances.md to %s", out)


def as_markdown(means: pd.DataFrame, spreads: pd.DataFrame, said: Sequence[str]) -> str:
    """The table with the standard deviations over clips, and what must be known of it."""
    table = means.copy()
    for column in means.columns[3:]:
        table[column] = [
            f"{as_text(mean)} ± {as_text(spread)}" if spread > 0 else as_text(mean)
            for mean, spread in zip(means[column], spreads[column], strict=True)
        ]
    said = [*said, "± is the standard deviation over clips."]
    return table.to_markdown(index=False) + "\n\n" + "\n".join(f"- {note}" for note in said) + "\n"


def without_overrides(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own arguments, and those that override keys of config files."""
    own: list[str] = []
    overrides: list[str] = []
    chosen = own
    for argument in arguments:
        if argument.startswith("-"):
            chosen = overrides if argument.startswith(("--model.", "--data.")) else own
        chosen.append(argument)
    return own, overrides


def records(data: KineticsDataModule, source: Path | None, *, root: Path | None) -> list[VideoRecord]:
    """The videos of a folder or list, or else the test set; labels are of no account."""
    if source is None:
        return data.records("test")
    return [VideoRecord(path, 0, str(path)) for path in find_videos([source], root=root)]


def default_folder(checkpoint: Path | None) -> Path:
    """attention/ in the folder of the run that a checkpoint belongs to, else here."""
    if checkpoint is not None and checkpoint.parent.name == CHECKPOINTS:
        return checkpoint.parent.parent / "attention"
    return Path("attention")


def show(means: pd.DataFrame, said: Sequence[str]) -> None:
    """Print the means, one section a block, and what must be known of them."""
    numbers = (Column(name, justify="right") for name in means.columns[3:])
    printed = Table(Column("block", no_wrap=True), "pairs", *numbers)
    for _, rows in means.groupby("block", sort=False):
        titles = [f"[bold]{rows['block'].iloc[0]}", rows["context"].iloc[0], "", ""]
        for title, (_, _, pairs, *values) in zip(titles, rows.itertuples(index=False), strict=True):
            printed.add_row(title, pairs, *map(as_text, values))
        printed.add_section()
    console = Console()
    console.print(printed)
    for note in said:
        console.print(f"- {note}", highlight=False)
