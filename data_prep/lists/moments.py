"""Multi-Moments in Time's files: rows of a video and the numbers of its classes."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from data_prep.lists.official import (
    ListedClip,
    OfficialFileError,
    OfficialLists,
    Splits,
    checked_class_names,
    read_lines,
    read_rows,
    shown,
)


def moments_lists(files: Mapping[str, Path], *, classes: Path) -> OfficialLists:
    """Return what tables without header, `video.mp4,label,label,...`, say.

    Args:
        files: The table of each split.
        classes: Lines `name,label`, with labels 0..K-1.

    Raises:
        OfficialFileError: They are not such files.
    """
    names = _class_names(classes)
    splits = Splits([], [], [])
    for split, file in files.items():
        for number, (path, *labels) in read_rows(file):
            labels = [label for label in labels if label]
            if not path or not all(re.fullmatch(r"[0-9]{1,9}", label) for label in labels):
                raise OfficialFileError(
                    f"{file}:{number}: {shown([path, *labels])} is not `video.mp4,label,label,...`"
                )
            if beyond := [label for label in labels if int(label) >= len(names)]:
                raise OfficialFileError(
                    f"{file}:{number}: label {beyond[0]} is out of range; {classes} has 0..{len(names) - 1}"
                )
            found = tuple(names[label] for label in sorted(set(map(int, labels))))
            stem = PurePosixPath(path).stem
            getattr(splits, split).append(ListedClip((path, stem), found))
    return OfficialLists(splits, names)


def _class_names(file: Path) -> tuple[str, ...]:
    """Return the names in the order of their numbers."""
    numbered = {}
    for number, line in read_lines(file):
        name, _, label = line.rpartition(",")
        if not name or not re.fullmatch(r"[0-9]{1,9}", label) or int(label) in numbered:
            raise OfficialFileError(f"{file}:{number}: {line!r} is not `name,label` of another class")
        numbered[int(label)] = name.strip()
    if sorted(numbered) != list(range(len(numbered))):
        raise OfficialFileError(f"{file}: labels are not 0..{len(numbered) - 1}; fetch it again")
    return checked_class_names(file, (numbered[label] for label in sorted(numbered)))
