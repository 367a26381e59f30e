"""What gpu_day.py has measured so far, as JSON, a Markdown page and pictures, with the goals it is for."""

import json
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from bench_pooling import SHARE
from bench_steps import BARE, CLIPS_PER_SECOND, EVERYWHERE, FASTER, OVER_BARE
from benchmark import describe_machine
from plot_speed import draw

from gcvideo.atomic import write_text

PROJECT = Path(__file__).resolve().parents[1]
BEGINNING, END = "<!-- results of scripts/gpu_day.sh: begin -->", "<!-- end -->"
FASTEST, MOST_OVER_BARE, LEAST_SHARE = 1.5, 1.03, 0.8


class Goal(NamedTuple):
    """What was aimed at, and what came of it."""

    aim: str
    found: str
    reached: bool


def write_report(out: Path) -> str:
    """Write results.json, results.md and pictures of what the parts have left; return the summary."""
    figures, parts = figures_of(out), parts_of(out)
    goals = list(goals_of(figures))
    results = {
        "machine": describe_machine(),
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "parts": parts,
        "goals": [goal._asdict() for goal in goals],
        "figures": figures.to_dict("records"),
        "tests": tests_of(out),
        "quickstart": quickstart_of(out),
    }
    write_text(out / "results.json", json.dumps(results, indent=1))
    pictures = list(draw_pictures(figures, out))
    summary = summary_of(results, goals)
    page = [summary, *(f"![{name}]({name}.svg)" for name in pictures), tables_of(figures)]
    measured = out / "parts" / "complexity" / "complexity.md"
    if measured.exists():
        page += ["### gcvideo complexity", measured.read_text()]
    write_text(out / "results.md", "\n\n".join(page) + "\n")
    return summary


def publish(out: Path, docs: Path) -> Path:
    """Put the page of results into docs/gpu.md, and the pictures beside it; return the page.

    Raises:
        ValueError: The page has no place for them, or what was measured was small or not on a GPU.
    """
    for name, part in parts_of(out).items():
        settings = part["settings"]
        if settings["quick"] or settings["device"] == "cpu":
            raise ValueError(
                f"{out}: {name} was done with {settings}; expected figures of a GPU, without --quick"
            )
    page = docs / "gpu.md"
    before, found, rest = page.read_text().partition(BEGINNING)
    _, found_too, after = rest.partition(END)
    if not found or not found_too:
        raise ValueError(f"{page} has no {BEGINNING} with {END} behind it; expected both")
    results = (out / "results.md").read_text()
    for picture in out.glob("*.svg"):
        shutil.copyfile(picture, docs / "pictures" / f"gpu_{picture.name}")
        results = results.replace(f"({picture.name})", f"(pictures/gpu_{picture.name})")
    write_text(page, f"{before}{BEGINNING}\n\n{results}\n{END}{after}")
    return page


