"""`gcvideo report`: one HTML page on one or several runs."""

import logging
from collections.abc import Sequence
from pathlib import Path

from gcvideo.cli.arguments.report import parser
from gcvideo.cli.inputs import load
from gcvideo.clip import Segment, VideoRecord
from gcvideo.complexity import Complexity, Subject, measure_complexity
from gcvideo.data import VideoDataModule
from gcvideo.data.decoding import DecodeError
from gcvideo.report import Cost, Quartiles, Run, read_run, write_report
from gcvideo.report.page import MOST_MISTAKES
from gcvideo.report.run import task_of
from gcvideo.report.thumbnails import thumbnail
from gcvideo.run_folder import RunFolder
from gcvideo.terminal import progress_bar

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> None:
    """Write the report that `arguments` ask for."""
    options = parser().parse_args(list(arguments[1:]))
    runs = [read_run(folder) for folder in options.runs]
    distinguish(runs)
    require_one_task(runs)
    subjects: dict[str, Subject] = {}
    with progress_bar(transient=True) as progress:
        for one in progress.track(runs, description="look into runs"):
            if one.checkpoint is not None:
                subjects[one.name] = look_into(one, one.checkpoint)
        if options.cost and subjects:
            costs = measure_complexity(
                subjects, track=lambda steps, doing: progress.track(steps, description=doing)
            )
            first = next(iter(costs.values()))
            for one in runs:
                if one.name in costs:
                    one.cost = cost_of(costs[one.name], first)
    out = options.out or RunFolder(runs[0].folder if len(runs) == 1 else Path()).report
    write_report(runs, out)
    log.info("wrote %s", out)


def cost_of(measured: Complexity, first: Complexity) -> Cost:
    """Return what was measured as the report shows it, the time beside that of the first."""
    size = measured.size
    return Cost(
        size.clip,
        size.parameters,
        size.flops_per_view,
        size.inference_bytes,
        size.training_bytes,
        forward_seconds=Quartiles(*measured.forward()),
        times_as_long=Quartiles(*measured.times_as_long(first)),
    )


def distinguish(runs: Sequence[Run]) -> None:
    """Call runs of one name by their whole path."""
    names = [one.name for one in runs]
    for one in runs:
        if names.count(one.name) > 1:
            one.name = str(one.folder)


def require_one_task(runs: Sequence[Run]) -> None:
    """Raise ValueError where the videos of one run have several labels, and those of another one."""
    of_task = {task_of(one.config): one.name for one in runs}
    if len(of_task) > 1:
        named = " and ".join(f"{name} {task}" for task, name in of_task.items())
        raise ValueError(f"model.task of {named}: they have no figure in common; write a report on each")


def look_into(one: Run, checkpoint: Path) -> Subject:
    """Fill in pictures of what the run mistook, where its videos are; return its network and its view."""
    model, data = load(checkpoint, device="cpu")
    mistakes = one.mistakes().head(MOST_MISTAKES)
    if len(mistakes):
        one.thumbnails = thumbnails(mistakes["video"].unique().tolist(), data)
    size = data.test_views.crop_size
    return Subject(model.network, (data.clip.num_frames, size, size))


def thumbnails(videos: Sequence[str], data: VideoDataModule) -> dict[str, str]:
    """Return pictures of those videos that are where the run found them."""
    pictures = {}
    for video in videos:
        try:
            path, segment = Segment.of_name(video)
            record = VideoRecord.unlabelled(data.split_lists.videos / path, segment)
            pictures[video] = thumbnail(record, data.open_any)
        except DecodeError as error:
            log.info("no picture: %s", error)
    return pictures
