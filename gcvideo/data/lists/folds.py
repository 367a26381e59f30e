"""Folds of one list: videos that are held out in turn."""

import hashlib
import logging
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from gcvideo.data.lists.records import VideoRecords

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Folds:
    """Which part of the training list is held out: validated and tested, and not trained on.

    Every class is spread evenly over the folds, and videos of one group are in one fold: clips that were cut
    from one recording look alike, so that a network that has seen some of them knows the others. Segments of
    one video are in one fold.

    Args:
        fold: The fold that is held out, from 0.
        num_folds: Number of folds.
        group: Regular expression for the part of a path that clips of one recording have in common:
            `(v_.*_g\\d+)_` of UCF101, `(.*)/` of a folder each; of all its brackets, or all that it matches.
            By default a video is a group.
        seed: What the folds derive from, together with the list.
    """

    fold: int
    num_folds: int = 5
    group: str | None = None
    seed: int = 0

    def require_possible(self) -> None:
        """Check the settings; not when they are parsed, where the reason would be one of several types.

        Raises:
            ValueError: There are fewer than two folds, the fold is none of them, or the group is no regular
                expression.
        """
        if self.num_folds < 2:
            raise ValueError(f"data.folds.num_folds is {self.num_folds}; expected at least 2")
        if self.fold not in range(self.num_folds):
            raise ValueError(f"data.folds.fold is {self.fold}; expected 0..{self.num_folds - 1}")
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise ValueError(
                f"data.folds.group is {self.group!r}, which is no regular expression: {error}"
            ) from error

    def __str__(self) -> str:
        return f"fold {self.fold} of {self.num_folds}"

    def split(self, records: VideoRecords) -> dict[str, VideoRecords]:
        """Return the videos to train on, and those that are held out, in the order of the list.

        Raises:
            ValueError: A path has no group, or there are fewer groups than folds.
        """
        held_out = self.assign(records) == self.fold
        rest, held = (records.at(np.flatnonzero(rows)) for rows in (~held_out, held_out))
        return {"train": rest, "val": held, "test": held}

    def assign(self, records: VideoRecords) -> Int64[np.ndarray, " N"]:
        """Return the fold of every video.

        Groups come one after the other, large ones first, each to the fold in which sum_k n_k^2 / N_k grows
        least, where n_k of the N_k videos of class k are in the fold; among equals to the smallest fold.
        """
        # Groups, by their names, and the videos of each class in them
        rows = defaultdict[str, list[int]](list)
        for row, record in enumerate(records):
            rows[self._group(record.written)].append(row)
        if len(rows) < self.num_folds:
            raise ValueError(
                f"data.folds.num_folds is {self.num_folds}, and the list has {len(rows)} groups; expected no "
                "more folds than groups"
            )
        of_class = Counter(records.label.tolist())
        found = {
            name: Counter(label for row in of_group for label in records.labels(row))
            for name, of_group in rows.items()
        }
        # Large ones first; of one size, in an order that the seed gives and the order of the list does not
        names = sorted(
            rows, key=lambda name: (-len(rows[name]), -found[name].total(), _digest(name, self.seed))
        )
        counts = [Counter[int]() for _ in range(self.num_folds)]
        sizes = [0] * self.num_folds
        folds = np.empty(len(records), dtype=np.int64)
        for name in names:
            more = found[name]
            growth = [
                sum(m * (2 * counted[k] + m) / of_class[k] for k, m in more.items()) for counted in counts
            ]
            fold = min(range(self.num_folds), key=lambda f: (growth[f], sizes[f]))
            counts[fold] += more
            sizes[fold] += len(rows[name])
            folds[rows[name]] = fold
        self._say(sizes, counts, of_class)
        return folds

    def _group(self, video: str) -> str:
        if self.group is None:
            return os.path.normpath(video)
        found = re.search(self.group, video)
        if found is None:
            raise ValueError(f"data.folds.group is {self.group!r}, which {video!r} has no part of")
        return "\0".join(part or "" for part in found.groups()) or found[0]

    def _say(self, sizes: Sequence[int], counts: Sequence[Counter[int]], of_class: Counter[int]) -> None:
        """Log the sizes, and warn of classes that a fold lacks."""
        log.info("folds of %s videos; fold %d is held out", ", ".join(map(str, sizes)), self.fold)
        lacking = [k for k in of_class if not all(counted[k] for counted in counts)]
        if lacking:
            log.warning(
                "%d of %d classes are not in every fold; they have fewer groups than there are folds",
                len(lacking),
                len(of_class),
            )


def _digest(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode(errors="surrogateescape")).digest()
