"""The report says what the runs' files say, and a browser draws it at every width."""

import json
import re
import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io
import pytest
import yaml

from gcvideo.report import Cost, Quartiles, Run, read_run, write_report
from gcvideo.report.confusion import (
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
        (folder / "metrics").mkdir()
        (folder / "metrics" / "metrics.csv").write_text(
            "epoch,lr-SGD/pg1,step,train/loss,val/loss,val/top1\n"
            ",0.05,9,,,\n0,,9,1.5,,\n0,,9,,1.25,0.25\n,0.1,19,,,\n1,,19,0.75,,\n1,,19,,0.625,0.5\n"
        )
    if tested:
        figures = {"test/top1": 0.8125, "test/loss": 0.4321}
        protocol = {
            "checkpoint": f"{folder}/checkpoints/best.ckpt",
            "list": "data/kinetics400/test.csv",
            "clip": {"num_frames": 8, "stride": 8, "spacing": "stride"},
            "views": {"num_clips": 10, "num_crops": 3, "short_side": 256, "crop_size": 256},
            "videos": 4 * num_classes,
        }
        (folder / "test_metrics.json").write_text(json.dumps(figures | {"protocol": protocol}))
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
        (
            lambda run: (run / "test_metrics.json").write_text('{"test/top1": "x"}'),
            "holds no figures by name",
        ),
        (lambda run: (run / "test_metrics.json").write_text("[1]"), "holds no figures by name"),
        (lambda run: (run / "metrics/metrics.csv").write_text("a,b\n1,2\n"), "has no column step"),
        (lambda run: (run / "predictions.csv").write_text("a,b\n1,2\n"), "has no column label"),
    ],
)
def test_what_is_no_run_is_named(spoil, said: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    spoil(folder)
    with pytest.raises(ValueError, match=said):
        read_run(folder)


def measured(run: Run) -> Run:
    run.cost = Cost(
        clip=(8, 224, 224),
        parameters=32_454_000,
        flops_per_view=41_741_000_000,
        inference_bytes=2**20,
        training_bytes=9 * 2**20,
        forward_seconds=Quartiles(0.1334, 0.1234, 0.1434),
        times_as_long=Quartiles(1.0, 1.0, 1.0),
    )
    return run


NAMES = ("slow_r50_gc_all_kinetics400_seed0_lr0.1", "slow_r50_nl5_kinetics400_warmup")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One of two whole runs with 400 classes, one that was never tested and one that has only begun; one of a
    single run with few classes."""
    folder = tmp_path_factory.mktemp("report")
    runs = [
        *(measured(read_run(write_run(folder / name, num_classes=400))) for name in NAMES),
        read_run(write_run(folder / "untested", tested=False)),
        read_run(write_run(folder / "begun", curves=False, tested=False)),
    ]
    write_report(runs, folder / "many.html")
    write_report([measured(read_run(write_run(folder / "single")))], folder / "single.html")
    return {name: folder / f"{name}.html" for name in ("many", "single")}


def test_the_page_holds_the_runs_numbers_and_asks_for_nothing_elsewhere(pages: dict[str, Path]) -> None:
    page = pages["many"].read_text()
    for number in (
        "81.25%",
        "0.4321",
        "32.454",
        "41.741",
        "133 (123 to 143)",
        "1 (1 to 1)",
        "9.0",
        "<td>1600</td>",
    ):
        assert number in page
    own = page.replace(page[page.index("<script>") : page.index("</script>")], "")
    assert 'src="http' not in own
    assert 'href="http' not in own
    assert "&lt;i&gt;" in own
    assert "<i>" not in own
    assert {file.name for file in pages["many"].parent.glob("*.*")} == {"many.html", "single.html", NAMES[0]}


def figures_of(page: Path) -> list[go.Figure]:
    """The plots of a page, in its order."""
    data = re.findall(r'<script type="application/json">(.*?)</script>', page.read_text(), flags=re.DOTALL)
    return [plotly.io.from_json(text) for text in data]


def test_a_run_has_one_colour_in_every_plot(pages: dict[str, Path]) -> None:
    colours: dict[str, set[str]] = {}
    for trace in (trace for figure in figures_of(pages["many"]) for trace in figure.data):
        if trace.name:
            colours.setdefault(trace.name, set()).add(trace.line.color or trace.marker.color)
    assert set(colours) == {*NAMES, "untested"}
    assert [len(of_run) for of_run in colours.values()] == [1, 1, 1]
    assert len(set.union(*colours.values())) == 3


def test_classes_that_are_numbers_are_names_all_the_same(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    table = (folder / "predictions.csv").read_text()
    (folder / "predictions.csv").write_text(re.sub(r"class (\d) <i>", r"\1", table))
    write_report([read_run(folder)], tmp_path / "report.html")
    *_, accuracies, confusions = figures_of(tmp_path / "report.html")
    assert {axis.type for axis in (accuracies.layout.xaxis, confusions.layout.xaxis)} == {"category"}
    assert confusions.layout.yaxis.type == "category"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"),
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    count = "window.resized = 0; addEventListener('resize', () => { window.resized += 1; })"
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": count})
    yield browser
    browser.quit()


def show(browser, page: Path, width: int) -> None:
    """Open a page in a window of this width; its plots are drawn, and the window has not been resized."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert browser.execute_script("return window.resized") == 0


BOX = """
const box = element => {
  const b = element.getBoundingClientRect();
  return [b.left, b.top, b.right, b.bottom];
};
"""
BOXES = BOX + "return [...document.querySelectorAll(arguments[0])].map(box);"
BLOCKS = "h1, h2, h3, h4, nav, p, .plot, .scroll, .legend, .scale, .card, figure"
PLOTS = (
    BOX
    + """
return [...document.querySelectorAll('.plot')].map(plot => ({
  cell: box(plot.parentElement),
  plot: box(plot),
  drawing: box(plot.querySelector('svg')),
  marks: plot.querySelectorAll('.scatterlayer .trace, .bars .point, .heatmaplayer image').length,
  upright: [...plot.querySelectorAll('text:not([transform*="rotate(-"])')].map(box),
  words: [...plot.querySelectorAll('text')].map(box),
}));
"""
)
COVERED = """
return [...document.querySelectorAll('td:first-child')].filter(cell => {
  cell.scrollIntoView({ block: 'center' });
  const b = cell.getBoundingClientRect();
  return !cell.contains(document.elementFromPoint(b.left + 20, (b.top + b.bottom) / 2));
}).map(cell => cell.textContent);
"""
Box = tuple[float, float, float, float]


def is_within(inner: Box, outer: Box) -> bool:
    return all(a >= b - 1 for a, b in zip(inner[:2], outer[:2], strict=True)) and all(
        a <= b + 1 for a, b in zip(inner[2:], outer[2:], strict=True)
    )


def overlapping(boxes: list[Box]) -> list[tuple[Box, Box]]:
    """Pairs of boxes that share more than a line."""
    return [
        (one, other)
        for one, other in combinations(boxes, 2)
        if min(one[2], other[2]) - max(one[0], other[0]) > 1
        and min(one[3], other[3]) - max(one[1], other[1]) > 1
    ]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize(("page", "num_plots"), [("many", 4 + 1 + 2 + 2), ("single", 4 + 1 + 1)])
def test_a_browser_draws_nothing_over_anything_else(
    page: str, num_plots: int, width: int, pages: dict[str, Path], browser
) -> None:
    """Plots: three logged values and the learning rate, classes, confusions of each run, costs of several."""
    show(browser, pages[page], width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    plots = browser.execute_script(PLOTS)
    assert len(plots) == num_plots
    for plot in plots:
        assert plot["marks"] >= 1
        assert is_within(plot["plot"], plot["cell"])
        assert plot["drawing"] == pytest.approx(plot["plot"], abs=1)
        assert plot["drawing"][2] - plot["drawing"][0] >= 300
        assert all(is_within(word, plot["plot"]) for word in plot["words"])
        assert overlapping(plot["upright"]) == []
    assert overlapping(browser.execute_script(BOXES, BLOCKS)) == []
    assert browser.execute_script(COVERED) == []
    assert browser.get_log("browser") == []


def test_plots_follow_the_window(pages: dict[str, Path], browser) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    show(browser, pages["many"], 1280)
    for width in (400, 1280):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        WebDriverWait(browser, 10).until(
            lambda window: all(
                plot["drawing"] == pytest.approx(plot["plot"], abs=1) for plot in window.execute_script(PLOTS)
            )
        )
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_share_is_drawn_up_to_one_even_where_it_is_one_throughout(tmp_path: Path, browser) -> None:
    folder = write_run(tmp_path / "run", tested=False)
    log = folder / "metrics" / "metrics.csv"
    log.write_text("step,val/top1,val/top5\n9,0.5,1\n19,0.75,1\n")
    write_report([read_run(folder)], tmp_path / "page.html")
    show(browser, tmp_path / "page.html", 1280)
    ranges = browser.execute_script(
        "return [...document.querySelectorAll('.plot')].map(plot => plot._fullLayout.yaxis.range)"
    )
    assert len(ranges) == 2
    assert all(upper < 1.1 for _, upper in ranges)
    assert ranges[0][0] > 0.4  # what varies still fills the plot
