"""Charades' files: CSV with actions and their times, and a file of the classes c000 to c156."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from data_prep.lists.official import (
    ListedClip,
    OfficialFileError,
    OfficialLists,
    Refused,
    Splits,
    Times,
    checked_class_names,
    read_lines,
    read_rows,
    seconds_of,
)


def charades_lists(
    files: Mapping[str, Path], *, classes: Path, sample: Literal["segment", "video"] = "video"
) -> OfficialLists:
    """Return what files with the columns `id`, `actions` (as `c092 11.90 21.20;c147 0.00 12.60`) say.

    `length`, of the video in seconds, may be there. Labels are the numbers of the class file.

    Args:
        files: The file of each split.
        classes: Lines `c008 Opening a door`.
        sample: A video with all its actions, of which there may be none; or a stretch of it with all actions
            that have just these times.

    Raises:
        OfficialFileError: They are not such files, or an action is of no class.
    """
    names = _class_names(classes)
    splits, refused = Splits([], [], []), []
    for split, file in files.items():
        rows = read_rows(file, delimiter=",")
        header = rows[0][1]
        if not {"id", "actions"} <= set(header):
            raise OfficialFileError(f"{file}:1: expected a header with the columns id and actions")
        for number, cells in rows[1:]:
            row, where = dict(zip(header, cells, strict=False)), f"{file}:{number}"
            if len(cells) != len(header) or not row["id"]:
                raise OfficialFileError(f"{where}: has {len(cells)} cells, and the header {len(header)}")
            by_times: dict[Times | None, set[str]] = {} if sample == "segment" else {None: set()}
            for code, times, reason in _actions(row, where=where):
                if code not in names:
                    raise OfficialFileError(f"{where}: action {code!r} is no class of {classes}")
                if reason is not None:
                    clip = ListedClip((row["id"],), (names[code],), times)
                    refused.append(Refused(split, clip.name, clip.class_name, reason, where))
                else:
                    by_times.setdefault(times if sample == "segment" else None, set()).add(code)
            getattr(splits, split).extend(
                ListedClip((row["id"],), tuple(names[code] for code in sorted(codes)), times)
                for times, codes in by_times.items()
            )
    return OfficialLists(splits, tuple(names.values()), tuple(refused))


def _class_names(file: Path) -> dict[str, str]:
    """Return code -> name of each class, in the order of the codes."""
    names = {}
    for number, line in read_lines(file):
        code, _, name = line.partition(" ")
        if not re.fullmatch(r"c[0-9]{3}", code) or not name.strip():
            raise OfficialFileError(f"{file}:{number}: {line!r} is not `c008 Opening a door`")
        if int(code[1:]) != len(names):
            raise OfficialFileError(f"{file}:{number}: is {code}; expected c{len(names):03d}, in order")
        names[code] = name.strip()
    checked_class_names(file, names.values())
    return names


def _actions(row: Mapping[str, str], *, where: str) -> list[tuple[str, Times, str | None]]:
    """Return the code and the times of each action of a row, and why it is none, if it is none."""
    found = []
    for action in filter(None, map(str.strip, row["actions"].split(";"))):
        try:
            code, start, end = action.split()
            times = Times(seconds_of(start), seconds_of(end))
            length = seconds_of(row["length"]) if row.get("length") else None
        except ValueError:
            raise OfficialFileError(
                f"{where}: action {action!r} of a video of {row.get('length') or '?'} s is not "
                "`c092 11.90 21.20`, class, start and end in seconds"
            ) from None
        found.append((code, times, times.why_none(length)))
    return found
