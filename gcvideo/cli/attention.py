"""`gcvideo attention`: what context blocks attend to, and how much that depends on the query position."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from jsonargparse import Namespace
from rich.box import SIMPLE_HEAD
from rich.table import Column, Table
from rich.text import Text
from torch import nn

from gcvideo.atomic import write_text
from gcvideo.attention import (
    TWO_FRAMES_BY_TWO_PLACES,
    DistanceTable,
    Drawing,
    Query,
    RecordedVideos,
    as_in_the_paper,
    as_markdown,
    as_text,
    choose_blocks,
    clip_distances,
    context_blocks,
    context_name,
    notes,
    plot_block,
    plot_network,
    stage_of,
)
from gcvideo.blocks import ContextBlock
from gcvideo.cells import quoted
from gcvideo.cli.arguments.attention import parser
from gcvideo.cli.inputs import find_videos, load, unique_names, usable_device
from gcvideo.cli.untrained import from_configs, without_overrides
from gcvideo.clip import VideoRecord
from gcvideo.data import VideoDataModule
from gcvideo.data.decoding import DecodeError
from gcvideo.run_folder import PLOT_OF_BLOCK, RunFolder
from gcvideo.terminal import Terminal
from gcvideo.training import VideoClassifier

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> None:
    """Measure and draw what `arguments` name."""
    own, overrides = without_overrides(arguments[1:])
    options = parser().parse_args(own)
    queries = [Query.parse(text) for text in options.query or ()] or TWO_FRAMES_BY_TWO_PLACES

    # Find the network, its blocks and stages, and the videos
    model, data = network_and_data(options, overrides)
    stages = {name: stage_of(model.network, name) for name in options.gradcam or ()}
    only_stages = stages and not options.blocks and not context_blocks(model.network)
    blocks = {} if only_stages else choose_blocks(model.network, options.blocks)
    measured, drawn = chosen_videos(data, options)
    out = options.out or default_folder(options.checkpoint)
    out.mkdir(parents=True, exist_ok=True)

    # Measure, then draw
    views = replace(data.test_views, num_clips=options.num_clips, num_crops=options.num_crops)
    watched = RecordedVideos(model, data, measured if blocks else [], views)
    measure_distances(watched, blocks, out, num_pairs=options.num_pairs, seed=options.seed)
    pictured = RecordedVideos(model, data, drawn, replace(data.test_views, num_clips=1, num_crops=1))
    draw(pictured, Drawing(model, out), blocks, stages, queries)

    # Name the videos that could not be read
    unreadable = dict.fromkeys([*watched.unreadable, *pictured.unreadable])
    if unreadable:
        raise DecodeError(f"{len(unreadable)} of the videos could not be read:\n  " + "\n  ".join(unreadable))


def network_and_data(options: Namespace, overrides: Sequence[str]) -> tuple[VideoClassifier, VideoDataModule]:
    """Load the network and the data of a checkpoint, or make those of config files before training."""
    if (options.checkpoint is None) == (options.config is None):
        raise ValueError("name a network with either --checkpoint or --config")
    if options.checkpoint is None:
        if options.weights.state is not None:
            raise ValueError("weights.state chooses between those of a --checkpoint; drop it")
        model, data = from_configs("gcvideo attention", options.config, overrides, seed=options.seed)
        return model.to(usable_device(options.device)), data
    if overrides:
        raise ValueError(f"{overrides[0]} overrides a --config; a checkpoint is taken as it is")
    return load(options.checkpoint, device=options.device, state=options.weights.state)


def measure_distances(
    watched: RecordedVideos, blocks: dict[str, ContextBlock], out: Path, *, num_pairs: int, seed: int
) -> None:
    """Measure the distances inside every block, and save them as a table."""
    table = DistanceTable()
    generator = torch.Generator().manual_seed(seed)
    for view in watched.views("distances", blocks):
        for name, block in blocks.items():
            x = view.inputs[name]
            found = clip_distances(block, x, num_pairs=num_pairs, generator=generator)
            table.add(name, context_name(block.context), tuple(x.shape[2:]), found)
    if table.rows:
        save(table, watched.notes(), out)


def draw(
    pictured: RecordedVideos,
    drawing: Drawing,
    blocks: dict[str, ContextBlock],
    stages: dict[str, nn.Module],
    queries: Sequence[Query],
) -> None:
    """Draw maps of every block, and Grad-CAM of every stage."""
    names = unique_names(pictured.records)
    for view in pictured.views("maps", blocks):
        drawing.draw_attention(view, names[view.record], blocks, queries)
        drawing.draw_grad_cam(view, names[view.record], stages)
    if names:
        num_videos = len(pictured.records)
        num_drawn = num_videos - len(pictured.unreadable)
        log.info("drew %d of %d videos in %s", num_drawn, num_videos, drawing.out)


def save(table: DistanceTable, said_of_videos: list[str], out: Path) -> None:
    """Write and print the table."""
    summary = table.summary()
    said = [*notes(summary), *said_of_videos]
    write_text(out / "distances.csv", summary.map(quoted).to_csv(index=False))
    write_text(out / "distances.md", as_markdown(summary, said))
    plot_network(summary, out / "distances.png")
    for block in summary["block"].unique():
        plot_block(summary, block, out / f"{PLOT_OF_BLOCK}{block}.png")
    print_means(as_in_the_paper(summary, "mean"), said)
    log.info("wrote distances.csv, distances.md and plots to %s", out)


def chosen_videos(
    data: VideoDataModule, options: Namespace
) -> tuple[Sequence[VideoRecord], Sequence[VideoRecord]]:
    """Return the videos to measure and those to draw; labels are of no account."""
    from_data: Sequence[VideoRecord] = []
    if options.num_videos != 0 or (options.maps and not options.videos):
        from_data = (
            list(find_videos([options.data], root=options.root))
            if options.data is not None
            else data.records("test")
        )
    measured = from_data[: options.num_videos]
    drawn = (
        list(find_videos(options.videos, root=options.root)) if options.videos else from_data[: options.maps]
    )
    return measured, drawn


def default_folder(checkpoint: Path | None) -> Path:
    """Return attention/ in the folder of the run that a checkpoint belongs to, else here."""
    run = RunFolder.of_checkpoint(checkpoint) if checkpoint is not None else None
    return (run or RunFolder(Path())).attention


def print_means(means: pd.DataFrame, said: Sequence[str]) -> None:
    """Print the means, one section a block, and what must be known of them."""
    numbers = (Column(name, justify="right") for name in means.columns[3:])
    printed = Table(
        Column("block", no_wrap=True),
        Column("pairs", no_wrap=True),
        *numbers,
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for _, rows in means.groupby("block", sort=False):
        titles = [Text(rows["block"].iloc[0], style="bold"), rows["context"].iloc[0], "", ""]
        for title, (_, _, pairs, *values) in zip(titles, rows.itertuples(index=False), strict=True):
            printed.add_row(title, pairs, *map(as_text, values))
        printed.add_section()
    console = Terminal()
    console.print(printed)
    for note in said:
        console.print(f"- {note}")