def figures_of(out: Path) -> pd.DataFrame:
    """Return the figures of all parts: part, comparison, what, median, lower, upper."""
    files = sorted(out.glob("parts/*/figures.csv"))
    found = [pd.read_csv(file).assign(part=file.parent.name) for file in files]
    columns = ["part", "comparison", "what", "median", "lower", "upper"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def parts_of(out: Path) -> dict[str, Any]:
    files = sorted(out.glob("parts/*/ended.json"))
    return {file.parent.name: json.loads(file.read_text()) for file in files}


def goals_of(figures: pd.DataFrame) -> Iterator[Goal]:
    """Yield every goal for every precision, at the largest batch that was measured in it."""
    steps = figures[figures["part"] == "steps"].drop_duplicates(["comparison", "what"], keep="last")
    named = steps["comparison"].str.extract(
        r"^plain, (?P<precision>\w+), (?P<clips>\d+) clips, (?P<figure>.*)$"
    )
    steps = steps.assign(**named.to_dict("series"))
    for (precision, figure, way), rows in steps.groupby(["precision", "figure", "what"]):
        row = rows.loc[rows["clips"].astype(int).idxmax()]
        where = f"{precision}, {row['clips']} clips"
        if figure == FASTER and way.partition(",")[0] == BARE:
            aim = f"a step of {way} at least {FASTEST} times as fast as pytorchvideo's plain loop"
            yield Goal(aim, f"{row['median']:.2f} ({where})", bool(row["median"] >= FASTEST))
        if figure == OVER_BARE and way == EVERYWHERE:
            aim = (
                f"a step with global context in all blocks at most {MOST_OVER_BARE - 1:.0%} longer than bare"
            )
            yield Goal(aim, f"{row['median'] - 1:+.1%} ({where})", bool(row["median"] <= MOST_OVER_BARE))
    pooling = figures[(figures["part"] == "kernels") & (figures["what"] == SHARE)]
    pooling = pooling[pooling["comparison"].str.contains("channels last")]
    for way in ("forward", "forward + backward"):
        rows = pooling[pooling["comparison"].str.endswith(f", {way}")]
        if len(rows):
            worst = rows.loc[rows["median"].idxmin()]
            aim = f"pooling {way} at {LEAST_SHARE:.0%} or more of a copy's bandwidth, maps in channels last"
            where = worst["comparison"].removeprefix("pooling, ")
            yield Goal(aim, f"{worst['median']:.0%} at least ({where})", bool(worst["median"] >= LEAST_SHARE))


def tests_of(out: Path) -> dict[str, int]:
    """Return how many tests passed, failed and were skipped."""
    file = out / "parts" / "tests" / "tests.xml"
    if not file.exists():
        return {}
    (suite,) = ElementTree.parse(file).getroot().iter("testsuite")
    number, failed, skipped = (
        int(suite.attrib["tests"]),
        int(suite.attrib["failures"]) + int(suite.attrib["errors"]),
        int(suite.attrib["skipped"]),
    )
    return {"passed": number - failed - skipped, "failed": failed, "skipped": skipped}


def quickstart_of(out: Path) -> dict[str, Any]:
    file = out / "parts" / "quickstart" / "run" / "test_metrics.json"
    return json.loads(file.read_text()) if file.exists() else {}


def summary_of(results: dict[str, Any], goals: list[Goal]) -> str:
    """Return machine, goals and parts as Markdown."""
    settings = [part["settings"] for part in results["parts"].values()]
    small = any(found["quick"] or found["device"] == "cpu" for found in settings)
    lines = [
        f"{results['machine']}; commit {results['commit']}, {results['date']}, by `scripts/gpu_day.sh`.",
        *(["", "**A trial of the commands: these figures say nothing.**"] if small else []),
        *("", "| goal | found | reached |", "|---|---|---|"),
        *(f"| {goal.aim} | {goal.found} | {'yes' if goal.reached else 'no'} |" for goal in goals),
        *([] if goals else ["| (nothing was measured of them) | | |"]),
        *("", "| part | ended | seconds |", "|---|---|---|"),
        *(f"| {name} | {part['ended']} | {part['seconds']:.0f} |" for name, part in results["parts"].items()),
    ]
    if found := results["tests"]:
        told = ", ".join(f"{number} {how}" for how, number in found.items())
        lines += ["", f"Tests that need a GPU: {told}."]
    if found := results["quickstart"]:
        told = ", ".join(f"{name} {value:.4g}" for name, value in found.items() if isinstance(value, float))
        lines += ["", f"Quickstart: {told}."]
    return "\n".join(lines)


def tables_of(figures: pd.DataFrame) -> str:
    """Return every comparison: a row for each alternative, a column for each figure, with quartiles."""
    if figures.empty:
        return ""
    said = []
    split = figures["comparison"].str.rpartition(", ")
    for (part, title), rows in figures.assign(title=split[0], figure=split[2]).groupby(
        ["part", "title"], sort=False
    ):
        cells = rows.apply(lambda row: "{median:.3g} [{lower:.3g} - {upper:.3g}]".format(**row), axis=1)
        table = rows.assign(cell=cells).pivot_table(
            index="what", columns="figure", values="cell", aggfunc="last", sort=False, fill_value=""
        )
        said.append(f"### {part}: {title}\n\n{table.rename_axis('').to_markdown()}")
    return "\n\n".join(said)


def draw_pictures(figures: pd.DataFrame, out: Path) -> Iterator[str]:
    """Draw what there is of steps and kernels, and yield the names of the pictures."""
    pictures = {
        "steps": (f", {CLIPS_PER_SECOND}", "clips per second"),
        "kernels": ("ward", "share of a copy's bandwidth, and times as fast as torch"),
    }
    for part, (ending, label) in pictures.items():
        rows = figures[(figures["part"] == part) & figures["comparison"].str.endswith(ending)]
        if len(rows):
            panels = {str(name): found for name, found in rows.groupby("comparison", sort=False)}
            draw(panels, out / f"{part}.svg", label=label)
            yield part


def commit() -> str:
    """Return the commit that is checked out, or unknown."""
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
