"""The report says what the runs' files say, and a browser draws it at every width."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from gcvideo.analysis.complexity import Complexity
from gcvideo.analysis.report import Run, read_run, write_report
from gcvideo.analysis.report.confusion import (
    class_accuracy,
    confusion_matrix,
    most_confused,
    order_by_confusion,
)

CONFIG = {
    "trainer": {"max_epochs": 3},
    "model": {
        "learning_rate": 0.1,
        "network": {"init_args": {"architecture": "slow", "depth": 50, "placement": {"res3": [1, 3]}}},
    },
    "data": {"root": "clips", "batch_size": 8, "clip": {"num_frames": 8, "stride": 8}},
}


def write_run(folder: Path, *, num_classes: int = 5, curves: bool = True, tested: bool = True) -> Path:
    """The files that a run leaves, with numbers that are easy to find again."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    if curves:
        log = folder / "metrics" / "version_0"
        log.mkdir(parents=True)
        (log / "metrics.csv").write_text(
            "epoch,lr-SGD/pg1,step,train/loss,val/loss,val/top1\n"
            ",0.05,9,,,\n0,,9,1.5,,\n0,,9,,1.25,0.25\n,0.1,19,,,\n1,,19,0.75,,\n1,,19,,0.625,0.5\n"
        )
    if tested:
        (folder / "test_metrics.json").write_text(json.dumps({"test/top1": 0.8125, "test/loss": 0.4321}))
        rng = np.random.default_rng(0)
        rows = []
        for video in range(4 * num_classes):
            label = video % num_classes
            prediction = label if video >= num_classes else (label + 1) % num_classes
            probability = rng.uniform(0.3, 0.9)
            rows.append(f"{video:05d}.mp4,class {label} <i>,class {prediction} <i>,{probability:.4f}")
        text = "\n".join(["video,label,prediction,probability", *rows]) + "\n"
        (folder / "predictions.csv").write_text(text)
    return folder


def test_a_confusion_matrix_counts_labels_by_row_and_predictions_by_column() -> None:
    table = pd.DataFrame({"label": list("aabbb"), "prediction": list("abbba")})
    assert confusion_matrix(table, ["a", "b", "c"]).tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]


def test_classes_mistaken_for_each_other_become_neighbours() -> None:
    counts = np.diag([10] * 8)
    for row, column in ((0, 5), (5, 0), (2, 7), (1, 6)):
        counts[row, column] = 5
    order = order_by_confusion(counts)
    assert sorted(order) == list(range(8))
    place = {label: position for position, label in enumerate(order)}
    for one, other in ((0, 5), (2, 7), (1, 6)):
        assert abs(place[one] - place[other]) == 1


def test_the_most_confused_pairs_leave_out_what_is_right() -> None:
    counts = np.array([[9, 3, 0], [0, 9, 1], [0, 0, 4]])
    pairs = most_confused(counts, ["a", "b", "c"], number=5)
    assert pairs.to_dict("records") == [
        {"class": "a", "taken for": "b", "videos": 3, "of": 12},
        {"class": "b", "taken for": "c", "videos": 1, "of": 10},
    ]


def test_accuracy_per_class_leaves_out_classes_without_videos() -> None:
    table = class_accuracy(np.array([[1, 1, 0], [0, 4, 0], [0, 0, 0]]), ["a", "b", "c"])
    assert table[["class", "accuracy", "videos"]].values.tolist() == [["b", 1.0, 4], ["a", 0.5, 2]]


