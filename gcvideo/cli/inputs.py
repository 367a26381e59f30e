"""What commands on videos are given: video files, folders or lists of them, and a checkpoint."""

import logging
from argparse import ArgumentError
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from gcvideo.averaged import WeightsState, with_weights
from gcvideo.backbones.checkpoints import read_checkpoint
from gcvideo.backbones.checkpoints.configurations.ours import hyperparameters
from gcvideo.backbones.checkpoints.files import refuse_non_finite
from gcvideo.backbones.checkpoints.recognition import is_residual
from gcvideo.cli.run_classes import imported
from gcvideo.cli.trust import distrust, distrusted_name
from gcvideo.clip import VideoRecord
from gcvideo.data import VideoDataModule
from gcvideo.data.lists.annotations import read_videos
from gcvideo.keeping.checkpoint_file import read_training_state, require_whole
from gcvideo.memory import keep_freed_memory
from gcvideo.training import VideoClassifier
from gcvideo.video_files import SUFFIXES, is_hidden, is_video_name, picture_folders, video_names

log = logging.getLogger(__name__)

LIST_SUFFIXES = {".csv", ".txt"}
MOST_NAMED = 5
MAKER = "lightning.pytorch.cli.instantiate_module"
"""What makes classes of the hyperparameters in a checkpoint."""


def find_videos(paths: Iterable[Path], *, root: Path | None = None) -> Iterator[VideoRecord]:
    """Yield the videos that paths name.

    Of folders, these are all files below them that are named like a video, or, if there is none, all folders
    that hold pictures, which are its frames; of lists (.csv, .txt), all paths in them, or the segments that
    they name, relative to `root` or else to the list's own folder. Labels are of no account.

    Raises:
        ValueError: A path does not exist, or a folder or a list holds no video.
    """
    for path in paths:
        if path.is_dir():
            inside = [path / name for name in video_names(path)]
            if inside:
                _log_left_out(path)
            else:
                inside = picture_folders(path)
            if not inside:
                raise ValueError(
                    f"{path}: no video in this folder; looked for {' '.join(SUFFIXES)} and pictures"
                )
            yield from map(VideoRecord.unlabelled, inside)
        elif path.is_file() and path.suffix.lower() in LIST_SUFFIXES:
            yield from read_videos(path, root=root or path.parent)
        elif path.exists():
            yield VideoRecord.unlabelled(path)
        else:
            raise ValueError(f"{path}: no such file or folder")


def _log_left_out(folder: Path) -> None:
    """Log which files of a folder itself are not named like videos."""
    names = [entry.name for entry in folder.iterdir() if entry.is_file() and not is_hidden(entry.name)]
    others = sorted(name for name in names if not is_video_name(name))
    if others:
        named = ", ".join(others[:MOST_NAMED]) + (", ..." if len(others) > MOST_NAMED else "")
        log.info("%s: left out %d files that are not named like videos: %s", folder, len(others), named)


def unique_names(videos: Iterable[VideoRecord]) -> dict[VideoRecord, str]:
    """Name the files that are written of each video: its stem, numbered if another has the same.

    Those of a segment have its bounds behind the stem.
    """
    names: dict[VideoRecord, str] = {}
    taken: set[str] = set()
    for video in dict.fromkeys(videos):
        own = video.path.stem
        if video.segment is not None:
            own += f"_{video.segment}".replace("=", "_").replace(",", "-")
        name, number = own, 1
        while name in taken:
            number += 1
            name = f"{own}-{number}"
        taken.add(name)
        names[video] = name
    return names


def load(
    checkpoint: Path, *, device: str, state: WeightsState | None = None
) -> tuple[VideoClassifier, VideoDataModule]:
    """Load a classifier, ready to predict, and the data module whose clips and views it was trained with.

    Args:
        checkpoint: Of `gcvideo fit`.
        device: Where the network is to be.
        state: Which weights, of a training that averaged them.

    Raises:
        ValueError: The file is missing, damaged, not what `gcvideo fit` writes, or of weights that are nan;
            or torch cannot use the device here.
    """
    if not checkpoint.is_file():
        raise ValueError(f"{checkpoint}: no such checkpoint")
    stored = read_checkpoint(checkpoint, state=state)
    if "datamodule_hyper_parameters" not in stored.record:
        raise ValueError(
            f"{checkpoint}: holds weights alone; expected a checkpoint of `gcvideo fit`, which knows its "
            "network, classes and clips too"
        )
    require_whole(checkpoint)
    if is_residual(stored.state):  # others may mask with infinities
        refuse_non_finite(stored)
    place = usable_device(device)
    if place.type == "cpu":
        keep_freed_memory()
    distrust(checkpoint)
    try:
        of_model = _class_of("model", checkpoint, hyperparameters(stored.record, "hyper_parameters"))
        of_data = _class_of("data", checkpoint, hyperparameters(stored.record, "datamodule_hyper_parameters"))
        model = of_model.load_from_checkpoint(checkpoint, map_location=place, weights_only=True)
        data = of_data.load_from_checkpoint(checkpoint, weights_only=True)
        if state is not None:
            chosen = with_weights(read_training_state(checkpoint), state, file=checkpoint)
            model.load_state_dict(chosen["state_dict"])
    except ArgumentError as error:
        raise ValueError(_reason(error, checkpoint)) from error
    data.follow(model.class_names, checkpoint=checkpoint)
    return model.eval(), data


def _class_of(section: str, checkpoint: Path, values: Mapping[str, Any]) -> Any:
    """Return the class that hyperparameters are of; Lightning never imports one of the user's own.

    Raises:
        ValueError: Another function than Lightning's is to make it; it is not trusted, or not there.
    """
    if (maker := values.get("_instantiator", MAKER)) != MAKER:
        raise ValueError(
            f"{checkpoint}: is to be loaded by {maker}; expected {MAKER}, as `gcvideo fit` writes"
        )
    return imported(section, values.get("_class_path"))


def _reason(error: BaseException, checkpoint: Path) -> str:
    """Return in a line why classes could not be made, from the first cause."""
    if refused := distrusted_name(str(error)):
        return f"a class_path {refused}"
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{checkpoint}: cannot be loaded: {' '.join(str(error).split())}"


def usable_device(name: str) -> torch.device:
    """Return the device of this name; auto is a GPU if torch finds one.

    Raises:
        ValueError: Torch cannot compute on it here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError) as error:  # the latter from a build without the device
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"device {name!r} cannot be used here ({reason}); expected one that torch finds, as cpu or cuda:0"
        ) from error
    return device
