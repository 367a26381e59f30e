"""The classes that a file's head knows, beside those of the network that takes it over."""

import logging
from collections.abc import Sequence

from gcvideo.backbones.checkpoints.configurations import ours
from gcvideo.backbones.checkpoints.files import Checkpoint

log = logging.getLogger(__name__)


def compare_classes(checkpoint: Checkpoint, class_names: Sequence[str]) -> None:
    """Say that a head is taken over under other names.

    Classes that are numbered, on either side, have no names to compare; another number of classes is seen by
    the head's shape.

    Raises:
        ValueError: The names are the same in another order, so that every output would be the wrong class.
    """
    of_file: Sequence[str] = ours.hyperparameters(checkpoint.record).get("class_names", ())
    if len(of_file) != len(class_names) or list(of_file) == list(class_names):
        return
    if any(name.isdecimal() for name in (of_file[0], class_names[0])):
        return
    place = next(k for k, (one, other) in enumerate(zip(of_file, class_names, strict=True)) if one != other)
    first = f"class {place} is {of_file[place]!r} there and {class_names[place]!r} here"
    if set(of_file) == set(class_names):
        raise ValueError(
            f"{checkpoint.path}: its head knows the same classes in another order ({first}); list them in "
            "its order, or start a new head with weights.new: [head]"
        )
    log.warning(
        "%s: its head is taken over as it is, for classes of other names (%s); weights.new: [head] starts "
        "a new one",
        checkpoint.path,
        first,
    )
