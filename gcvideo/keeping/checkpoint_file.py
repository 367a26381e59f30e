"""Write checkpoint files that are whole or absent, and tell them from damaged ones."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from torch import Tensor

from gcvideo.archive import examine
from gcvideo.atomic import replacing
from gcvideo.averaged import WeightsState, with_weights
from gcvideo.keeping.stopping import uninterrupted

MOST_NAMED = 3
CLOCK_SECONDS = 2.0
"""How far apart changes of a file must be for its time stamp to show them, on any file system."""

_whole: set[tuple[int, int, int, int]] = set()
"""Files that were found whole, by device, number, size and time of the last change."""

NAMES_CODE = (
    "names code that loading it would run; nothing was loaded; expected tensors and plain values, as "
    "`gcvideo fit` writes them"
)


class CheckpointFiles(TorchCheckpointIO):
    """Write a checkpoint beside its name, onto the disk, and only then give it the name.

    The file is what torch.save writes: a zip archive, which ends with its table of contents and holds a
    CRC-32 of every tensor. `require_whole` checks both. An older file of the name stays until the new one is
    whole, and for ever if the new one cannot be written.

    Args:
        require_folder: Called right before a checkpoint is written, and if writing fails; raises if the run's
            folder is not in its place any more, so that no other one of that name is begun.
        state: Which weights are read of a checkpoint that holds raw and averaged ones.
    """

    def __init__(
        self, require_folder: Callable[[], None] | None = None, *, state: WeightsState | None = None
    ) -> None:
        super().__init__()
        self.state: WeightsState | None = state
        self.require_folder = require_folder or (lambda: None)

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to `path`; when this returns it survives a loss of power.

        Raises:
            OSError: The file cannot be written; one of that name is as it was.
        """
        file = Path(path)
        self.require_folder()
        try:
            with uninterrupted(), replacing(file) as partial, partial.open("wb") as stream:
                torch.save(checkpoint, stream)
        except (OSError, RuntimeError) as error:
            self.require_folder()
            kept = "the older one of that name is kept" if file.exists() else "nothing was written"
            raise OSError(f"{file}: cannot write the checkpoint: {_reason(error)}; {kept}") from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint, and run nothing that is in it.

        Raises:
            ValueError: The file is absent or damaged, holds more than tensors and plain values, or not the
                weights that are asked for.
        """
        file = Path(path)
        require_whole(file)
        try:
            content = torch.load(file, map_location=map_location, weights_only=True)
        except UnpicklingError as error:
            raise ValueError(f"{file}: {NAMES_CODE}") from error
        return with_weights(content, self.state, file=file)


class NewestCheckpoint(NamedTuple):
    """The checkpoint to go on from, and what is wrong with the others."""

    file: Path | None
    damaged: list[str]


def require_whole(file: Path) -> None:
    """Check that a checkpoint is as it was written; one that has not changed since is not read again.

    Raises:
        ValueError: It is absent, cut short or changed.
    """
    if not file.is_file():
        raise ValueError(f"{file}: no such checkpoint")
    status = file.stat()
    seen = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    if seen in _whole:
        return
    try:
        damaged = examine(file).damaged
    except ValueError as error:
        raise ValueError(
            f"{file}: is no checkpoint, or is cut short ({seen[2]} bytes); use another"
        ) from error
    if damaged is not None:
        raise ValueError(f"{file}: is damaged: {damaged} in it does not have its checksum; use another")
    if time.time() - status.st_mtime > CLOCK_SECONDS:
        _whole.add(seen)


def require_fit(own: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Check that a saved state is of this network.

    Raises:
        ValueError: A tensor is missing, left over or of another shape; the first of them are named.
    """
    apart = [f"{key} is not in it" for key in own if key not in saved]
    apart += [f"{key} is not in this network" for key in saved if key not in own]
    apart += [
        f"{key} is {list(saved[key].shape)} in it and {list(own[key].shape)} here"
        for key in own
        if key in saved and saved[key].shape != own[key].shape
    ]
    if apart:
        named = "; ".join(apart[:MOST_NAMED])
        raise ValueError(
            f"the checkpoint is of another network, apart in {len(apart)} tensors ({named}); use the "
            "configuration that it was trained with"
        )


def newest_checkpoint(folder: Path) -> NewestCheckpoint:
    """Find the whole checkpoint of a folder that has most steps, and of several such the one written last."""
    steps: dict[Path, tuple[int, float]] = {}
    damaged: list[str] = []
    for file in sorted(folder.glob("*.ckpt")):
        try:
            steps[file] = read_training_state(file)["global_step"], file.stat().st_mtime
        except ValueError as error:
            damaged.append(str(error))
    return NewestCheckpoint(max(steps, key=lambda file: steps[file], default=None), damaged)


def read_training_state(file: Path) -> dict[str, Any]:
    """Read what a checkpoint of a training says; its tensors are mapped into memory and not read.

    Raises:
        ValueError: It is absent or damaged, or no checkpoint of a training.
    """
    require_whole(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        content["global_step"]
    except UnpicklingError as error:
        raise ValueError(f"{file}: {NAMES_CODE}") from error
    except (RuntimeError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: holds no training state; use another") from error
    return content


def _reason(error: BaseException) -> str:
    """Return what the system said: torch puts words of its own before it."""
    causes: Iterable[BaseException | None] = (error, error.__cause__, error.__context__)
    system = (cause for cause in causes if isinstance(cause, OSError) and cause.strerror)
    return next((str(cause.strerror) for cause in system), str(error))
