"""What a run's folder says of the run."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from gcvideo.cells import unquoted
from gcvideo.report.several import false_positives, missed_labels, told_and_labelled
from gcvideo.run_folder import PLOT_OF_BLOCK, Evaluated, RunFolder

EVALUATED: tuple[Evaluated, ...] = ("test", "val")
MOST_OF_A_KIND = 12
"""Mistakes of each kind that are shown, where a video has several labels."""
PICTURE_KINDS = {".png": "image/png", ".gif": "image/gif"}


class Quartiles(NamedTuple):
    """A figure over the rounds of a measurement."""

    median: float
    lower: float
    upper: float


class Cost(NamedTuple):
    """What a run's network costs, on one view of the run.

    Attributes:
        clip: T, H and W of the view.
        parameters: Number of parameters.
        flops_per_view: Multiply-adds of one forward pass.
        inference_bytes: Largest amount of memory that results of operators hold in a forward pass.
        training_bytes: The same of a training step.
        forward_seconds: Time of one forward pass.
        times_as_long: The time over that of the first run's network, in the same round.
    """

    clip: tuple[int, int, int]
    parameters: int
    flops_per_view: int
    inference_bytes: int
    training_bytes: int
    forward_seconds: Quartiles
    times_as_long: Quartiles


@dataclass
class Run:
    """One run: what it was asked for, and what it left behind.

    Attributes:
        name: The folder's name.
        folder: The folder.
        config: config.yaml.
        curves: metrics.csv: logged values with their step, one row a moment; empty where nothing was logged.
        metrics: Of the test and the last validation, by their names (`test/top1`).
        protocols: What the test, and the last `gcvideo validate`, looked at.
        predictions: predictions.csv of the test, or none.
        attention: Pictures of attention/ by file name, without the distances of single blocks.
        cost: Parameters, FLOPs and time of the run's network, once measured.
        thumbnails: JPEG files of videos, by video, once read.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    curves: pd.DataFrame
    metrics: dict[str, float]
    protocols: dict[Evaluated, dict[str, Any]]
    predictions: pd.DataFrame | None
    attention: dict[str, str]
    cost: Cost | None = None
    thumbnails: dict[str, str] = field(default_factory=dict)

    @property
    def checkpoint(self) -> Path | None:
        """The best checkpoint, or else the last."""
        run = RunFolder(self.folder)
        return next((file for file in (run.best, run.last) if file.is_file()), None)

    def mistakes(self) -> pd.DataFrame:
        """Return wrong predictions, the most confident first."""
        if self.predictions is None:
            return pd.DataFrame()
        wrong = self.predictions.loc[self.predictions["label"] != self.predictions["prediction"]]
        return wrong.loc[wrong["prediction"].notna()].sort_values(
            "probability", ascending=False, kind="stable"
        )


@dataclass
class MultiLabelRun(Run):
    """One run on videos that have several labels each.

    Attributes:
        classes: test_classes.csv: videos, average precision and more of every class, or none.
    """

    classes: pd.DataFrame | None = None

    def false_positives(self) -> pd.DataFrame:
        """Return classes that are told of test videos and are not there, the most confident first."""
        return false_positives(told_and_labelled(self._read()))

    def missed_labels(self) -> pd.DataFrame:
        """Return labels of test videos that are not told, the least probable first."""
        return missed_labels(told_and_labelled(self._read()))

    def mistakes(self) -> pd.DataFrame:
        kinds = self.false_positives(), self.missed_labels()
        return pd.concat([of_kind.head(MOST_OF_A_KIND) for of_kind in kinds])

    def _read(self) -> pd.DataFrame:
        columns = pd.Index(["video", "prediction", "probability", "label", "label_probability"])
        return pd.DataFrame(columns=columns) if self.predictions is None else self.predictions


def read_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        ValueError: It is no folder of a run, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    run = RunFolder(folder)
    if not run.config.is_file():
        raise ValueError(f"{folder}: holds no config.yaml; expected the run_dir of a `gcvideo fit`")
    figures = {evaluated: _read_figures(run.evaluation_metrics(evaluated)) for evaluated in EVALUATED}
    protocols: dict[Evaluated, dict[str, Any]] = {
        evaluated: figures[evaluated].pop("protocol")
        for evaluated in EVALUATED
        if "protocol" in figures[evaluated]
    }
    config = _read_yaml(run.config)
    several = task_of(config) == "multi_label"
    kind = partial(MultiLabelRun, classes=_read_classes(run.class_figures("test"))) if several else Run
    read_predictions = _read_several if several else _read_predictions
    return kind(
        name=folder.resolve().name,
        folder=folder,
        config=config,
        curves=_read_curves(run.curves),
        metrics=figures["val"] | figures["test"],
        protocols=protocols,
        predictions=read_predictions(run.predictions) if run.predictions.is_file() else None,
        attention={
            file.name: data_uri(file.read_bytes(), PICTURE_KINDS[file.suffix])
            for file in sorted(run.attention.glob("*"))
            if file.suffix in PICTURE_KINDS and not file.name.startswith(PLOT_OF_BLOCK)
        },
    )


def task_of(config: Mapping[str, Any]) -> str:
    """Return what the videos of a run have, single_label or multi_label, by its configuration."""
    model = config.get("model") or {}
    return model.get("init_args", model).get("task") or "single_label"


def data_uri(content: bytes, kind: str) -> str:
    """Return a file's content as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file}: is no config of a run; expected keys such as model and data")
    return content


def _read_figures(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: is not JSON ({error}); run the test again") from error
    kinds = {"protocol": dict}
    if not isinstance(content, dict) or not all(
        isinstance(value, kinds.get(name, float | int)) for name, value in content.items()
    ):
        raise ValueError(f"{file}: holds no figures by name, as test/top1; run the test again")
    return content


def _read_curves(file: Path) -> pd.DataFrame:
    nothing = pd.DataFrame({"step": []})
    if not file.is_file():
        return nothing
    try:
        log = pd.read_csv(file)
    except pd.errors.EmptyDataError:  # of a run that ended before it logged
        return nothing
    except ValueError as error:
        raise ValueError(f"{file}: is not a log of `gcvideo fit` ({error})") from error
    if "step" not in log:
        raise ValueError(f"{file}: is not a log of `gcvideo fit`: it has no column step")
    return log


def _read_classes(file: Path) -> pd.DataFrame | None:
    if not file.is_file():
        return None
    table = pd.read_csv(file, dtype={"class": str})
    if missing := {"class", "videos", "average_precision"} - set(table.columns):
        raise ValueError(f"{file}: has no column {', '.join(sorted(missing))}; run `gcvideo test` again")
    return table.map(unquoted)


def _read_several(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, dtype=str)
    if missing := {"video", "label", "label_probability", "prediction", "probability"} - set(table.columns):
        raise ValueError(f"{file}: has no column {', '.join(sorted(missing))}; run `gcvideo test` again")
    read = table.loc[table["unreadable"].isna()] if "unreadable" in table else table
    return read.map(unquoted)


def _read_predictions(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, dtype={"video": str, "label": str, "prediction": str})
    missing = {"video", "label", "prediction", "probability"} - set(table.columns)
    if missing:
        raise ValueError(f"{file}: has no column {', '.join(sorted(missing))}; run `gcvideo test` again")
    return table.map(unquoted)
