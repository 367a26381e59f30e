"""The per-video table that a test or a prediction leaves behind."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from gcvideo.atomic import write_text
from gcvideo.cells import quoted
from gcvideo.clip import Unreadable


class PredictionTable:
    """Rows of video, label, prediction, its probability and the five likeliest classes.

    A video that could not be read has a row with the reason under `unreadable` and neither prediction nor
    probability.

    Args:
        class_names: The K class names.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = class_names
        self.rows: list[dict[str, object]] = []

    def add(
        self,
        video_ids: Sequence[str],
        probabilities: Float[Tensor, "B K"],
        labels: Sequence[int] | None = None,
    ) -> None:
        """Add one row per video of a batch; without labels (in prediction) the table has no label column."""
        top = probabilities.cpu().topk(min(5, probabilities.shape[-1]))
        for row, video_id in enumerate(video_ids):
            likeliest = [int(k) for k in top.indices[row]]
            entry: dict[str, object] = {"video": video_id}
            if labels is not None:
                entry["label"] = self.class_names[int(labels[row])]
            entry["prediction"] = self.class_names[likeliest[0]]
            entry["probability"] = round(float(top.values[row, 0]), 6)
            for rank, k in enumerate(likeliest, start=1):
                entry[f"top{rank}"] = self.class_names[k]
                entry[f"top{rank}_probability"] = round(float(top.values[row, rank - 1]), 6)
            self.rows.append(entry)

    def add_unreadable(self, videos: Sequence[Unreadable]) -> None:
        """Add one row per labelled video that could not be read."""
        for record, reason in videos:
            label = self.class_names[record.label]
            self.rows.append({"video": record.video_id, "label": label, "unreadable": reason})

    def write(self, file: Path, rows: Sequence[dict[str, object]] | None = None) -> None:
        """Write `rows` (by default the table's own) as CSV, sorted by video; replaces an older file whole."""
        frame = pd.DataFrame(self.rows if rows is None else rows).sort_values("video", kind="stable")
        if "unreadable" in frame:  # stands last, wherever the first of them stands
            frame["unreadable"] = frame.pop("unreadable")
        write_text(file, frame.map(quoted).to_csv(index=False))
