"""Official clips against the files that are there."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from data_prep.lists.official import ListedClip, Splits

_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "validate", "validation", "valid"),
    "test": ("test", "testing"),
}


class MatchedClips(NamedTuple):
    """What came of a match."""

    rows: dict[str, list[tuple[str, ListedClip]]]
    """Split -> (path, clip) of each clip that was found, in the official order."""
    missing: dict[str, list[ListedClip]]
    """Split -> clips without a file."""
    repeated: dict[str, int]
    """Split -> rows left out, since the same clip stands earlier with the same class."""
    extra: list[str]
    """Files that no list names."""


def match_clips(splits: Splits, paths: Sequence[str]) -> MatchedClips:
    """Find each clip's file, wherever it lies and whatever folder it is in.

    Of several files of one name, the one in a folder of the clip's split is taken, then the one in
    a folder of its class, then the first by name. A file stands for one clip of a split: where
    one video gave two clips, ID.mp4 is the first of them. Of clips that are parts of a file, it
    stands for all.
    """
    by_stem: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        by_stem[_stem(path)].append(path)
        by_stem[path].append(path)  # folder trees name their clips by path
    result = MatchedClips({}, {}, {}, [])
    used: set[str] = set()
    for split, clips in splits._asdict().items():
        rows, missing, seen, taken = [], [], set(), set()
        for clip in clips:
            if clip in seen:
                continue
            seen.add(clip)
            path = _file_of(clip, split, by_stem, taken)
            if path is None:
                missing.append(clip)
            else:
                rows.append((path, clip))
                if clip.times is None and clip.stems[0] not in path:  # the name does not say which clip it is
                    taken.add(path)
        used.update(path for path, _ in rows)
        result.rows[split], result.missing[split] = rows, missing
        result.repeated[split] = len(clips) - len(seen)
    result.extra.extend(sorted(set(paths) - used))
    return result


def clips_of_several_classes(splits: Splits) -> list[tuple[str, str, str]]:
    """Return (clip, split, class) of each row whose clip stands under another class too, in any split."""
    classes: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    for split, clips in splits._asdict().items():
        for clip in clips:
            if clip.class_names:
                classes[clip.name][split, clip.class_name] = None
    return [
        (clip, split, name)
        for clip, places in classes.items()
        if len({name for _, name in places}) > 1
        for split, name in places
    ]


def class_counts(splits: Splits, result: MatchedClips) -> list[tuple[str, str, int, int, int, int]]:
    """Return (class, split, listed, found, missing, extra) of every class and split that has any.

    A clip of several classes counts for each, and one of none for a class without name. Extra files belong
    to the class and split whose folders they lie in, if they lie in such.
    """
    classes = {name for clips in splits for clip in clips for name in clip.class_names}
    by_folder = {folder_name(name): name for name in classes}
    found, missing, extra = Counter(), Counter(), Counter()
    for split in splits._fields:
        for counter, clips in (
            (found, [clip for _, clip in result.rows[split]]),
            (missing, result.missing[split]),
        ):
            counter.update((name, split) for clip in clips for name in clip.class_names or ("",))
    for path in result.extra:
        folders = PurePosixPath(path).parts[:-1]
        known = [by_folder[name] for name in map(folder_name, folders) if name in by_folder]
        extra[known[-1] if known else "", _split_of(folders)] += 1
    keys = sorted({*found, *missing, *extra})
    return [(*key, found[key] + missing[key], found[key], missing[key], extra[key]) for key in keys]


def folder_name(name: str) -> str:
    """Return a class or folder name as both may be spelt: `petting animal (not cat)` has underscores."""
    return re.sub(r"[\s_]+", " ", name).strip().lower()


def _file_of(clip: ListedClip, split: str, by_stem: dict[str, list[str]], taken: set[str]) -> str | None:
    for stem in clip.stems:
        files = [path for path in by_stem.get(stem, ()) if path not in taken]
        if len(files) > 1:
            files.sort(key=lambda path: _distance(path, split, clip.class_names))
        if files:
            return files[0]
    return None


def _stem(path: str) -> str:
    return path[path.rfind("/") + 1 : path.rfind(".")]  # pathlib takes ten times as long


def _distance(path: str, split: str, class_names: Sequence[str]) -> tuple[bool, bool, str]:
    folders = PurePosixPath(path).parts[:-1]
    in_class = not {folder_name(name) for name in class_names}.isdisjoint(map(folder_name, folders))
    return _split_of(folders) != split, not in_class, path


def _split_of(folders: Sequence[str]) -> str:
    """Return the split that one of these folders is named after, or nothing."""
    for folder in folders:
        for split, names in _SPLIT_FOLDERS.items():
            if folder.lower() in names:
                return split
    return ""
