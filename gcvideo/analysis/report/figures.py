"""The report's plots."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Int64
from plotly.colors import qualitative

from gcvideo.analysis.report.confusion import row_shares
from gcvideo.analysis.report.run import Run

COLOURS = qualitative.D3
CURVES = {
    "train/loss": "Training loss",
    "val/loss": "Validation loss",
    "val/top1": "Validation top-1",
    "val/top5": "Validation top-5",
    "val/mean_class": "Validation mean over classes",
    "lr": "Learning rate",
}
SHARES = (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)
MOST_NAMES = 60
"""Classes whose names still fit along an axis."""


def curves(runs: Sequence[Run]) -> dict[str, go.Figure]:
    """One plot a logged value, with a line for each run that logged it."""
    figures = {}
    for key, title in CURVES.items():
        figure = go.Figure()
        for number, run in enumerate(runs):
            column = _column(run.curves, key)
            if column is None:
                continue
            line = run.curves.loc[run.curves[column].notna()].sort_values(by="step")
            figure.add_scatter(
                x=line["step"],
                y=line[column],
                name=run.name,
                mode="lines+markers" if len(line) < 40 else "lines",
                line_color=_colour(number),
            )
        if figure.data:
            figures[title] = _laid_out(figure, title, x="step")
    return figures


def _column(log: pd.DataFrame, key: str) -> str | None:
    """Learning rates are logged a group each; the fastest speaks for all."""
    if key != "lr":
        return key if key in log and log[key].notna().any() else None
    groups = [column for column in log if str(column).startswith("lr-")]
    return max(groups, key=lambda column: log[column].max()) if groups else None


def confusion(counts: Int64[np.ndarray, "K K"], classes: Sequence[str]) -> go.Figure:
    """Shares of each class's videos, by colours that make a share of 1 % visible; hovering names classes and
    counts, so it serves 400 of them too."""
    figure = go.Figure(
        go.Heatmap(
            z=np.sqrt(row_shares(counts)),
            x=list(classes),
            y=list(classes),
            customdata=np.dstack([counts, row_shares(counts)]),
            zmin=0,
            zmax=1,
            colorscale="Blues",
            colorbar={
                "orientation": "h",
                "y": 1.0,
                "yanchor": "bottom",
                "thickness": 10,
                "tickvals": [share**0.5 for share in SHARES],
                "ticktext": [f"{share:.0%}" for share in SHARES],
            },
            hovertemplate="%{y}<br>taken for %{x}<br>%{customdata[0]} videos, %{customdata[1]:.0%}"
            "<extra></extra>",
        )
    )
    named = len(classes) <= MOST_NAMES
    figure.update_xaxes(showticklabels=named, constrain="domain", tickangle=-60)
    figure.update_yaxes(showticklabels=named, autorange="reversed", scaleanchor="x", constrain="domain")
    return _laid_out(
        figure, "Label (rows) and prediction (columns)", height=560 if len(classes) > 12 else 460
    )


def class_accuracies(tables: dict[str, pd.DataFrame]) -> go.Figure:
    """Accuracy of every class, in the order of the first run's."""
    order = list(dict.fromkeys(name for table in tables.values() for name in table["class"]))
    figure = go.Figure()
    for number, (name, table) in enumerate(tables.items()):
        figure.add_bar(
            x=table["class"],
            y=table["accuracy"],
            name=name,
            customdata=table["videos"],
            marker_color=_colour(number),
            hovertemplate="%{x}: %{y:.1%} of %{customdata} videos<extra>" + name + "</extra>",
        )
    figure.update_xaxes(
        categoryorder="array", categoryarray=order, showticklabels=len(order) <= MOST_NAMES, tickangle=-60
    )
    figure.update_yaxes(range=[0, 1], tickformat=".0%")
    return _laid_out(figure, "", height=420)


def accuracy_against(
    runs: Sequence[Run], costs: Sequence[float], accuracies: Sequence[float], *, cost: str, accuracy: str
) -> go.Figure:
    """A point a run."""
    figure = go.Figure()
    for number, (run, x, y) in enumerate(zip(runs, costs, accuracies, strict=True)):
        figure.add_scatter(
            x=[x],
            y=[y],
            name=run.name,
            mode="markers+text",
            text=[run.name],
            textposition="top center",
            marker={"size": 12, "color": _colour(number)},
            hovertemplate=f"{run.name}<br>{cost}: %{{x:.4g}}<br>{accuracy}: %{{y:.2%}}<extra></extra>",
        )
    figure.update_xaxes(rangemode="tozero")
    lowest, highest = max(min(accuracies) - 0.03, 0), min(max(accuracies) + 0.03, 1.02)
    figure.update_yaxes(tickformat=".0%", range=[lowest, highest])
    return _laid_out(figure, f"{accuracy.capitalize()} against {cost}", x=cost, legend=False)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _laid_out(
    figure: go.Figure, title: str, *, x: str = "", height: int = 340, legend: bool = True
) -> go.Figure:
    return figure.update_layout(
        template="plotly_white",
        title=title,
        height=height,
        margin={"l": 50, "r": 20, "t": 24, "b": 40},
        xaxis_title=x,
        showlegend=legend and len(list(figure.data)) > 1,
        legend={"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom"},
        font={"family": "system-ui, sans-serif", "size": 12},
    )
