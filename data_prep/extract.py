"""Extract archives, and lay replacement archives over what they gave."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.archives.extraction import Row, extract_archive, has_size, place_finder
from data_prep.running.console import byte_bar, counted, program, run_step, say, show_first, show_table
from data_prep.running.journal import Journal, file_state
from data_prep.running.shards import Shard, add_run_options, shard_of
from gcvideo.atomic import write_table
from gcvideo.paths import user_path
from gcvideo.video_files import video_names

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
COLUMNS = ("archive", "status", "member", "reason")


def main(argv: Sequence[str] | None = None) -> int:
    """Extract, and return 0, or 1 if an archive is damaged or a member was refused."""
    arguments = _parser().parse_args(argv)
    shard = shard_of(arguments)
    output: Path = arguments.output
    if not arguments.max_expansion >= 1:
        raise ValueError(f"--max-expansion {arguments.max_expansion:g} is out of range; expected at least 1")
    # What there is to extract
    archives = archives_of(arguments.archives)
    replacements = archives_of(arguments.replacements)
    mine = shard.share(archives)
    if arguments.dry_run:
        sizes = [(str(archive), f"{archive.stat().st_size / 1e9:.3f} GB") for archive in mine]
        show_table("would extract", ("archive", "size"), sizes)
        show_table("would then lay over", ("archive",), [(str(archive),) for archive in replacements])
        return 0
    # Extract what is not done, and lay replacements over it when all is
    with Journal(output, step="extract", shard=shard) as journal:
        rows = extract(
            mine,
            output=output,
            journal=journal,
            num_workers=arguments.workers,
            max_expansion=arguments.max_expansion,
        )
        if replacements and (why := _too_early(archives, journal=journal, shard=shard)):
            say(f"replacements wait: {why}; then run again without --shard")
        elif replacements:
            rows |= lay_over(
                replacements, output=output, journal=journal, max_expansion=arguments.max_expansion
            )
    report = output / f"extract_report{shard.suffix}.csv"
    return _report(rows, report)


def archives_of(places: Sequence[Path]) -> list[Path]:
    """Return the archives that are named, and those in the folders that are named, in order of name.

    Raises:
        ValueError: There is no such place, or no archive in a folder.
    """
    archives = []
    for place in places:
        found = [place]
        if place.is_dir():
            found = sorted(p for p in place.iterdir() if p.name.lower().endswith(ARCHIVE_SUFFIXES))
        if not found or not place.exists():
            raise ValueError(f"{place} holds no archive; expected *{', *'.join(ARCHIVE_SUFFIXES)}")
        archives += found
    return archives


def extract(
    archives: Sequence[Path], *, output: Path, journal: Journal, num_workers: int, max_expansion: float
) -> dict[Path, Row]:
    """Extract archives in parallel; one that was extracted, and whose files are there, is left."""
    rows: dict[Path, Row] = {}
    replaced = _replaced(journal)

    def is_there(path: str, num_bytes: int) -> bool:
        """Return whether a file is whole, or was replaced by another that is."""
        sizes = replaced.get(path, {num_bytes})
        return has_size(output / path, num_bytes) or any(has_size(output / path, size) for size in sizes)

    with byte_bar() as bar, ThreadPoolExecutor(num_workers) as pool:
        task = bar.add_task("extract", total=sum(archive.stat().st_size for archive in archives))
        futures = {}
        # Leave what is done, and begin the others
        for archive in archives:
            done = journal.row_of(str(archive.resolve()), file_state(archive))
            if done is not None and all(is_there(path, num_bytes) for path, num_bytes in done["files"]):
                rows[archive] = done
                bar.advance(task, archive.stat().st_size)
            else:
                advance = partial(bar.advance, task)
                future = pool.submit(
                    extract_archive,
                    archive,
                    output,
                    _keep_name,
                    max_expansion=max_expansion,
                    is_there=is_there,
                    advance=advance,
                )
                futures[future] = archive
        # Record each as it comes
        for future in as_completed(futures):
            archive = futures[future]
            rows[archive] = future.result()
            _record(archive, rows[archive], journal)
    return {archive: rows[archive] for archive in archives}


def lay_over(
    replacements: Sequence[Path], *, output: Path, journal: Journal, max_expansion: float
) -> dict[Path, Row]:
    """Extract replacement archives: each file takes the place of the one it replaces.

    That is the file of the same name wherever it lies, or else the only one whose name begins with
    the same YouTube identifier; a file that replaces none is extracted as it is.
    """
    rows: dict[Path, Row] = {}
    with byte_bar() as bar:
        task = bar.add_task("lay over", total=sum(archive.stat().st_size for archive in replacements))
        for archive in replacements:
            done = journal.row_of(str(archive.resolve()), file_state(archive))
            if done is None or not all(has_size(output / name, size) for name, size in done["files"]):
                place_of = place_finder(video_names(output))
                advance = partial(bar.advance, task)
                done = extract_archive(
                    archive, output, place_of, max_expansion=max_expansion, advance=advance
                )
                done["replaces"] = True
                _record(archive, done, journal)
            else:
                bar.advance(task, archive.stat().st_size)
            rows[archive] = done
    return rows


def _replaced(journal: Journal) -> dict[str, set[int]]:
    """Return path -> sizes of the files that took the place of the one an archive has for it."""
    sizes: dict[str, set[int]] = defaultdict(set)
    for row in journal.rows():
        for path, num_bytes in row["files"] if row.get("replaces") else ():
            sizes[path].add(num_bytes)
    return sizes


def _too_early(archives: Sequence[Path], *, journal: Journal, shard: Shard) -> str | None:
    """Return why replacements cannot be laid over yet, or None: every archive comes before."""
    open_archives = [a for a in archives if journal.row_of(str(a.resolve()), file_state(a)) is None]
    if open_archives:
        return f"{len(open_archives)} archives are not extracted yet, such as {open_archives[0]}"
    return "this is one shard of several" if shard.num_shards > 1 else None


def _record(archive: Path, row: Row, journal: Journal) -> None:
    if not row["error"]:  # a damaged archive is tried again: it may have been downloaded anew
        journal.add(str(archive.resolve()), file_state(archive), row)


def _keep_name(name: str) -> str:
    return name


def _report(rows: dict[Path, Row], report: Path) -> int:
    lines: list[tuple[object, ...]] = []
    for archive, row in rows.items():
        summary = f"{counted(len(row['files']), 'file')}, {counted(len(row['refused']), 'member')} refused"
        lines.append((archive.name, row.get("status", "extracted"), "", row["error"] or summary))
        lines += [(archive.name, "refused", member, reason) for member, reason in row["refused"]]
    lines += _repeated(rows)
    write_table(report, COLUMNS, lines)
    wrong = [line for line in lines if line[1] not in ("extracted", "repeated")]
    if wrong:
        show_first("not extracted", COLUMNS, wrong, whole=report)
    num_files = sum(len(row["files"]) for row in rows.values())
    say(f"from {counted(len(rows), 'archive')}: {counted(num_files, 'file')}; report: {report}")
    return 1 if wrong else 0


def _repeated(rows: dict[Path, Row]) -> list[tuple[object, ...]]:
    """Return a line for each file that archives which replace nothing have in common, as of two classes."""
    places: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for archive, row in rows.items():
        if not row.get("replaces"):
            for path, num_bytes in row["files"]:
                places[path].append((num_bytes, archive.name))
    lines: list[tuple[object, ...]] = []
    for path, [(num_bytes, first), *others] in places.items():
        for other_bytes, other in others:
            if other_bytes == num_bytes:
                lines.append((other, "repeated", path, f"{first} has it too, of the same size"))
            else:
                reason = (
                    f"{first} has it too, of {num_bytes:,} bytes and not {other_bytes:,}; one of the two is "
                    "lost, extract these archives to folders of their own"
                )
                lines.append((other, "overwritten", path, reason))
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("extract"),
        description=__doc__,
        epilog="Only plain files with plain relative names are extracted. Absolute paths, '..', "
        "links, devices, FIFOs and set-uid files are refused, and named in the report, as is a file that "
        "two archives have. "
        "Compression is told by content: a plain tar named .tar.gz is read as what it is.",
    )
    parser.add_argument(
        "--archives", type=user_path, nargs="+", required=True, help="archives, or folders of archives"
    )
    parser.add_argument("--output", type=user_path, required=True, help="folder to extract to")
    parser.add_argument(
        "--replacements",
        type=user_path,
        nargs="+",
        default=[],
        help="archives of repaired videos, which take the place of the files of the same name",
    )
    parser.add_argument(
        "--max-expansion",
        type=float,
        default=20.0,
        metavar="N",
        help="an archive may give N times its own bytes, and 100 MB however small it is (default: 20)",
    )
    add_run_options(parser, num_workers=2, workers_do="archives at a time")
    return parser


if __name__ == "__main__":
    run_step(main)
