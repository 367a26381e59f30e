"""`gcvideo predict`: the five likeliest classes of videos, from a checkpoint alone."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from lightning.pytorch.utilities import move_data_to_device
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from gcvideo.cli.inputs import find_videos, load
from gcvideo.cli.parser import CommandParser
from gcvideo.clip import VideoRecord
from gcvideo.data.dataset import collate
from gcvideo.data.decoding import DecodeError
from gcvideo.evaluation import PredictionTable

log = logging.getLogger(__name__)


def parser() -> CommandParser:
    """The command's arguments."""
    arguments = CommandParser(
        prog="gcvideo predict",
        description="Print and save the five likeliest classes of video files. The network, its class "
        "names and the views come from the checkpoint. Videos that cannot be read are named at the end "
        "and make the exit code 1; the others are done.",
    )
    arguments.add_argument("videos", nargs="+", type=Path, help="Video files, or folders of them.")
    arguments.add_argument(
        "--checkpoint", type=Path, required=True, help="Checkpoint written by `gcvideo fit`."
    )
    arguments.add_argument("--out", type=Path, default=Path("predictions.csv"), help="CSV file to write.")
    arguments.add_argument(
        "--num_clips",
        type=int | None,
        default=None,
        help="Clips per video; the checkpoint's if unset.",
    )
    arguments.add_argument(
        "--num_crops",
        type=int | None,
        default=None,
        help="Crops per clip; the checkpoint's if unset.",
    )
    arguments.add_argument(
        "--device",
        type=str,
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="Where the network runs, as torch names it.",
    )
    return arguments


def run(arguments: Sequence[str]) -> None:
    """Predict the videos that `arguments` name."""
    options = parser().parse_args(list(arguments[1:]))
    videos = list(find_videos(options.videos))
    model, data = load(options.checkpoint, device=options.device)
    views = data.test_views
    views = replace(
        views,
        num_clips=options.num_clips or views.num_clips,
        num_crops=options.num_crops or views.num_crops,
    )
    records = [VideoRecord(path, 0, str(path)) for path in videos]
    dataset = data.evaluation_dataset(records, views)

    table = PredictionTable(model.class_names)
    unreadable: list[str] = []
    for index in track(range(len(dataset)), description="predict"):
        try:
            batch = collate([dataset[0, index]])
        except DecodeError as error:
            unreadable.append(str(error))
            continue
        with torch.inference_mode():
            transform = data.device_transform(training=False).to(model.device)
            probabilities = model(transform(move_data_to_device(batch, model.device)).views)
        table.add(batch.video_id, probabilities)

    if table.rows:
        show(table)
        table.write(options.out)
        log.info("wrote %d rows to %s", len(table.rows), options.out)
    if unreadable:
        raise DecodeError(
            f"{len(unreadable)} of {len(videos)} videos could not be read:\n  " + "\n  ".join(unreadable)
        )


def show(table: PredictionTable) -> None:
    """Print the likeliest classes of every video as a table."""
    printed = Table(Column("video", overflow="fold"), Column("top-5 classes", no_wrap=True))
    for row in table.rows:
        classes = [
            f"{row[f'top{rank}_probability']:6.1%}  {row[f'top{rank}']}"
            for rank in range(1, 6)
            if f"top{rank}" in row
        ]
        printed.add_row(str(row["video"]), "\n".join(classes))
    Console().print(printed)
