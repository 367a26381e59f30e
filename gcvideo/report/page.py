"""The page: sections of tables and plots in one HTML file that needs no network."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gcvideo import __version__
from gcvideo.atomic import write_text
from gcvideo.evaluation.figures import TITLES
from gcvideo.report import figures
from gcvideo.report.confusion import (
    class_accuracy,
    confusion_matrix,
    most_confused,
    order_by_confusion,
)
from gcvideo.report.run import MOST_OF_A_KIND, MultiLabelRun, Run

MOST_MISTAKES = 24
MOST_PAIRS = 15
FIGURES = ("top1", "top5", "mean_class", "map", "sample_map", "f1_micro", "loss")
TEST_METRICS = tuple(f"test/{name}" for name in FIGURES)
VAL_METRICS = tuple(f"val/{name}" for name in FIGURES)


class Confusions(NamedTuple):
    """How one run's test went, class by class."""

    run: Run
    plot: Markup
    pairs: Markup
    accuracies: pd.DataFrame
    mistakes: list[dict[str, Any]]


class Findings(NamedTuple):
    """How one run's test of several labels went: class by class, and what it got wrong."""

    run: MultiLabelRun
    classes: Markup
    accuracies: pd.DataFrame
    false_positives: list[dict[str, Any]]
    missed: list[dict[str, Any]]


