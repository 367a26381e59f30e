"""Files of weights: read without running anything in them, written as plain tensors."""

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gcvideo.archive import examine
from gcvideo.atomic import replacing
from gcvideo.backbones.checkpoints.contents import choose_state, without_wrappers
from gcvideo.backbones.checkpoints.inert import DAMAGE, read_inert

log = logging.getLogger(__name__)

BEGINNINGS = {
    b"<": "a page of the web; fetch the file itself",
    b"version https://git-lfs": "a pointer of Git LFS, which `git lfs pull` replaces by the file",
    b"\x89HDF": "an HDF5 file; expected weights of torch",
    b"\x1f\x8b": "a gzip archive; unpack it first",
}
"""What the first bytes of files that are no weights say."""

ENTRIES = {
    "constants.pkl": "a TorchScript program; save the state_dict of the module that it was made from",
    "models": "a program of torch.export; use the plain weights (of `gcvideo export`: model.safetensors)",
}
"""What the entries of zip archives that are no weights say."""


class Checkpoint(NamedTuple):
    """What a file of weights holds, unwrapped."""

    path: Path
    state: dict[str, Tensor]
    wrappers: list[str]
    """What it was unwrapped from, outermost first: `model_state`, `module.`, `EMA`."""
    record: dict[str, Any]
    """Everything else that the file says of itself."""
    outside: tuple[str, ...] = ()
    """Keys beside the network's, as a loss's."""


def read_checkpoint(path: Path, *, state: str | None = None) -> Checkpoint:
    """Read a file of weights: safetensors, or a pickle of tensors and plain values.

    Nothing in the file is run: pickles are read by torch's restricted unpickler, and those that name more
    than tensors by one that takes stand-ins for all else.

    Args:
        path: The file.
        state: Which of its states, by name, where it has several.

    Raises:
        ValueError: The file is neither, is damaged, or holds no state or several.
    """
    if not path.is_file():
        found = "is a folder; name a file in it" if path.is_dir() else "no such file of weights"
        raise ValueError(f"{path}: {found}")
    if _begins_as_safetensors(path):  # whatever it is called
        content, written = _read_safetensors(path)
    else:
        content, written = _read_pickle(path), {}
    tensors, wrappers, record = choose_state(path, content, state)
    tensors, prefixes = without_wrappers(tensors)
    return Checkpoint(path, tensors, wrappers + prefixes, written | record)


def non_finite(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Return how many numbers of which tensors are nan or infinite."""
    counts = {key: int((~tensor.isfinite()).sum()) for key, tensor in state.items()}
    return {key: count for key, count in counts.items() if count}


def refuse_non_finite(checkpoint: Checkpoint) -> None:
    """Raise ValueError if a weight is nan or infinite."""
    if found := non_finite(checkpoint.state):
        some = ", ".join(
            f"{key} ({count} of {checkpoint.state[key].numel()})" for key, count in found.items()
        )
        raise ValueError(
            f"{checkpoint.path}: {sum(found.values())} of its numbers are nan or infinite: {some}; the run "
            "that wrote it diverged; use an earlier file of it"
        )


def write_state(
    path: Path,
    state: Mapping[str, Tensor],
    *,
    record: Mapping[str, str] | None = None,
    inside: str | None = None,
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Write a plain state dict: as safetensors, or as a pickle of tensors alone (.pth, .pyth, .pt).

    `record` stands in the head of a safetensors file. In a pickle the state may have a name, `inside`, and
    plain values `beside` it, as other codebases read it.

    Raises:
        ValueError: The suffix is none of these.
    """
    # Tensors of their own, contiguous: neither views of one memory nor channels-last.
    tensors = {key: tensor.detach().cpu().contiguous().clone() for key, tensor in state.items()}
    if path.suffix not in (".safetensors", ".pth", ".pyth", ".pt"):
        raise ValueError(f"{path}: suffix is '{path.suffix}'; expected .safetensors, .pth, .pyth or .pt")
    with replacing(path) as partial:
        if path.suffix == ".safetensors":
            # Its own save_file makes a file that nobody else may read.
            partial.write_bytes(save(tensors, metadata=dict(record or {})))
        else:
            torch.save(tensors if inside is None else {inside: tensors, **(beside or {})}, partial)


def _begins_as_safetensors(path: Path) -> bool:
    """Tell whether a size and a description in braces come first."""
    with path.open("rb") as file:
        size, brace = int.from_bytes(file.read(8), "little"), file.read(1)
    return brace == b"{" and size < path.stat().st_size


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path}: is no safetensors file ({error}); fetch it again") from error


def _read_pickle(path: Path) -> Any:
    if other := _other_kind(path):
        raise ValueError(f"{path}: is {other}")
    try:
        # Of a path torch would look at the suffix.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(file, map_location="cpu", weights_only=True)
    except DAMAGE:
        log.debug("%s: not for torch's restricted unpickler", path, exc_info=True)
    try:
        content, unknown = read_inert(path)
    except ValueError as error:
        raise ValueError(
            f"{path}: is neither safetensors nor a pickle that torch.save writes, or is cut short or "
            "damaged; fetch it again"
        ) from error
    if unknown:
        more = f" and {len(unknown) - 4} more" if len(unknown) > 4 else ""
        log.info("%s: names %s%s; none was loaded, its tensors were", path, ", ".join(unknown[:4]), more)
    return content


def _other_kind(path: Path) -> str | None:
    """Return what a file is that torch.save did not write, or no longer as it wrote it."""
    with path.open("rb") as file:
        beginning = file.read(32).lstrip()
    if beginning[:4] != b"PK\3\4":
        return next((kind for start, kind in BEGINNINGS.items() if beginning.startswith(start)), None)
    try:
        entries, damaged = examine(path)  # torch compares no checksums
    except ValueError:
        return "cut short or damaged; fetch it again"
    inside = [name.partition("/")[2] for name in entries]
    if "data.pkl" not in inside or "constants.pkl" in inside:
        kinds = (kind for entry, kind in ENTRIES.items() for name in inside if name.startswith(entry))
        return next(kinds, "a zip archive of something else; expected weights")
    return damaged and f"damaged: {damaged} in it does not have its checksum; fetch it again"
