"""AVA's tables of actions at one moment of a video each, and its list of actions."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_prep.lists.official import (
    ListedClip,
    OfficialFileError,
    OfficialLists,
    Refused,
    Splits,
    Times,
    checked_class_names,
    read_rows,
    read_text,
    seconds_of,
    shown,
)

COLUMNS = ("video_id", "middle_frame_timestamp", "x1", "y1", "x2", "y2", "action_id", "person_id")
ACTION = re.compile(r"\b(?:label|item)\s*\{(.*?)\}", re.DOTALL)
NAME = re.compile(r"""\bname\s*:\s*(["'])(.*?)\1""")
NUMBER = re.compile(r"\b(?:label_)?id\s*:\s*([0-9]{1,9})\b")


class Window(NamedTuple):
    """Which part of a video a moment stands for."""

    seconds: float = 3.0
    """Its length, with the moment in its middle. AVA partitions its movies into stretches of 3 s (Gu et al.,
    arXiv:1705.08421, section 3.2)."""
    starts_at: float = 0.0
    """The moment, in seconds, at which the files begin: 900 where they are cut from the 15th minute on."""

    def around(self, moment: float) -> Times:
        """Return the part; before the file's first frame there is nothing of it."""
        middle, half = moment - self.starts_at, self.seconds / 2
        return Times(max(0.0, middle - half) if middle >= 0 else middle, middle + half)


def ava_lists(
    files: Mapping[str, Path], *, classes: Path, window: Window, excluded: Sequence[Path] = ()
) -> OfficialLists:
    """Return what tables without header, with the columns `COLUMNS`, of which the last may lack, say.

    A sample is a moment of a video with the actions of all persons in it.

    Args:
        files: The table of each split.
        classes: The list of actions, in the text form of protocol buffers: `label {name: "..." label_id: 1}`
            or `item {name: "..." id: 1}`. Labels are numbered in its order.
        window: How much of the video is the sample.
        excluded: Tables `video_id,timestamp` of moments that are not to be used.

    Raises:
        OfficialFileError: They are not such files.
    """
    names = _class_names(classes)
    out = {moment for file in excluded for moment in _moments(file, width=2)}
    splits, refused = Splits([], [], []), []
    for split, file in files.items():
        actions: dict[tuple[str, float], dict[str, None]] = {}
        for number, cells in read_rows(file, delimiter=","):
            where, moment = f"{file}:{number}", _moment(cells, where=f"{file}:{number}")
            action = cells[6] if len(cells) > 6 else ""
            clip = ListedClip((moment[0],), (), window.around(moment[1]))
            reason = "is in an --excluded file" if moment in out else clip.times and clip.times.why_none()
            if reason is None:
                actions.setdefault(moment, {})
            if reason is None and action and action not in names:
                reason = f"action {action} is not in {classes}"
            if reason is not None:
                refused.append(Refused(split, clip.name, names.get(action, action), reason, where))
            elif action:
                actions[moment][action] = None
        getattr(splits, split).extend(
            ListedClip((name,), tuple(n for code, n in names.items() if code in codes), window.around(moment))
            for (name, moment), codes in actions.items()
        )
    return OfficialLists(splits, tuple(names.values()), tuple(refused))


def _moments(file: Path, *, width: int) -> Iterable[tuple[str, float]]:
    if not read_text(file).strip():  # no moment is excluded
        return []
    return [_moment(cells[:width], where=f"{file}:{number}") for number, cells in read_rows(file)]


def _moment(cells: Sequence[str], *, where: str) -> tuple[str, float]:
    try:
        name, moment = cells[:2]
        if not name or len(cells) not in (2, 7, 8):
            raise ValueError(f"{len(cells)} cells")
        return name, seconds_of(moment)
    except ValueError as error:
        raise OfficialFileError(
            f"{where}: {shown(cells)} is not a row of {','.join(COLUMNS)} ({error})"
        ) from None


def _class_names(file: Path) -> dict[str, str]:
    """Return number -> name of each action, in the order of the file."""
    names = {}
    for body in ACTION.findall(read_text(file)):
        name, number = NAME.search(body), NUMBER.search(body)
        if name is None or number is None:
            raise OfficialFileError(f"{file}: {shown([body.strip()])} has no name and number of an action")
        names[number[1]] = name[2]
    checked_class_names(file, names.values())
    return names