def write_report(runs: Sequence[Run], file: Path) -> None:
    """Write the report on `runs`, which are of one task, to an HTML file, replaced whole."""
    environment = Environment(
        loader=PackageLoader("gcvideo.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # What several parts of the page share
    of_one = [run for run in runs if not isinstance(run, MultiLabelRun)]
    confusions = [confusions_of(run) for run in of_one if run.predictions is not None]
    of_several = [run for run in runs if isinstance(run, MultiLabelRun)]
    findings = [findings_of(run) for run in of_several if run.classes is not None]
    tables = {one.run.name: one.accuracies for one in (*confusions, *findings)}
    colours = figures.colours_of(runs)
    # The page, with plotly inside
    page = environment.get_template("page.html.j2").render(
        plotly=Markup(get_plotlyjs()),
        version=__version__,
        written=datetime.now().strftime("%Y-%m-%d %H:%M"),
        runs=runs,
        colours=colours,
        settings=html_table(pd.DataFrame([settings(run) for run in runs])),
        metrics=html_table(pd.DataFrame([*(metrics(run) for run in runs), *over_folds(runs)])),
        protocols=html_table(pd.DataFrame([row for run in runs for row in protocols(run)])),
        curves=[plot(figure) for figure in figures.curves(runs, colours).values()],
        class_accuracies=plot(figures.class_accuracies(tables, colours)) if tables else None,
        several=not of_one,
        confusions=confusions,
        findings=findings,
        shades=figures.SHADES,
        costs=html_table(costs(runs)),
        trade_offs=[plot(figure) for figure in trade_offs(runs, colours)],
    )
    write_text(file, page)


def settings(run: Run) -> dict[str, Any]:
    """Return what a run was asked for, in one row."""
    model, data, trainer = (run.config.get(part) or {} for part in ("model", "data", "trainer"))
    network = (model.get("network") or {}).get("init_args") or {}
    block, placement = network.get("block") or {}, network.get("placement") or {}
    places = [f"{stage}: {blocks}" for stage, blocks in placement.items() if stage != "position" and blocks]
    clip = data.get("clip") or {}
    return {
        "run": run.name,
        "network": " ".join(str(network.get(key, "")) for key in ("architecture", "depth")),
        "width": network.get("width"),
        "block": str(block.get("class_path", "none")).rpartition(".")[2],
        "placed": ", ".join([*places, str(placement.get("position", ""))]).strip(", ") or "-",
        "clip": f"{clip.get('num_frames', '')} x {clip.get('stride', '')}",
        "epochs": trainer.get("max_epochs"),
        "batch": data.get("batch_size"),
        "learning rate": model.get("learning_rate"),
        "balanced by": balanced_by(data, model.get("loss")),
        "data": data.get("root"),
    }


def balanced_by(data: Mapping[str, Any], loss: Any) -> str:
    """Return what makes up for classes of which the list has more videos than of others."""
    order = str((data.get("train_order") or {}).get("class_path", "")).rpartition(".")[2]
    weights = (loss.get("init_args") or {}).get("class_weights") if isinstance(loss, dict) else None
    described = weights if isinstance(weights, str) else "as given" * (weights is not None)
    return ", ".join(filter(None, [order, described and f"class weights {described}"])) or "-"


def metrics(run: Run) -> dict[str, Any]:
    """Return the metrics of the test and of the last validation, in one row."""
    known, row = known_metrics(run), {"run": run.name}
    for name in (*TEST_METRICS, *VAL_METRICS):
        if name in known:
            row[name] = f"{known[name]:.4f}" if name.endswith("loss") else f"{known[name]:.2%}"
    if run.predictions is not None:
        row["test videos"] = str(len(run.predictions))  # not 96.0 beside a run without
    return row


def known_metrics(run: Run) -> dict[str, float]:
    """Return the metrics of the last validation and of the evaluations."""
    logged = {name: run.curves[name].dropna() for name in VAL_METRICS if name in run.curves}
    return {name: float(values.iloc[-1]) for name, values in logged.items() if len(values)} | run.metrics


def over_folds(runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield a row of mean and standard deviation (n - 1) where the runs are folds of one list."""
    folds: list[dict[str, Any]] = [(run.config.get("data") or {}).get("folds") or {} for run in runs]
    if len(runs) < 2 or not all(folds) or len({one["fold"] for one in folds}) < len(runs):
        return
    if len({json.dumps({**one, "fold": None}, sort_keys=True) for one in folds}) > 1:
        return
    known = pd.DataFrame([known_metrics(run) for run in runs])
    row: dict[str, Any] = {"run": f"mean ± deviation of {len(runs)} of {folds[0]['num_folds']} folds"}
    for name in (*TEST_METRICS, *VAL_METRICS):
        if name in known and known[name].notna().all():
            mean, deviation = known[name].mean(), known[name].std()
            plain = name.endswith("loss")
            row[name] = f"{mean:.4f} ± {deviation:.4f}" if plain else f"{mean:.2%} ± {deviation:.2%}"
    yield row


def protocols(run: Run) -> Iterator[dict[str, Any]]:
    """Yield what the test and the validation of a run looked at, one row each."""
    for evaluated, told in run.protocols.items():
        clip, views = told.get("clip", {}), told.get("views", {})
        checkpoint, weights = _within(run.folder, told.get("checkpoint")), told.get("weights")
        yield {
            "run": run.name,
            "of": evaluated,
            "list": told.get("list"),
            "videos": str(told.get("videos", "-")),
            "clip": f"{clip.get('num_frames')} x {clip.get('stride')}",
            "clips x crops": f"{views.get('num_clips')} x {views.get('num_crops')}",
            "crop": f"{views.get('crop_size')} of {views.get('short_side')}",
            "starts": views.get("start_rule"),
            "checkpoint": f"{checkpoint}, {weights} weights" if weights else checkpoint,
        }


def _within(folder: Path, file: str | None) -> str | None:
    """Return a file's path as seen from the run's folder, where it lies in there."""
    if file is None or not Path(file).resolve().is_relative_to(folder.resolve()):
        return file
    return str(Path(file).resolve().relative_to(folder.resolve()))


def costs(runs: Sequence[Run]) -> pd.DataFrame:
    """Return what the runs' networks cost, one row a run; times are beside the first's of the same round."""
    measured = {run.name: run.cost for run in runs if run.cost is not None}
    rows = []
    for name, cost in measured.items():
        row: dict[str, Any] = {
            "run": name,
            "view": " x ".join(map(str, cost.clip)),
            "parameters M": f"{cost.parameters / 1e6:.3f}",
            "GFLOPs per view": f"{cost.flops_per_view / 1e9:.3f}",
            "ms per view": _with_quartiles(*(seconds * 1e3 for seconds in cost.forward_seconds)),
        }
        if len(measured) > 1:
            row["times as long"] = _with_quartiles(*cost.times_as_long)
        row["inference peak MiB"] = f"{cost.inference_bytes / 2**20:.1f}"
        row["training peak MiB"] = f"{cost.training_bytes / 2**20:.1f}"
        rows.append(row)
    return pd.DataFrame(rows)


def _with_quartiles(median: float, lower: float, upper: float) -> str:
    return f"{median:.3g} ({lower:.3g} to {upper:.3g})"


def trade_offs(runs: Sequence[Run], colours: figures.Colours) -> list[go.Figure]:
    """Plot accuracy against FLOPs and against time, where both are known of several runs."""
    figure = "test/map" if any(isinstance(run, MultiLabelRun) for run in runs) else "test/top1"
    said = f"test {TITLES[figure.removeprefix('test/')]}"
    known = {run.name: run.cost for run in runs if run.cost is not None and figure in run.metrics}
    if len(known) < 2:
        return []
    accuracies = {run.name: run.metrics[figure] for run in runs if run.name in known}
    flops = {name: cost.flops_per_view / 1e9 for name, cost in known.items()}
    times = {name: cost.forward_seconds.median * 1e3 for name, cost in known.items()}
    return [
        figures.accuracy_against(flops, accuracies, colours, cost="GFLOPs per view", accuracy=said),
        figures.accuracy_against(times, accuracies, colours, cost="ms per view", accuracy=said),
    ]


def confusions_of(run: Run) -> Confusions:
    """Return confusion matrix, the pairs most confused, accuracies and the most confident mistakes."""
    assert run.predictions is not None
    read = run.predictions.dropna(subset=["prediction"])
    names = sorted({*read["label"], *read["prediction"]})
    counts = confusion_matrix(read, names)
    order = order_by_confusion(counts)
    ordered, classes = counts[order][:, order], [names[place] for place in order]
    mistakes = [
        {**row, "thumbnail": run.thumbnails.get(row["video"])}
        for row in run.mistakes().head(MOST_MISTAKES).to_dict("records")
    ]
    return Confusions(
        run=run,
        plot=plot(figures.confusion(ordered, classes), kind="square"),
        pairs=html_table(most_confused(counts, names, number=MOST_PAIRS)),
        accuracies=class_accuracy(counts, names),
        mistakes=mistakes,
    )


def findings_of(run: MultiLabelRun) -> Findings:
    """Return the classes' average precisions, and the most confident mistakes of both kinds."""
    assert run.classes is not None
    known = run.classes.loc[run.classes["videos"] > 0]
    ranked = known.sort_values(by=["average_precision", "class"], ascending=[False, True])
    shares = ranked.select_dtypes("float").columns
    shown = ranked.assign(**{str(name): ranked[name].map("{:.3f}".format) for name in shares})
    told, missed = (
        [
            {**row, "thumbnail": run.thumbnails.get(row["video"])}
            for row in table.head(MOST_OF_A_KIND).to_dict("records")
        ]
        for table in (run.false_positives(), run.missed_labels())
    )
    return Findings(
        run=run,
        classes=html_table(shown.rename(columns=lambda name: str(name).replace("_", " "))),
        accuracies=ranked.rename(columns={"average_precision": "accuracy"}),
        false_positives=told,
        missed=missed,
    )


def plot(figure: go.Figure, *, kind: Literal["flat", "square"] = "flat") -> Markup:
    """Return a figure under its title, as data that the page draws once all of it is laid out."""
    title, figure.layout.title = figure.layout.title.text, None
    heading = Markup("<h4>{}</h4>").format(title) if title else Markup("")
    place = Markup('<div class="plot {}"></div>').format(kind)
    data = Markup('<script type="application/json">{}</script>')
    return heading + place + data.format(Markup(figure.to_json()))  # which escapes <, > and /


def html_table(frame: pd.DataFrame) -> Markup:
    """Return a table in HTML; pandas escapes its cells."""
    if frame.empty:
        return Markup("")
    shown = frame.map(lambda cell: "-" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell))
    return Markup(shown.to_html(index=False, border=0, classes="table"))
