"""The page of a study: tables, plots, and words for what they show."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from studying.attending import DISTANCES, Dependence, blocks_of, in_control, in_networks
from studying.comparisons import SURE, Comparison, RowFigures, comparisons, figures
from studying.plots import plot_accuracies, plot_dependence

from gcvideo.atomic import write_text

Record = dict[str, Any]
PICTURES = "pictures"
MARK = "<!-- Written by scripts/study.py --report -->"
"""What stands before it in a page stays."""


def write_report(
    records: Sequence[Record], controls: Sequence[Record], *, missing: Sequence[str], page: Path,
    floors: dict[str, float], command: str,
) -> None:  # fmt: skip
    """Write the page and its plots beside it.

    Args:
        records: Finished runs.
        controls: Finished runs of the control.
        missing: Names of runs that the plan has and nobody has run.
        page: The Markdown file to write.
        floors: By data set, an accuracy to pass.
        command: What goes on with the study.
    """
    rows = list(figures(records))
    parts = [_head(records, missing, command)]
    if rows:
        plot_accuracies(rows, floors, page.parent / PICTURES / f"{page.stem}_accuracy.svg")
        parts.append(f"![Accuracies by row and seed]({PICTURES}/{page.stem}_accuracy.svg)")
    for data in dict.fromkeys(row.data for row in rows):
        parts += _of_data([row for row in rows if row.data == data], records, floors.get(data))
    attended = list(in_networks(records))
    if attended or controls:
        parts += _of_attention(records, attended, list(in_control(controls)), controls, page)
    words = page.read_text().partition(MARK)[0] if page.exists() else ""
    write_text(page, words + "\n\n".join([MARK, *parts]) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _head(records: Sequence[Record], missing: Sequence[str], command: str) -> str:
    machines = sorted({f"{r['machine']}; commit {r['commit']}" for r in records})
    seconds = sum(sum(r["seconds"].values()) for r in records)
    arguments = {k: v for r in records for k, v in r["arguments"].items() if k == "trainer.precision"}
    lines = [
        f"{_counted(len(records), 'run')}, {seconds / 60:.0f} minutes of training and testing in all, "
        f"from {min((r['ended'] for r in records), default='-')} to "
        f"{max((r['ended'] for r in records), default='-')}; "
        f"{', '.join(f'{k} {v}' for k, v in arguments.items()) or 'no arguments'}.",
        *(f"- {machine}" for machine in machines),
        "",
        "Runs that the plan has and that have **not** been run: "
        + (f"{len(missing)}: {_folded(missing)}." if missing else "none."),
        "",
        f"```sh\n{command}\n```",
    ]
    return "\n".join(lines)


def _folded(names: Sequence[str]) -> str:
    """Name runs by data set and row, with the number of seeds."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name.rpartition("/")[0]] = counts.get(name.rpartition("/")[0], 0) + 1
    return ", ".join(f"{name} ({count})" for name, count in counts.items())


def _of_data(rows: Sequence[RowFigures], records: Sequence[Record], floor: float | None) -> Iterator[str]:
    data, num_videos = rows[0].data, rows[0].num_videos
    yield f"### {data}: {num_videos} test videos"
    seeds = sorted({seed for row in rows for seed in row.accuracies})
    columns = ["row", *(f"seed {seed}" for seed in seeds), "mean", "sd", "range"]
    yield table(
        columns,
        (
            (
                row.row,
                *(_percent(row.accuracies.get(seed)) for seed in seeds),
                _percent(row.mean), _percent(row.sd) if row.sd == row.sd else "-",
                " - ".join(map(_percent, row.range)),
            )
            for row in rows
        ),
    )  # fmt: skip
    alone = (0.25 / num_videos) ** 0.5
    yield (
        f"Top-1 of the last checkpoint, in %. One accuracy on {num_videos} videos has a standard error of up "
        f"to {100 * alone:.1f} points for the videos alone, whatever the seed."
    )
    if floor is not None:
        under = [f"{r.row} (seed {s})" for r in rows for s, a in r.accuracies.items() if a <= floor]
        said = "all runs are above it" if not under else f"not above it: {', '.join(under)}"
        yield f"The floor is {100 * floor:.1f} %: {said}."
    tested = comparisons([r for r in records if r["data"] == data], [row.row for row in rows])
    if tested:
        yield from _tests(tested)


