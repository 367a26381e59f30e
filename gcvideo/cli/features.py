"""`gcvideo features`: what a network's last layer reads, for every video or clip."""

import logging
from collections.abc import Sequence
from dataclasses import asdict

from gcvideo.atomic import write_text
from gcvideo.cli.arguments.features import parser
from gcvideo.cli.inputs import find_videos, load
from gcvideo.cli.options import (
    chosen_views,
    require_possible_views,
)
from gcvideo.data.decoding import DecodeError
from gcvideo.data.on_device import OnDevice
from gcvideo.prediction.features import FeatureFile, VideoFeatures, clip_features
from gcvideo.prediction.reading import UnreadableVideo, read_views
from gcvideo.terminal import progress_bar

log = logging.getLogger(__name__)

MOST_NAMED = 20


def run(arguments: Sequence[str]) -> None:
    """Extract the features that `arguments` ask for."""
    options = parser().parse_args(list(arguments[1:]))
    require_possible_views(options)

    # Find the videos, the network and its views
    videos = list(dict.fromkeys(find_videos(options.videos, root=options.root)))
    model, data = load(options.checkpoint, device=options.device, state=options.weights.state)
    views = chosen_views(options, data.test_views)

    # Open the file, which may be begun already
    status = options.checkpoint.stat()
    settings = {
        "checkpoint": options.checkpoint.resolve(),
        "written": status.st_mtime_ns,
        "views": asdict(views),
    }
    file = FeatureFile(options.out, per=options.per, settings=settings, videos=videos)

    # Compute the features that are missing, part by part
    on_device = OnDevice(data, model.device)
    with progress_bar() as progress:
        missing = file.missing()
        task = progress.add_task(
            "features", total=len(videos), completed=len(videos) - sum(map(len, missing))
        )
        for part in missing:
            rows: list[VideoFeatures | UnreadableVideo] = []
            for video in read_views(part, data, views, num_workers=options.num_workers):
                if not isinstance(video, UnreadableVideo):
                    features = clip_features(
                        model.network,
                        on_device.views(video.frames)[0],
                        num_crops=views.num_crops,
                        views_per_forward=model.views_per_forward,
                    )
                    rows.append(VideoFeatures(video.video, features, video.spans))
                else:
                    rows.append(video)
                progress.advance(task)
            file.write_part(rows, part[0])

    # Join the parts, and name the videos that could not be read
    unreadable = file.finish()
    log.info("wrote features of %d videos to %s", len(videos) - len(unreadable), options.out)
    if unreadable:
        listed = options.out.with_name(f"{options.out.name}.unreadable.txt")
        write_text(listed, "\n".join(unreadable) + "\n")
        more = f"\n  and {len(unreadable) - MOST_NAMED} more" if len(unreadable) > MOST_NAMED else ""
        raise DecodeError(
            f"{len(unreadable)} of {len(videos)} videos could not be read ({listed}):\n  "
            + "\n  ".join(unreadable[:MOST_NAMED])
            + more
        )
