"""`gcvideo report` on a real run: its curves, its cost, and pictures of its mistakes."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import plotly.io
import pytest

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.journey.trained import write_checkpoint
from tests.training.runs import write_config

TITLES = {
    "train/loss": "Training loss",
    "val/loss": "Validation loss",
    "val/top1": "Validation top-1",
    "val/top5": "Validation top-5",
    "val/mean_class": "Validation mean over classes",
    "lr-SGD/pg1": "Learning rate",
}
Points = list[tuple[float, float]]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    checkpoint = write_checkpoint(folder)
    run_dir = checkpoint.parents[1]
    main(["test", "--config", str(run_dir / "config.yaml"), "--ckpt_path", str(checkpoint)])
    return run_dir


def test_a_run_becomes_a_page_in_its_own_folder_with_its_cost_and_pictures_of_its_mistakes(
    run_dir: Path,
) -> None:
    table = pd.read_csv(run_dir / "predictions.csv", dtype=str)
    table["prediction"] = "three"  # whatever the network says, videos of classes one and two are mistaken
    table.to_csv(run_dir / "predictions.csv", index=False)
    main(["report", str(run_dir)])
    page = (run_dir / "report.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 2
    (cells,) = re.findall(r"<td>4 x 32 x 32</td>(.*?)</tr>", page, flags=re.DOTALL)
    parameters, gflops, milliseconds, *_ = re.findall(r"<td>(.*?)</td>", cells)
    main(["complexity", "--config", str(run_dir / "config.yaml"), "--out", str(run_dir)])
    counted = pd.read_csv(run_dir / "complexity.csv").iloc[0]
    assert (float(parameters), float(gflops)) == (counted["params_M"], counted["GFLOPs_per_view"])
    assert re.fullmatch(r"[\d.e+]+ \([\d.e+]+ to [\d.e+]+\)", milliseconds)


def test_cost_can_be_left_out(run_dir: Path, tmp_path: Path) -> None:
    main(["report", str(run_dir), "--cost", "false", "--out", str(tmp_path / "page.html")])
    assert "4 x 32 x 32" not in (tmp_path / "page.html").read_text()


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["report", str(tmp_path)])
    assert "holds no config.yaml; expected the run_dir" in capsys.readouterr().err


def logged(file: Path) -> tuple[dict[str, Points], dict[str, float]]:
    """What a run logged by name: all of it, and the last."""
    with file.open(newline="") as rows:
        cells = [(name, row["step"], value) for row in csv.DictReader(rows) for name, value in row.items()]
    points: dict[str, Points] = {}
    for name, step, value in cells:
        if value and name not in ("step", "epoch"):
            points.setdefault(name, []).append((int(step), float(value)))
    return points, {name: of_name[-1][1] for name, of_name in points.items()}


def drawn(page: str) -> Iterator[tuple[str, Points]]:
    """Title and points of every curve in a page."""
    plots = re.findall(r"<h4>([^<]*)</h4><div[^>]*></div><script[^>]*>(.*?)</script>", page, flags=re.DOTALL)
    for title, data in plots:
        for trace in plotly.io.from_json(data).data:
            if trace.type == "scatter":
                yield title, list(zip(trace.x, trace.y, strict=True))


def test_what_a_training_and_a_test_have_logged_is_in_the_page(tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "data", train=2, val=2, test=2)
    config = write_config(tmp_path, root, trainer={"max_epochs": 3})
    run = tmp_path / "run"
    main(["fit", "--config", str(config)])
    main(["test", "--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints/last.ckpt")])
    main(["report", "--trust", "tests", str(run)])
    page = (run / "report.html").read_text()

    points, last = logged(run / "metrics" / "metrics.csv")
    assert {len(points[name]) for name in TITLES if name.startswith("val/") and name in points} == {3}
    assert dict(drawn(page)) == {
        title: [pytest.approx(point) for point in points[name]]
        for name, title in TITLES.items()
        if name in points
    }
    test = json.loads((run / "test_metrics.json").read_text())
    shown = [f"{last['val/top1']:.2%}", f"{last['val/loss']:.4f}", f"{test['test/top1']:.2%}"]
    assert all(f"<td>{number}</td>" in page for number in shown)
    protocol = [str(root / "test.csv"), "2", "4 x 1", "2 x 1", "32 of 32", "to_end", "checkpoints/last.ckpt"]
    assert re.search(r"\s*".join(f"<td>{re.escape(cell)}</td>" for cell in protocol), page)


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    """It may have been stopped before it logged: then its file of metrics is empty."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "metrics.csv").write_text("\r\n")
    (tmp_path / "config.yaml").write_text("{}")
    main(["report", str(tmp_path)])
    assert "No run has logged anything" in (tmp_path / "report.html").read_text()
