"""ActivityNet's JSON, and that of data sets that follow it: HACS Segments, THUMOS, FineAction."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from data_prep.lists.official import (
    ListedClip,
    OfficialFileError,
    OfficialLists,
    Refused,
    Splits,
    Times,
    read_json,
    seconds_of,
    shown,
)

SUBSETS = {
    **{"training": "train", "train": "train", "validation": "val", "val": "val"},
    **{"testing": "test", "test": "test"},
}
"""Subset, in lower case -> split."""


def activitynet_lists(file: Path, *, sample: Literal["segment", "video"] = "segment") -> OfficialLists:
    """Return what a file `{"database": {id: {"subset", "annotations": [{"label", "segment"}]}}}` says.

    A segment is [start, end] in seconds. A video may have a `duration`, and the file a `taxonomy`, whose
    nodes have a `nodeName`.

    Args:
        file: The JSON file. A video's file is called by its id, with v_ before it or without.
        sample: A segment of one class; or a video with all classes of its segments.

    Raises:
        OfficialFileError: It is not such a file.
    """
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("database"), dict):
        raise OfficialFileError(f"{file}: is not a JSON object with a database; fetch it again")
    known = _class_names_of(content)
    splits, refused = Splits([], [], []), []
    split_of = {
        name: _split_of(video, where=f"{file}: database.{name}")
        for name, video in content["database"].items()
    }
    labelled = {split_of[name] for name, video in content["database"].items() if video["annotations"]}
    for name, video in content["database"].items():
        where, split, clips = f"{file}: database.{name}", split_of[name], []
        for label, times, reason in _segments(video, known, where=where):
            clip = ListedClip((f"v_{name}", name), (label,), times)
            if reason is None:
                clips.append(clip)
            else:
                refused.append(Refused(split, clip.name, label, reason, where))
        labels = tuple(sorted({label for clip in clips for label in clip.class_names}))
        if not video["annotations"] and (split != "test" or "test" in labelled):
            refused.append(Refused(split, f"v_{name}", "", "has no annotation", where))
        elif not video["annotations"] or (clips and sample == "video"):  # the former: labels are withheld
            clips = [ListedClip((f"v_{name}", name), labels)]
        getattr(splits, split).extend(clips)
    return OfficialLists(splits, refused=tuple(refused))


def _class_names_of(content: dict[str, Any]) -> set[str] | None:
    """Return what the taxonomy, if there is one, calls classes and groups of them."""
    nodes = content.get("taxonomy")
    return {str(node.get("nodeName")) for node in nodes if isinstance(node, dict)} if nodes else None


def _split_of(video: Any, *, where: str) -> str:
    """Return the split of a video, whose entry is seen to have a subset and annotations."""
    match video:
        case {"subset": str(subset), "annotations": list()} if subset.lower() in SUBSETS:
            return SUBSETS[subset.lower()]
        case {"subset": str(subset), "annotations": list()}:
            raise OfficialFileError(
                f"{where}: subset {subset!r} is not known; expected one of {', '.join(SUBSETS)}"
            )
    raise OfficialFileError(f"{where}: {shown([str(video)])} is no object with subset and annotations")


def _segments(
    video: dict[str, Any], known: set[str] | None, *, where: str
) -> Iterator[tuple[str, Times, str | None]]:
    """Yield the class and the times of each annotation, and why it is none, if it is none."""
    for number, annotation in enumerate(video["annotations"]):
        place = f"{where}.annotations[{number}]"
        try:
            duration = seconds_of(video["duration"]) if "duration" in video else None
            match annotation:
                case {"label": str(label), "segment": [start, end]} if label:
                    times = Times(seconds_of(start), seconds_of(end))
                case _:
                    raise ValueError("no object with label and segment")
        except ValueError as error:
            raise OfficialFileError(
                f"{place}: {shown([str(annotation)])} is not `label, segment: [start, end]` in seconds "
                f"({error})"
            ) from None
        if known is not None and label not in known:
            raise OfficialFileError(f"{place}: label {label!r} is not in the file's taxonomy; fetch it again")
        yield label, times, times.why_none(duration)
