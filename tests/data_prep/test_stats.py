import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from data_prep import stats
from data_prep.plots import histogram, nice_ceiling

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
    data = stats.read(prepared, prepared, prepared, num_workers=2)
    assert [dict(zip(stats.SUMMARY_COLUMNS, row, strict=True)) for row in stats.summary(data)] == [
        {
            **{"split": "train", "listed": 6, "found": 4, "readable": 3, "missing": "50.00 %"},
            **{"plain": "66.7 %", "hours": "0.01", "median s": "10.00", "GB": "0.003"},
        },
        {
            **{"split": "val", "listed": 2, "found": 1, "readable": 1, "missing": "50.00 %"},
            **{"plain": "100.0 %", "hours": "0.00", "median s": "10.00", "GB": "0.001"},
        },
    ]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_needs_nothing_but_itself(prepared: Path) -> None:
    text = run(prepared, "--annotations", str(prepared))
    page = _Page()
    page.feed(text)
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?://|@import|url\(", text)
    assert not any(name in attrs for _, attrs in page.tags for name in ("src", "href"))
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_the_page_shows_each_plot_and_escapes_names(prepared: Path) -> None:
    text = run(prepared, "--annotations", str(prepared), "--title", "K <400>")
    page = _Page()
    page.feed(text)
    plots = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg"]
    assert plots == [
        *("Videos per class", "Duration", "Frames per second", "Resolution", "Codec"),
        "Share missing",
    ]
    assert "K <400>" in page.words
    assert "<b>&" in page.words
    assert "<i>.mp4" in page.words
    titles = set(page.words)
    assert {"abseiling: 2 videos", "340x256: 2 videos", "hevc: 1 videos", "train: 50 %"} <= titles


def test_the_page_is_the_same_each_time(prepared: Path) -> None:
    assert run(prepared) == run(prepared)


def test_what_was_not_given_is_said_to_be_unknown(prepared: Path) -> None:
    assert "no annotation report was given" in run(prepared)


def test_a_histogram_counts_every_value_once() -> None:
    values = [0.0, 0.99, 1.0, 5.5, 9.9, 1000.0]
    text = histogram("x", values, num_bins=10, unit="s")
    counts = [int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) videos", text)]
    assert sum(counts) == len(values)
    assert "and more" in text


def test_an_empty_histogram_is_drawn() -> None:
    assert "<svg" in histogram("x", [], num_bins=10, unit="s")


@pytest.mark.parametrize(
    ("value", "ceiling"), [(0, 1), (0.03, 0.05), (1, 1), (1.1, 2), (2.2, 2.5), (7, 10), (401, 500)]
)
def test_axes_end_at_round_numbers(value: float, ceiling: float) -> None:
    assert nice_ceiling(value) == pytest.approx(ceiling)


def test_a_folder_without_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no train\.csv"):
        stats.main(["--manifests", str(tmp_path), "--output", str(tmp_path)])
