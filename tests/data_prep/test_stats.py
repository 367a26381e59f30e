import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from data_prep import stats
from data_prep.page.prepared_data import read_prepared

HEADER = "path,label,num_frames,fps,width,height,codec,rotation,stream,plain\n"


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    (tmp_path / "classes.txt").write_text("abseiling\npetting animal (not cat)\n<b>&\n")
    rows = [
        "train/a.mp4,0,300,30.0,340,256,h264,0,0,1",
        "train/b.mp4,0,250,25.0,256,340,h264,0,0,1",
        "train/c.mp4,1,60,30.0,340,256,hevc,0,0,0",
    ]
    (tmp_path / "train.csv").write_text(HEADER + "\n".join(rows) + "\n")
    (tmp_path / "val.csv").write_text(HEADER + "val/d.mp4,2,100,10.0,320,240,h264,0,0,1\n")
    (tmp_path / "bad.csv").write_text("path,label,list,reason\n<i>.mp4,0,train.csv,is empty\n")
    (tmp_path / "annotation_report.csv").write_text(
        "class,split,listed,found,missing,extra\n"
        "abseiling,train,5,3,2,0\npetting animal (not cat),train,1,1,0,0\n<b>&,val,2,1,1,7\n"
    )
    for name in ("train/a.mp4", "train/b.mp4", "train/c.mp4", "val/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 1_000_000)
    return tmp_path


def run(prepared: Path, *options: str) -> str:
    arguments = ["--manifests", str(prepared), "--output", str(prepared / "out"), *options]
    assert stats.main(arguments) == 0
    return (prepared / "out/stats.html").read_text()


def test_the_summary_counts_from_the_official_list_to_the_disk(prepared: Path) -> None:
    data = read_prepared(prepared, prepared, prepared, num_workers=2)
    assert [dict(zip(stats.SUMMARY_COLUMNS, row, strict=True)) for row in stats.summary(data)] == [
        {
            **{"split": "train", "listed": 6, "found": 4, "readable": 3, "missing %": "50.00"},
            **{"plain %": "66.7", "hours": "0.01", "median s": "10.00", "GB": "0.003"},
        },
        {
            **{"split": "val", "listed": 2, "found": 1, "readable": 1, "missing %": "50.00"},
            **{"plain %": "100.0", "hours": "0.00", "median s": "10.00", "GB": "0.001"},
        },
    ]


class _Page(HTMLParser):
    """Tags with their attributes, and text; scripts apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def plots(text: str) -> dict[str, dict[str, Any]]:
    """Id -> the bars of every plot in a page."""
    found = {}
    for call in re.finditer(r'Plotly\.newPlot\(\s*"(plot-\w+)",\s*(?=\[)', text):
        (bars,), _ = json.JSONDecoder().raw_decode(text, call.end())
        found[call[1]] = bars
    return found


def test_the_page_needs_nothing_but_itself(prepared: Path) -> None:
    page = _Page(run(prepared, "--annotations", str(prepared)))
    assert not {"img", "iframe", "object"} & {tag for tag, _ in page.tags}
    addresses = [attrs[name] for _, attrs in page.tags for name in ("src", "href") if name in attrs]
    assert addresses == ["data:,"]
    styles = re.findall(r"<style>.*?</style>", run(prepared), flags=re.DOTALL)
    assert styles
    assert not re.search(r"@import|url\(", "".join(styles))
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_the_plots_count_what_the_manifests_hold(prepared: Path) -> None:
    found = plots(run(prepared, "--annotations", str(prepared)))
    bars = {
        name: dict(zip(plot["y"], plot["x"], strict=True))
        for name, plot in found.items()
        if "orientation" in plot
    }
    assert bars["plot-resolution"] == {"340x256": 2, "256x340": 1, "320x240": 1}
    assert bars["plot-codec"] == {"h264": 3, "hevc": 1}
    assert bars["plot-framespersecond"] == {"30": 2, "25": 1, "10": 1}
    assert bars["plot-missingoftheofficiallist"] == {"train": 50.0, "val": 50.0}
    classes = found["plot-videosperclasslargestfirst"]
    assert list(zip(classes["customdata"], classes["y"], strict=True)) == [
        *(("abseiling", 2), ("<b>&", 1), ("petting animal (not cat)", 1)),
    ]
    durations = found["plot-duration"]  # of 10, 10, 2 and 10 seconds
    counted = [(x, y) for x, y in zip(durations["x"], durations["y"], strict=True) if y]
    assert counted == [(pytest.approx(2.25), 1), (pytest.approx(9.75), 3)]


def test_one_long_video_does_not_flatten_the_histogram(prepared: Path) -> None:
    rows = [f"v{n}.mp4,0,{90 + n % 10 * 20},10.0,320,240,h264,0,0,1" for n in range(999)]
    rows.append("long.mp4,0,100000,10.0,320,240,h264,0,0,1")
    (prepared / "train.csv").write_text("\n".join([HEADER.strip(), *rows]) + "\n")
    durations = plots(run(prepared))["plot-duration"]
    assert sum(durations["y"]) == 1000 + 1
    assert max(durations["x"]) < 30
    assert durations["customdata"][-1].endswith("to 1e+04 seconds")


def test_names_are_escaped(prepared: Path) -> None:
    page = _Page(run(prepared, "--annotations", str(prepared), "--title", "K <400>"))
    for name in ("K <400>", "<b>&", "<i>.mp4"):
        assert name in page.words
    assert not {"b", "i"} & {tag for tag, _ in page.tags}


def test_the_page_is_the_same_each_time(prepared: Path) -> None:
    assert run(prepared) == run(prepared)


def test_what_was_not_given_is_said_to_be_unknown(prepared: Path) -> None:
    assert "no annotation report was given" in run(prepared)
    assert "no annotation report was given" not in run(prepared, "--annotations", str(prepared))


def test_a_split_without_videos_and_without_classes_has_a_page(tmp_path: Path) -> None:
    (tmp_path / "videos.csv").write_text(HEADER)
    assert "plot-duration" in plots(run(tmp_path))


def test_a_dry_run_shows_the_table_and_writes_nothing(prepared: Path, capsys) -> None:
    before = sorted(prepared.rglob("*"))
    arguments = ["--manifests", str(prepared), "--output", str(prepared / "out"), "--dry-run"]
    assert stats.main(arguments) == 0
    said = capsys.readouterr().err
    assert "abseiling" in said
    assert "nothing was written" in said
    assert sorted(prepared.rglob("*")) == before


def test_a_folder_without_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no train\.csv"):
        stats.main(["--manifests", str(tmp_path), "--output", str(tmp_path)])


def test_a_list_that_is_no_manifest_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("path,label\na.mp4,0\n")
    with pytest.raises(ValueError, match=r"train\.csv: no column 'num_frames'; expected a manifest"):
        stats.main(["--manifests", str(tmp_path), "--output", str(tmp_path)])


def test_a_number_that_is_none_is_an_error_with_its_line(prepared: Path, tmp_path: Path) -> None:
    lines = (prepared / "train.csv").read_text().splitlines()
    for column in ("num_frames", "fps", "width", "height", "label"):
        for cell in (
            "inf",
            "nan",
            "1e400",
            "-1",
            "9" * 5000,
            "1_0",
            *(["0", ""] if column != "label" else []),
        ):
            cells = lines[1].split(",")
            cells[lines[0].split(",").index(column)] = cell
            (prepared / "train.csv").write_text("\n".join([*lines, ",".join(cells)]))
            with pytest.raises(ValueError, match=rf"train\.csv:{len(lines) + 1}: .*{cell}.*; expected"):
                read_prepared(prepared, None, None, num_workers=1)


def test_tables_that_are_none_are_errors_with_their_lines(prepared: Path, tmp_path: Path) -> None:
    arguments = ["--manifests", str(prepared), "--output", str(tmp_path), "--annotations", str(tmp_path)]
    report = tmp_path / "annotation_report.csv"
    for text, problem in (
        ("class,split,listed,found\na,train,inf,1\n", r":2: listed 'inf' and found '1' are no numbers"),
        (
            "class,split,listed,found\na,train,1\n",
            r":2: is no row of a table in UTF-8 \(expected the columns",
        ),
        (f'class,split\n"{"x" * 200_000}",b\n', r":2: is no row of a table in UTF-8 \(field larger than"),
    ):
        report.write_text(text)
        with pytest.raises(ValueError, match=rf"annotation_report\.csv{problem}"):
            stats.main(arguments)
    report.write_bytes(b"class,split\n\xff,b\n")
    with pytest.raises(
        ValueError, match=r"annotation_report\.csv:\d: is no row of a table in UTF-8 \('utf-8'"
    ):
        stats.main(arguments)


def test_a_wrong_folder_is_an_error_that_names_the_right_one(prepared: Path, tmp_path: Path) -> None:
    arguments = ["--manifests", str(prepared), "--output", str(tmp_path)]
    with pytest.raises(ValueError, match=r"no annotation_report\.csv; name the output of annotations\.py"):
        stats.main([*arguments, "--annotations", str(tmp_path / "out")])
    (prepared / "train/a.mp4").unlink()
    with pytest.raises(ValueError, match=r"a\.mp4: no such file; --root is the folder"):
        stats.main([*arguments, "--root", str(prepared)])


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver on PATH (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    offline = "--host-resolver-rules=MAP * ~NOTFOUND"
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", offline):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


def drawn_within_their_cards(browser) -> bool:
    return browser.execute_script(
        "return [...document.querySelectorAll('.plotly-graph-div')].every(plot => "
        "Math.abs(plot.querySelector('svg').getBoundingClientRect().width - plot.clientWidth) < 1)"
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 400])
def test_a_browser_without_a_network_draws_every_plot_within_the_page(
    width: int, prepared: Path, browser
) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    run(prepared, "--annotations", str(prepared))
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get((prepared / "out/stats.html").as_uri())
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('.plotly-graph-div')].map(plot => "
        "[plot.querySelectorAll('.point').length, plot.getBoundingClientRect().right])"
    )
    assert [points for points, _ in boxes] == [3, 20, 3, 3, 2, 2]
    assert max(right for _, right in boxes) <= width
    for now in (width, 400, 1280):  # plots follow the window, and a scroll bar that comes after the first
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size | {"width": now})
        WebDriverWait(browser, 10).until(drawn_within_their_cards)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= now
    assert browser.get_log("browser") == []
