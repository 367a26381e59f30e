"""`gcvideo predict`: the classes of videos, from a checkpoint alone."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.progress import Progress

from gcvideo.atomic import write_text
from gcvideo.cells import quoted
from gcvideo.cli.arguments.predict import parser
from gcvideo.cli.class_bars import class_bars
from gcvideo.cli.inputs import find_videos, load, unique_names
from gcvideo.cli.live import check_live, watch
from gcvideo.cli.options import (
    chosen_views,
    require_possible_views,
)
from gcvideo.cli.timeline_bar import TimelineBar
from gcvideo.data.decoding import DecodeError, FrameNames
from gcvideo.evaluation import MultiLabelTable, PredictionTable, Thresholds
from gcvideo.prediction.annotated import write_annotated
from gcvideo.prediction.predictors import Prediction, TimelinePredictor, VideoPredictor
from gcvideo.prediction.reading import UnreadableVideo
from gcvideo.prediction.timeline_plot import plot_timeline
from gcvideo.printable import printable, printable_lines
from gcvideo.terminal import Terminal, progress_bar
from gcvideo.training import VideoClassifier
from gcvideo.training.tasks import MultiLabel

log = logging.getLogger(__name__)

MOST_SHOWN = 100
"""Videos whose classes are printed; the files have them all."""
MOST_NAMED = 20
"""Unreadable videos named in the terminal; predictions.json has them all."""


def run(arguments: Sequence[str]) -> None:
    """Predict the videos that `arguments` name."""
    command = parser()
    options = command.parse_args(list(arguments[1:]))
    if not options.videos and options.live is None:
        command.error("videos must be given, or --live SOURCE")
    check(options)
    check_live(options, arguments)
    if options.live is not None:
        watch(options)
        return

    # Find the videos, the network and its views
    names = unique_names(find_videos(options.videos, root=options.root))
    if options.annotate and any(video.segment is not None for video in names):
        raise ValueError("annotate writes copies of whole videos, and a list names segments; leave it out")
    model, data = load(options.checkpoint, device=options.device, state=options.weights.state)
    views = chosen_views(options, data.test_views)
    thresholds = chosen_thresholds(options.threshold, model)
    if said := data.said_of_rates(list(names), of="these videos", opens=data.open_any):
        log.warning(said)
    if options.timeline:
        predict = TimelinePredictor(
            model, data, views, hop_seconds=options.hop_seconds, thresholds=thresholds
        )
    else:
        predict = VideoPredictor(model, data, views, num_workers=options.num_workers, thresholds=thresholds)

    # Predict, and draw and annotate on the way
    done: list[Prediction] = []
    unreadable: list[UnreadableVideo] = []
    with progress_bar() as progress:
        if isinstance(predict, TimelinePredictor):
            predict.report = TimelineBar(progress)
        for prediction in progress.track(predict(list(names)), total=len(names), description="predict"):
            if isinstance(prediction, UnreadableVideo):
                unreadable.append(prediction)
                continue
            done.append(prediction)
            name = names[prediction.video]
            if prediction.timeline is not None:
                plot_timeline(prediction.timeline, title=name, file=options.out / "timelines" / f"{name}.png")
            if options.annotate:
                try:
                    file = options.out / "annotated" / f"{name}.mp4"
                    annotate(prediction, file, progress, frames=data.frames)
                except DecodeError as error:  # in frames that the prediction did not need
                    reason = str(error).removeprefix(f"{prediction.video.path}: ")
                    unreadable.append(UnreadableVideo(prediction.video, f"has no annotated copy: {reason}"))

    # Write and print
    write(options.out, done, unreadable, table_of(model, thresholds))
    for prediction in done[:MOST_SHOWN]:
        print_prediction(prediction)
    log.info("wrote %d predictions to %s", len(done), options.out)
    if unreadable:
        raise DecodeError(complaint(unreadable, num_videos=len(names)))


def check(options: Any) -> None:
    """Refuse options that cannot be meant.

    Raises:
        ValueError: They exclude each other, or a value is impossible.
    """
    require_possible_views(options)
    if options.hop_seconds is not None and not options.timeline:
        raise ValueError("hop_seconds is given without timeline; add --timeline")
    if options.num_clips is not None and options.timeline:
        raise ValueError("num_clips is given with timeline, whose windows follow from hop_seconds; drop one")
    if options.out.suffix in (".csv", ".json") or options.out.is_file():
        raise ValueError(f"out is {options.out}; expected a folder, which gets predictions.csv and .json")


def chosen_thresholds(asked: float | Path | None, model: VideoClassifier) -> Thresholds | None:
    """Return above which probabilities classes are there; None for a network of one class a video.

    Raises:
        ValueError: One is asked for of such a network, or there is no such threshold.
    """
    if isinstance(model.task, MultiLabel):
        if isinstance(asked, Path):
            return Thresholds.read(asked, model.class_names)
        return Thresholds.even(len(model.class_names), *([] if asked is None else [asked]))
    if asked is not None:
        raise ValueError(
            f"threshold is {asked}, and the network was trained for one class a video (model.task "
            f"{model.task.name}), the likeliest; leave it out"
        )
    return None


def table_of(model: VideoClassifier, thresholds: Thresholds | None) -> PredictionTable:
    """Return an empty table of predictions."""
    return model.task.table() if thresholds is None else MultiLabelTable(model.class_names, thresholds)


def annotate(prediction: Prediction, file: Path, progress: Progress, *, frames: FrameNames) -> None:
    """Write an annotated copy of the video, under a progress bar of its own."""
    task = progress.add_task(f"annotate {file.name}", total=None)
    try:
        write_annotated(
            prediction.video.path,
            file,
            prediction.shown_at,
            frames=frames,
            report=lambda frames, of: progress.update(task, completed=frames, total=of),
        )
    finally:
        progress.remove_task(task)


def write(
    folder: Path,
    done: Sequence[Prediction],
    unreadable: Sequence[UnreadableVideo],
    table: PredictionTable,
) -> None:
    """Write predictions.csv and predictions.json; of timelines, every window in timeline.csv."""
    windows = []
    for prediction in done:
        table.add([prediction.video.video_id], prediction.probabilities[None])
        if prediction.timeline is not None:
            windows += prediction.timeline.rows(prediction.video.video_id)
    if done:
        table.write(folder / "predictions.csv")
    if windows:
        write_text(folder / "timeline.csv", pd.DataFrame(windows).map(quoted).to_csv(index=False))
    said = {
        "videos": [prediction.as_json() for prediction in done],
        "unreadable": [{"video": video.video_id, "reason": reason} for video, reason in unreadable],
    }
    write_text(folder / "predictions.json", json.dumps(said, indent=2) + "\n")


def print_prediction(prediction: Prediction) -> None:
    """Print a video's likeliest classes with bars; of a timeline, what is seen from when to when."""
    if prediction.timeline is None:
        lines = [("", name, probability) for name, probability in prediction.shown]
    else:
        lines = [
            (
                f"{clock(segment.start_seconds)} - {clock(segment.end_seconds)}",
                segment.name,
                segment.probability,
            )
            for segment in prediction.timeline.segments()
        ]
    console = Terminal()
    console.print(printable_lines(prediction.video.video_id), style="bold", soft_wrap=True)
    if not lines:
        likeliest = printable(prediction.top[0].name)
        console.print(f"no class is above its threshold; the likeliest is {likeliest}", markup=False)
    console.print(class_bars(lines))


def clock(seconds: float) -> str:
    """Return a time in minutes, seconds and tenths."""
    minutes, rest = divmod(round(seconds * 10), 600)
    return f"{minutes}:{rest / 10:04.1f}"


def complaint(unreadable: Sequence[UnreadableVideo], *, num_videos: int) -> str:
    """Say which videos could not be read."""
    reasons = [f"{video.video_id}: {reason}" for video, reason in unreadable]
    more = [f"and {len(reasons) - MOST_NAMED} more, in predictions.json"] if len(reasons) > MOST_NAMED else []
    return f"{len(reasons)} of {num_videos} videos could not be read:\n  " + "\n  ".join(
        [*reasons[:MOST_NAMED], *more]
    )
