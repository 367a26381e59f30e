"""Pictures and their masks, by name, and what is in them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Integer, UInt8
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as F

from gcvideo.images.pictures import find_pictures, read_picture
from gcvideo.images.segmentation.batch import IGNORED, Segmented

MOST_NAMED = 3

MASK_MODES = ("1", "L", "P", "I", "I;16")
"""How Pillow calls pictures whose pixels are one number each."""

Transform = Callable[[tv_tensors.Image, tv_tensors.Mask], tuple[Tensor, Tensor]]


class Pair(NamedTuple):
    """A picture and its mask."""

    name: str
    """The path below the folder of the pictures, without the ending."""
    picture: Path
    mask: Path


def find_pairs(pictures: Path, masks: Path) -> list[Pair]:
    """Return the pictures below a folder, in the order of their names, each with the mask of its name.

    Raises:
        ValueError: A picture has no mask, or a mask no picture; two have one name; or there is none.
    """
    found = {folder: _by_name(folder) for folder in (pictures, masks)}
    for folder, other, kind in ((pictures, masks, "mask"), (masks, pictures, "picture")):
        alone = [name for name in found[folder] if name not in found[other]]
        if alone:
            raise ValueError(
                f"{len(alone)} of the {len(found[folder])} files in {folder} have no {kind} in {other} "
                f"({_some(alone)}); expected one of the same name, as {other / alone[0]}.png"
            )
    return [Pair(name, file, found[masks][name]) for name, file in sorted(found[pictures].items())]


def _by_name(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for file in find_pictures([folder]) if folder.is_dir() else []:
        name = file.relative_to(folder).with_suffix("").as_posix()
        if name in files:
            raise ValueError(f"{files[name]} and {file} have one name; expected one file of each name")
        files[name] = file
    if not files:
        raise ValueError(
            f"{folder}: there is no picture there; expected train/pictures, train/masks and the like"
        )
    return files


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def read_mask(file: Path) -> Integer[np.ndarray, "H W"]:
    """Return the number of every pixel of a mask; of a picture with a palette, its places in the palette.

    Raises:
        ValueError: It cannot be read, or its pixels are colours.
    """
    try:
        with Image.open(file) as opened:
            mode = opened.mode
            if mode not in MASK_MODES:
                raise ValueError(
                    f"{file}: its pixels are colours ({mode}); expected one channel, which has class indices"
                )
            numbers = np.asarray(opened)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{file}: cannot be read: {error}; fetch it again, or drop it") from error
    return numbers.astype(np.uint8) if mode == "1" else numbers


class MaskLabels:
    """Which class the numbers in masks stand for.

    Args:
        outputs: The network's output of each of the data set's K classes.
        first_label: What masks have where the first class is seen; smaller numbers do not count.
        ignore_label: What they have where no class counts.
    """

    def __init__(self, outputs: Integer[Tensor, " K"], *, first_label: int, ignore_label: int) -> None:
        self.first_label, self.ignore_label = first_label, ignore_label
        self.last_label = first_label + len(outputs) - 1
        self.table = np.full(256, IGNORED, np.uint8)
        self.table[first_label : self.last_label + 1] = outputs.numpy()
        self.table[ignore_label] = IGNORED
        self.is_known = np.zeros(256, bool)
        self.is_known[: self.last_label + 1] = True
        self.is_known[ignore_label] = True

    def classes(self, numbers: Integer[np.ndarray, "H W"], *, file: Path) -> UInt8[np.ndarray, "H W"]:
        """Return class indices and IGNORED.

        Raises:
            ValueError: A number stands for nothing.
        """
        is_byte = (numbers >= 0) & (numbers < 256)
        is_known = is_byte & self.is_known[np.where(is_byte, numbers, 0)]
        if not is_known.all():
            unknown = _some([str(number) for number in np.unique(numbers[~is_known])])
            raise ValueError(
                f"{file}: {(~is_known).sum()} pixels have the label {unknown}; expected {self.first_label} "
                f"to {self.last_label}, or {self.ignore_label} to ignore"
            )
        return self.table[numbers]


class MaskedPictures:
    """Pictures with the classes of their pixels.

    Args:
        pairs: The files.
        labels: What the numbers in masks stand for.
        transform: What becomes of both; None leaves them whole.
    """

    def __init__(self, pairs: Sequence[Pair], labels: MaskLabels, transform: Transform | None = None) -> None:
        self.pairs = pairs
        self.labels = labels
        self.transform = transform

    @property
    def names(self) -> list[str]:
        """The pictures by name."""
        return [pair.name for pair in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Segmented:
        pair = self.pairs[index]
        image = F.pil_to_tensor(read_picture(pair.picture))
        classes = torch.from_numpy(self.labels.classes(read_mask(pair.mask), file=pair.mask))
        if image.shape[1:] != classes.shape:
            of_mask, of_picture = (" x ".join(map(str, shape[-2:])) for shape in (classes.shape, image.shape))
            raise ValueError(
                f"{pair.mask} has {of_mask} pixels, and {pair.picture} {of_picture}; expected the same"
            )
        if self.transform is not None:
            image, classes = self.transform(tv_tensors.Image(image), tv_tensors.Mask(classes))
        return Segmented(image.as_subclass(Tensor), classes.as_subclass(Tensor), pair.name, pair.name)


class FilePictures:
    """Whole pictures of which nothing is known, called by their paths.

    What is written of them is called by their paths below the folder that they have in common, with the
    ending where two would else be called the same.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.names = [str(file) for file in files]
        absolute = [file.absolute() for file in files]
        common = os.path.commonpath([file.parent for file in absolute]) if files else ""
        paths = [file.relative_to(common) for file in absolute]
        bare = [path.with_suffix("").as_posix() for path in paths]
        self.stems = [
            stem if bare.count(stem) == 1 else path.as_posix() for stem, path in zip(bare, paths, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Segmented:
        image = F.pil_to_tensor(read_picture(self.names[index]))
        unknown = torch.full(image.shape[1:], IGNORED, dtype=torch.uint8)
        return Segmented(image, unknown, self.names[index], self.stems[index])
