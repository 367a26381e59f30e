"""What the labels of a list may be: a class of every video, or a set of classes."""

import difflib
import re
import sys
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise

from gcvideo.cells import unquoted
from gcvideo.data.lists.cells import INTEGER, RowError, label_parts


class Labels:
    """One class index, or class name, of every video.

    Args:
        num_classes: K; labels are 0..K-1.
        by_name: The label of every class that has a name.
    """

    def __init__(self, num_classes: int, by_name: Mapping[str, int]) -> None:
        self.num_classes = num_classes
        self.by_name = by_name
        self._known: dict[str, int] = {}
        """Those that were met, as written."""

    def is_row(self, path: str, label: str) -> bool:
        """Return whether the second is a label, in or out of range."""
        return self.is_class(label)

    def is_class(self, label: str) -> bool:
        """Return whether this is one label, in or out of range."""
        names = self.by_name
        return INTEGER.fullmatch(label) is not None or label in names or unquoted(label) in names

    def indices(self, labels: Sequence[str], paths: Sequence[str]) -> "tuple[array[int], array[int]]":
        """Return the class indices of rows one behind the other, and how many a row has, if not one.

        Raises:
            RowError: A label is none.
        """
        for new in set(labels).difference(self._known):
            self._known[new] = self.index_of(new, paths[labels.index(new)])
        return array("q", map(self._known.__getitem__, labels)), array("q")

    def index_of(self, label: str, path: str) -> int:
        """Return the class index that a label, as written for a path, stands for."""
        label = label.strip()
        label = label if label in self.by_name else unquoted(label)
        if label in self.by_name and not INTEGER.fullmatch(label):
            return self.by_name[label]
        if not INTEGER.fullmatch(label):
            raise RowError(self._unknown(label, path))
        if int(label) in range(self.num_classes):
            return int(label)
        raise RowError(
            f"label {int(label)} is out of range; expected 0..{self.num_classes - 1}, counted from 0"
            + "; videos of unknown class are for `gcvideo predict`" * (int(label) < 0)
        )

    def _unknown(self, label: str, path: str) -> str:
        """Say what is wrong with a label that is no number."""
        if not label:
            return "the label is empty; videos of unknown class are for `gcvideo predict`"
        expected = f"expected 0..{self.num_classes - 1}"
        if self.by_name:
            expected += " or a class name"
        said = f"label {label!r} is not an integer; {expected}"
        if INTEGER.fullmatch(path) and not INTEGER.fullmatch(label):
            return f"{said}; if it is the path, write `path,label`, or a header label,path"
        if "#" in label or path.startswith("#"):
            return f"{said}; comments are not read, remove it"
        if all(map(self.is_class, label_parts(label))):
            return f"{said}; several labels of a video are read with data.multi_label true"
        is_number = re.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?", label, re.IGNORECASE)
        if is_number and float(label).is_integer() and abs(float(label)) < sys.maxsize:
            return f"{said}; write {float(label):.0f}"
        similar = difflib.get_close_matches(label, self.by_name, 1)
        if similar:
            return f"{said}; did you mean {similar[0]!r}?"
        return said + "; names need a class list (data.classes)" * (label.isidentifier() and not self.by_name)


class LabelSets(Labels):
    """Several classes of a video, or none: `0;3`, `walk;run`, or nothing."""

    def __init__(self, num_classes: int, by_name: Mapping[str, int]) -> None:
        super().__init__(num_classes, by_name)
        self._known_sets: dict[str, list[int]] = {}

    def is_row(self, path: str, label: str) -> bool:
        return self.is_class(label) or all(map(self.is_class, label_parts(label)))

    def indices(self, labels: Sequence[str], paths: Sequence[str]) -> "tuple[array[int], array[int]]":
        for new in set(labels).difference(self._known_sets):
            self._known_sets[new] = self.set_of(new, paths[labels.index(new)])
        sets = [self._known_sets[label] for label in labels]
        return array("q", [index for one in sets for index in one]), array("q", map(len, sets))

    def set_of(self, label: str, path: str) -> list[int]:
        """Return the class indices, rising, that a cell of labels stands for.

        Raises:
            RowError: One of them is none, or one stands twice.
        """
        if not label.strip():
            return []
        parts = [label] if self.is_class(label.strip()) else label_parts(label)
        indices = sorted(self.index_of(part, path) for part in parts)
        twice = [index for index, other in pairwise(indices) if index == other]
        if twice:
            raise RowError(f"labels {label!r} name class {twice[0]} twice; write every label once")
        return indices
