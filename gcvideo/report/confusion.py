"""Which classes are taken for which, with those that are mistaken for each other side by side."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int64
from scipy.cluster.hierarchy import leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform


def confusion_matrix(predictions: pd.DataFrame, classes: list[str]) -> Int64[np.ndarray, "K K"]:
    """Return the number of videos of class i (row) predicted as class j (column)."""
    counts = pd.crosstab(predictions["label"], predictions["prediction"])
    return counts.reindex(index=classes, columns=classes, fill_value=0).to_numpy(dtype=np.int64)


def order_by_confusion(counts: Int64[np.ndarray, "K K"]) -> list[int]:
    """Return an order of the classes in which those mistaken for each other are neighbours.

    Average-linkage clustering, its leaves in the best order (Bar-Joseph et al., Bioinformatics 2001), by the
    share of videos of one class taken for the other, in both directions.
    """
    if len(counts) < 3:
        return list(range(len(counts)))
    shares = row_shares(counts)
    alike = (shares + shares.T) / 2
    apart = 1 - alike
    np.fill_diagonal(apart, 0)
    distances = squareform(apart, checks=False)
    return leaves_list(optimal_leaf_ordering(linkage(distances, "average"), distances)).tolist()


def row_shares(counts: Int64[np.ndarray, "K K"]) -> Float[np.ndarray, "K K"]:
    """Return the share of each class's videos predicted as each class; 0 for a class without videos."""
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def most_confused(counts: Int64[np.ndarray, "K K"], classes: list[str], *, number: int) -> pd.DataFrame:
    """Return the pairs of a class and what it is taken for, the most frequent first."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    largest = np.argsort(wrong, axis=None, kind="stable")[::-1][:number]
    pairs = [(int(flat // len(classes)), int(flat % len(classes))) for flat in largest]
    return pd.DataFrame(
        [
            {
                "class": classes[row],
                "taken for": classes[column],
                "videos": int(wrong[row, column]),
                "of": int(counts[row].sum()),
            }
            for row, column in pairs
            if wrong[row, column]
        ]
    )


def class_accuracy(counts: Int64[np.ndarray, "K K"], classes: list[str]) -> pd.DataFrame:
    """Return accuracy and number of videos of every class that has any, the best first."""
    table = pd.DataFrame({"class": classes, "accuracy": np.diag(row_shares(counts)), "videos": counts.sum(1)})
    return table.loc[table["videos"] > 0].sort_values(by=["accuracy", "class"], ascending=[False, True])
