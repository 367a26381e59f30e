"""The report's plots; which line is which run is said once, on the page."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Int64
from plotly.colors import qualitative, sequential

from gcvideo.report.confusion import row_shares
from gcvideo.report.run import Run

Colours = Mapping[str, str]
"""Of the runs, by their names."""

CURVES = {
    "train/loss": "Training loss",
    "val/loss": "Validation loss",
    "val/top1": "Validation top-1",
    "val/top5": "Validation top-5",
    "val/mean_class": "Validation mean over classes",
    "val/map": "Validation mAP",
    "val/sample_map": "Validation mAP over videos",
    "val/f1_micro": "Validation F1 at 0.5",
    "lr": "Learning rate",
}
SHARES_OF_ONE = ("val/top1", "val/top5", "val/mean_class", "val/map", "val/sample_map", "val/f1_micro")
SHADES = sequential.Blues
"""Of shares in the confusion matrix, from 0 to 1 by their square root."""
MOST_NAMES = 60
"""Classes whose names still fit along an axis."""


def colours_of(runs: Sequence[Run]) -> dict[str, str]:
    """Return a colour for each run, the same in every plot."""
    return dict(zip((run.name for run in runs), cycle(qualitative.D3), strict=False))


def curves(runs: Sequence[Run], colours: Colours) -> dict[str, go.Figure]:
    """Return one plot a logged value, with a line for each run that logged it."""
    figures = {}
    for key, title in CURVES.items():
        figure = go.Figure()
        for run in runs:
            column = _column(run.curves, key)
            if column is None:
                continue
            line = run.curves.loc[run.curves[column].notna()].sort_values(by="step")
            figure.add_scatter(
                x=line["step"].tolist(),
                y=line[column].tolist(),
                name=_as_text(run.name),
                mode="lines+markers" if len(line) < 40 else "lines",
                line_color=colours[run.name],
            )
        if figure.data:
            if key in SHARES_OF_ONE:  # which, where all are 1, plotly would draw from 0 to 2
                figure.update_yaxes(tickformat=".3~p", autorangeoptions={"clipmin": -0.02, "clipmax": 1.02})
            figures[title] = _laid_out(figure, title, x="step")
    return figures


def _column(log: pd.DataFrame, key: str) -> str | None:
    """Return a logged value; of learning rates, which are logged a group each, the largest."""
    if key != "lr":
        return key if key in log and log[key].notna().any() else None
    groups = [column for column in log if str(column).startswith("lr-")]
    return max(groups, key=lambda column: log[column].max()) if groups else None


def confusion(counts: Int64[np.ndarray, "K K"], classes: Sequence[str]) -> go.Figure:
    """Plot the share of each class's videos that is taken for each class.

    Colours make a share of 1 % visible, and hovering names classes and counts, so it serves 400 of them too.
    """
    figure = go.Figure(
        go.Heatmap(
            z=np.sqrt(row_shares(counts)),
            x=[*map(_as_text, classes)],
            y=[*map(_as_text, classes)],
            customdata=np.dstack([counts, row_shares(counts)]),
            zmin=0,
            zmax=1,
            colorscale=SHADES,
            showscale=False,
            hovertemplate="%{y}<br>taken for %{x}<br>%{customdata[0]} videos, %{customdata[1]:.0%}"
            "<extra></extra>",
        )
    )
    named = len(classes) <= MOST_NAMES
    shown = {"type": "category", "showticklabels": named, "constrain": "domain"}
    figure.update_xaxes(tickangle=-60, **shown)
    figure.update_yaxes(autorange="reversed", scaleanchor="x", **shown)
    return _laid_out(figure, "Label (rows) and prediction (columns)")


def class_accuracies(tables: Mapping[str, pd.DataFrame], colours: Colours) -> go.Figure:
    """Plot the accuracy of every class, in the order of the first run's: bars, or dots if too many."""
    order = list(dict.fromkeys(name for table in tables.values() for name in table["class"]))
    named = len(order) <= MOST_NAMES
    figure = go.Figure()
    for name, table in tables.items():
        told: dict[str, Any] = {
            "x": [*map(_as_text, table["class"])],
            "y": table["accuracy"],
            "name": _as_text(name),
            "customdata": table["videos"],
            "marker": {"color": colours[name]},
            "hovertemplate": f"%{{x}}: %{{y:.1%}} of %{{customdata}} videos<extra>{_as_text(name)}</extra>",
        }
        if named:
            figure.add_bar(**told)
        else:
            figure.add_scatter(mode="markers", **told)
    figure.update_xaxes(type="category", categoryorder="array", categoryarray=[*map(_as_text, order)])
    figure.update_xaxes(showticklabels=named, tickangle=-60, showgrid=False)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return _laid_out(figure, "", x="" if named else f"{len(order)} classes")


def accuracy_against(
    costs: Mapping[str, float], accuracies: Mapping[str, float], colours: Colours, *, cost: str, accuracy: str
) -> go.Figure:
    """Plot one point a run."""
    figure = go.Figure()
    for name, x in costs.items():
        figure.add_scatter(
            x=[x],
            y=[accuracies[name]],
            name=_as_text(name),
            mode="markers",
            marker={"size": 12, "color": colours[name]},
            hovertemplate=f"{_as_text(name)}<br>{cost}: %{{x:.4g}}<br>{accuracy}: %{{y:.2%}}<extra></extra>",
        )
    figure.update_xaxes(rangemode="tozero")
    lowest, highest = max(min(accuracies.values()) - 0.03, 0), min(max(accuracies.values()) + 0.03, 1.02)
    figure.update_yaxes(tickformat=".3~p", range=[lowest, highest])
    return _laid_out(figure, f"{accuracy.capitalize()} against {cost}", x=cost)


def _as_text(name: str) -> str:
    """Return a name in which plotly finds no tags."""
    return escape(name, quote=False)


def _laid_out(figure: go.Figure, title: str, *, x: str = "") -> go.Figure:
    figure.update_yaxes(ticks="outside", tickcolor="rgba(0, 0, 0, 0)")  # which keeps labels off the axis
    return figure.update_layout(
        template="plotly_white",
        title=title,
        margin={"l": 50, "r": 20, "t": 24, "b": 40},
        xaxis_title=x,
        showlegend=False,
        font={"family": "system-ui, sans-serif", "size": 12},
    )
