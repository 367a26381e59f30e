"""The per-video table that a test or a prediction leaves behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from gcvideo.atomic import write_text
from gcvideo.cells import quoted
from gcvideo.clip import Segment, Unreadable
from gcvideo.evaluation.thresholds import Thresholds

BETWEEN = ";"
"""What stands between the classes of a video in a cell."""
SEGMENT_COLUMNS = {False: ("start", "end"), True: ("start_frame", "end_frame")}
"""Of segments in seconds, and in frames; as lists have them."""


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
        labels: Sequence[Any] | None = None,
    ) -> None:
        """Add one row per video of a batch; without labels (in prediction) the table has no label column.

        Args:
            video_ids: The videos.
            probabilities: Of their classes.
            labels: As a batch has them, in numbers of Python: one a video, or K of 0 and 1.
        """
        probabilities = probabilities.cpu()
        top = probabilities.topk(min(5, probabilities.shape[-1]))
        for row, video_id in enumerate(video_ids):
            entry: dict[str, object] = {"video": video_id}
            entry |= self.labelled(probabilities[row], labels[row] if labels is not None else None)
            for rank, k in enumerate(top.indices[row].tolist(), start=1):
                entry[f"top{rank}"] = self.class_names[k]
                entry[f"top{rank}_probability"] = round(float(top.values[row, rank - 1]), 6)
            self.rows.append(entry)

    def labelled(self, probabilities: Float[Tensor, " K"], label: Any) -> dict[str, object]:
        """Return label (unless it is None), prediction and what speaks for it, by their columns."""
        likeliest = int(probabilities.topk(1).indices[0])  # as it stands among the five
        return {
            **({} if label is None else {"label": self.class_names[int(label)]}),
            "prediction": self.class_names[likeliest],
            "probability": round(float(probabilities[likeliest]), 6),
        }

    def named(self, label: Any) -> str:
        """Return the label of a record by name."""
        return str(self.class_names[label])

    def add_unreadable(self, videos: Sequence[Unreadable]) -> None:
        """Add one row per labelled video that could not be read."""
        for record, reason in videos:
            label = self.named(record.label)
            self.rows.append({"video": record.video_id, "label": label, "unreadable": reason})

    def write(self, file: Path, rows: Sequence[dict[str, object]] | None = None) -> None:
        """Write `rows` (by default the table's own) as CSV, sorted by video; replaces an older file whole.

        Where there are segments, columns behind the video say when they start and end.
        """
        frame = in_order(pd.DataFrame(self.rows if rows is None else rows))
        if "unreadable" in frame:  # stands last, wherever the first of them stands
            frame["unreadable"] = frame.pop("unreadable")
        write_text(file, frame.map(quoted).to_csv(index=False))


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table sorted by video, with columns for start and end behind it where rows are segments."""
    named = [Segment.of_name(video) for video in frame["video"]]
    keys = [(path, segment or (-1.0, -1.0)) for path, segment in named]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    frame = frame.iloc[order].reset_index(drop=True)
    for in_frames, columns in SEGMENT_COLUMNS.items():
        segments = [named[row][1] for row in order]
        of_unit = [segment if segment and segment.in_frames == in_frames else None for segment in segments]
        if any(of_unit):
            for bound, column in enumerate(columns):
                cells = [segment and segment[bound] for segment in of_unit]
                frame.insert(1 + bound, column, pd.array(cells, dtype="Int64" if in_frames else "Float64"))
    return frame


class MultiLabelTable(PredictionTable):
    """Rows of video, labels, the classes that are predicted, and the five likeliest ones.

    Several classes stand in one cell, the most probable first, with `;` between them, and so do their
    probabilities in `probability`; `label_probability` has those of the labels.

    Args:
        class_names: The K class names.
        thresholds: Above which a class is predicted.
    """

    def __init__(self, class_names: Sequence[str], thresholds: Thresholds | None = None) -> None:
        super().__init__(class_names)
        self.thresholds = thresholds or Thresholds.even(len(class_names))

    def labelled(self, probabilities: Float[Tensor, " K"], label: Any) -> dict[str, object]:
        entry: dict[str, object] = {}
        if label is not None:
            own = [k for k, there in enumerate(label) if there]
            entry |= {"label": self.named(own), "label_probability": self._said(own, probabilities)}
        predicted = self.thresholds.above(probabilities)
        return entry | {
            "prediction": self.named(predicted),
            "probability": self._said(predicted, probabilities),
        }

    def named(self, label: Any) -> str:
        return BETWEEN.join(super(MultiLabelTable, self).named(k) for k in label)

    @staticmethod
    def _said(classes: Sequence[int], probabilities: Float[Tensor, " K"]) -> str:
        return BETWEEN.join(f"{float(probabilities[k]):.6f}" for k in classes)