def test_a_resumed_runs_log_replaces_the_steps_that_it_repeats(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    resumed = folder / "metrics" / "version_10"
    resumed.mkdir()
    (resumed / "metrics.csv").write_text("epoch,step,train/loss\n1,19,0.5\n2,29,0.25\n")
    (folder / "metrics" / "version_2").mkdir()
    (folder / "metrics" / "version_2" / "metrics.csv").write_text("epoch,step,train/loss\n1,19,9\n")
    losses = read_run(folder).curves[["step", "train/loss"]].dropna()
    assert losses.to_numpy().tolist() == [[9, 1.5], [19, 0.5], [29, 0.25]]


def test_the_most_confident_mistake_comes_first(tmp_path: Path) -> None:
    mistakes = read_run(write_run(tmp_path / "run")).mistakes()
    assert len(mistakes) == 5
    assert (mistakes["label"] != mistakes["prediction"]).all()
    assert mistakes["probability"].is_monotonic_decreasing


def test_videos_that_could_not_be_read_are_no_mistakes(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    with (folder / "predictions.csv").open("a") as file:
        file.write("gone.mp4,class 1 <i>,,\n")
    assert "gone.mp4" not in set(read_run(folder).mistakes()["video"])


def test_maps_of_attention_are_shown_and_the_plots_of_single_blocks_are_not(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    (folder / "attention" / "films").mkdir(parents=True)
    for name in ("distances.png", "distances_res3.1.png", "map_a_res3.1.png", "distances.csv"):
        (folder / "attention" / name).write_bytes(b"picture")
    attention = read_run(folder).attention
    assert attention == dict.fromkeys(
        ["distances.png", "map_a_res3.1.png"], "data:image/png;base64,cGljdHVyZQ=="
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: shutil.rmtree(run), "no such folder"),
        (lambda run: (run / "config.yaml").unlink(), "holds no config.yaml; expected the run_dir"),
        (lambda run: (run / "config.yaml").write_text("a: [1"), "is not YAML"),
        (lambda run: (run / "config.yaml").write_text("- 1"), "is no config of a run"),
        (lambda run: (run / "test_metrics.json").write_text("{"), "test_metrics.json: is not JSON"),
        (lambda run: (run / "predictions.csv").write_text("a,b\n1,2\n"), "has no column label"),
    ],
)
def test_what_is_no_run_is_named(spoil, said: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    spoil(folder)
    with pytest.raises(ValueError, match=said):
        read_run(folder)


def measured(run: Run) -> Run:
    run.cost = Complexity(
        parameters=32_454_000,
        flops_per_view=41_741_000_000,
        uncounted=Counter(),
        clip=(8, 224, 224),
        forward_seconds=0.1234,
        peak_bytes=2**20,
    )
    return run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a whole run with 400 classes, one of few that was never tested, and one that has only begun."""
    folder = tmp_path_factory.mktemp("report")
    runs = [
        measured(read_run(write_run(folder / "all_gc", num_classes=400))),
        measured(read_run(write_run(folder / "a second run", num_classes=400))),
        read_run(write_run(folder / "untested", tested=False)),
        read_run(write_run(folder / "begun", curves=False, tested=False)),
    ]
    write_report(runs, folder / "report.html")
    return folder / "report.html"


def test_the_page_holds_the_runs_numbers_and_asks_for_nothing_elsewhere(report: Path) -> None:
    page = report.read_text()
    for number in ("81.25%", "0.4321", "32.454", "41.741", "123.4", "400"):
        assert number in page
    own = page.replace(page[page.index("<script>") : page.index("</script>")], "")
    assert 'src="http' not in own
    assert 'href="http' not in own
    assert "&lt;i&gt;" in own
    assert "<i>" not in own
    assert {file.name for file in report.parent.iterdir() if file.suffix != ""} == {"report.html"}


@pytest.fixture(scope="module")
def browser() -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_draws_every_plot_within_the_width_and_without_errors(
    width: int, report: Path, browser
) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    )
    browser.get(report.as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    plots = browser.execute_script(
        "return [...document.querySelectorAll('.plotly-graph-div')].map(plot => {"
        "  const box = plot.getBoundingClientRect();"
        "  const drawn = plot.querySelectorAll('.scatterlayer .trace, .bars .point, .heatmaplayer image');"
        "  return [box.width, box.height, drawn.length] })"
    )
    # Curves of three logged values and the learning rate, classes, two confusion matrices, two costs.
    assert len(plots) == 4 + 1 + 2 + 2
    for plot_width, plot_height, num_drawn in plots:
        assert 300 <= plot_width <= width
        assert plot_height >= 300
        assert num_drawn >= 1
    assert browser.get_log("browser") == []