def _tests(tested: Sequence[Comparison]) -> Iterator[str]:
    count = len(tested)
    sure = [one for one in tested if one.differs]
    if not sure:
        best = min(tested, key=lambda one: one.p_videos)
        yield (
            f"**No two rows differ** at {SURE:.0%} after correction for "
            f"{_counted(count, 'comparison')} (Holm); nearest is {best.row} against {best.other}, "
            f"{100 * best.difference:+.1f} points, p {best.p_videos:.3f} before and "
            f"{best.p_corrected:.2f} after it. The order of the rows is not a finding."
        )
    else:
        listed = [
            f"{one.row} {100 * one.difference:+.1f} points against {one.other} (p {one.p_corrected:.4f})"
            for one in sure
        ]
        yield (
            f"Of {_counted(count, 'comparison')}, {len(sure)} differ at {SURE:.0%} after correction (Holm): "
            f"{'; '.join(listed)}. The others do not, and their order is not a finding."
        )
    yield "<details><summary>All pairs</summary>\n\n" + table(
        ("row", "against", "seeds", "difference", "p, videos", "p, corrected", "p, seeds"),
        (
            (
                one.row, one.other, len(one.seeds), f"{100 * one.difference:+.1f}",
                f"{one.p_videos:.4f}", f"{one.p_corrected:.4f}", f"{one.p_seeds:.2f}",
            )
            for one in tested
        ),
    ) + (
        "\n\np over videos: exact paired permutation, a video counting with the number of seeds that have it "
        "right (McNemar's exact test of one seed). p over seeds: exact paired permutation, of n seeds "
        "never below 2/2^n.\n\n</details>"
    )  # fmt: skip


def _of_attention(
    records: Sequence[Record], attended: Sequence[Dependence], controlled: Sequence[Dependence],
    controls: Sequence[Record], page: Path,
) -> Iterator[str]:  # fmt: skip
    if attended:
        yield "### Query dependence, before -> after training"
        clips = {row["num_clips"] for r in records if "attention" in r for row in r["attention"]["after"]}
        blocks = blocks_of(records)
        yield _dependence_table(attended)
        yield (
            f"Mean ± standard deviation over seeds, of the mean over the {len(blocks)} blocks and "
            f"{'/'.join(map(str, sorted(clips)))} test clips; distances as of `gcvideo attention`."
        )
        plot_dependence(attended, page.parent / PICTURES / f"{page.stem}_attention.svg", title="Networks")
        yield f"![Attention before and after training]({PICTURES}/{page.stem}_attention.svg)"
        by_block = [(block, one) for block in blocks for one in in_networks(records, block)]
        yield "<details><summary>By block</summary>\n\n" + table(
            ("data", "row", "block", "measured", "all pairs, before", "after"),
            (
                (one.data, one.row, block, one.distance, one.text(one.before), one.text(one.after))
                for block, one in by_block
                if one.pairs == "all" and one.after
            ),
        ) + "\n\n</details>"  # fmt: skip
    if controlled:
        yield "### The control: a task whose label needs the query"
        yield (
            "One non-local block between an embedding and a linear classifier, on random 2 x 4 x 4 maps. In "
            "`matching` the label of a position is the sign at its partner, the one with the same key; in "
            "`shared` it is the sign at the marked position for all. Inputs and network are the same. "
            "(A control of the module and of the measure: no video is read.) Where `matching` is not learnt, "
            "with an accuracy near chance, 0.25, its distances say nothing; the ReLU of a sum, `concat`, "
            "cannot compare two keys."
        )
        accuracies: dict[tuple[str, str], list[float]] = {}
        for r in controls:
            accuracies.setdefault((r["task"], r["instantiation"]), []).append(r["accuracy"])
        lowest = {key: f", lowest accuracy {min(values):.2f}" for key, values in accuracies.items()}
        yield _dependence_table(
            [one._replace(row=one.row + lowest.get((one.data, one.row), "")) for one in controlled]
        )
        plot_dependence(controlled, page.parent / PICTURES / f"{page.stem}_control.svg", title="Control")
        yield f"![Attention in the control]({PICTURES}/{page.stem}_control.svg)"


def _dependence_table(found: Sequence[Dependence]) -> str:
    by_row: dict[tuple[str, str, str], dict[str, Dependence]] = {}
    for one in found:
        by_row.setdefault((one.data, one.row, one.distance), {})[one.pairs] = one
    order = {name: place for place, name in enumerate(DISTANCES.values())}
    return table(
        ("of", "network", "measured", "all pairs, before", "after", "same frame", "same place", "neither"),
        (
            (
                *key, kinds["all"].text(kinds["all"].before), kinds["all"].text(kinds["all"].after),
                *(kinds[pairs].text(kinds[pairs].after) for pairs in ("same_frame", "same_place", "neither")),
            )
            for key, kinds in sorted(by_row.items(), key=lambda item: (*item[0][:2], order[item[0][2]]))
            if kinds["all"].text(kinds["all"].after) != "-"
        ),
    )  # fmt: skip


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count != 1 else ''}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
