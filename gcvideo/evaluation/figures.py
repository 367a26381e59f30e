"""Figures as people read them; files have them in full."""

from collections.abc import Mapping

TITLES = {
    "top1": "top-1",
    "top5": "top-5",
    "mean_class": "mean over classes",
    "map": "mAP",
    "sample_map": "mAP over videos",
    "f1_micro": "F1 at 0.5",
    "loss": "loss",
    "videos": "videos",
    "unreadable": "unreadable videos",
    "top1_unreadable_wrong": "top-1, those counted as wrong",
    "top5_unreadable_wrong": "top-5, those counted as wrong",
}

SHARES = ("top1", "top5", "mean_class", "map", "sample_map", "f1")
"""How figures begin that are shares of one."""


def rounded(name: str, value: float) -> str:
    """Return a share as per cents of two places, a count whole, and anything else to four digits."""
    figure = name.rpartition("/")[2]
    if figure.startswith(SHARES):
        return f"{100 * value:.2f} %"
    return f"{value:.0f}" if figure in ("videos", "unreadable") else f"{value:.4g}"


def result_table(metrics: Mapping[str, float], *, num_classes: int) -> str:
    """Return a line for every figure that says something.

    Top-5 of up to five classes is always 1, and what counts unreadable videos says nothing where all were
    read.

    Args:
        metrics: Figures by name, as "test/top1".
        num_classes: K.
    """
    figures = {name.rpartition("/")[2]: value for name, value in metrics.items()}
    all_read = not figures.get("unreadable")
    shown = [
        (TITLES.get(figure, figure), rounded(figure, figures[figure]))
        for figure in sorted(figures, key=[*TITLES, *sorted(figures)].index)
        if not (all_read and "unreadable" in figure)
        if not (num_classes <= 5 and figure.startswith("top5"))
    ]
    width = max(len(title) for title, _ in shown)
    return "".join(f"  {title:<{width}}  {text:>9}\n" for title, text in shown)
