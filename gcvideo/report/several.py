"""What a run of several labels a video got wrong: classes that are not there, and labels that it missed."""

import pandas as pd

BETWEEN = ";"
"""What stands between classes, and between probabilities, in a cell of predictions.csv."""


def told_and_labelled(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return a row for every class that is told or labelled of a video: which, its probability, and whether.

    Columns: video, class, probability, told, labelled.
    """
    rows: dict[tuple[str, str], dict[str, object]] = {}
    sides = {"told": ("prediction", "probability"), "labelled": ("label", "label_probability")}
    for video in predictions.to_dict("records"):
        for side, (classes, probabilities) in sides.items():
            for name, probability in zip(_parts(video[classes]), _parts(video[probabilities]), strict=True):
                row = rows.setdefault(
                    (video["video"], name),
                    {"video": video["video"], "class": name, "told": False, "labelled": False},
                )
                row |= {side: True, "probability": float(probability)}
    columns = ["video", "class", "probability", "told", "labelled"]
    return pd.DataFrame([*rows.values()], columns=pd.Index(columns))


def false_positives(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the classes that are told and not labelled, the most confident first."""
    wrong = pairs.loc[pairs["told"].astype(bool) & ~pairs["labelled"].astype(bool)]
    return wrong.sort_values("probability", ascending=False, kind="stable")


def missed_labels(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the labels that are not told, the least probable first."""
    missed = pairs.loc[~pairs["told"].astype(bool) & pairs["labelled"].astype(bool)]
    return missed.sort_values("probability", kind="stable")


def _parts(cell: object) -> list[str]:
    return cell.split(BETWEEN) if isinstance(cell, str) and cell else []
