"""Download archives: those of a Kinetics data set, or any text file of URLs."""

import argparse
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.progress import Progress, TaskID

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that the script runs from anywhere

from data_prep.archives.archive_lists import (
    COLLECTIONS,
    CVDF,
    SPLITS,
    Remote,
    annotation_files,
    parse_checksums,
    parse_list,
    replacement_archives,
)
from data_prep.archives.transfer import Patience, TransferError, download_file, retries
from data_prep.lists.text_files import read_text
from data_prep.running.console import byte_bar, counted, program, run_step, say, show_table
from data_prep.running.journal import Journal, file_state
from data_prep.running.shards import add_run_options, shard_of
from gcvideo.atomic import write_table
from gcvideo.paths import user_path

LONGEST_TIMEOUT_SECONDS = 86_400
COLUMNS = ("path", "status", "bytes", "sha256", "url", "reason")


def main(argv: Sequence[str] | None = None) -> int:
    """Download, and return 0, or 1 if a file could not be had."""
    arguments = _parser().parse_args(argv)
    shard = shard_of(arguments)
    patience = _patience(arguments)
    output: Path = arguments.output
    # What there is to download
    remotes = _wanted(arguments, patience)
    mine = shard.share(remotes)
    if arguments.dry_run:
        missing = [remote for remote in mine if not (output / remote.target).exists()]
        show_table("would download", ("path", "url"), [(remote.target, remote.url) for remote in missing])
        say(f"{len(missing):,} of {counted(len(mine), 'file')} not there yet; nothing was written")
        return 0
    # Download what is not done
    with Journal(output, step="download", shard=shard) as journal:
        rows = download(
            mine, output=output, journal=journal, num_workers=arguments.workers, patience=patience
        )
    # Say what came of it
    report = output / f"download_report{shard.suffix}.csv"
    write_table(report, COLUMNS, [rows[remote.target] for remote in mine])
    failed = [row for row in rows.values() if row[1] != "ok"]
    num_bytes = sum(row[2] for row in rows.values())
    if failed:
        show_table("not downloaded", ("path", "reason"), [(row[0], row[5]) for row in failed])
    say(
        f"{len(rows) - len(failed):,} of {counted(len(mine), 'file')} there ({num_bytes / 1e9:.2f} GB); "
        f"report: {report}"
    )
    return 1 if failed else 0


def download(
    remotes: Sequence[Remote],
    *,
    output: Path,
    journal: Journal,
    num_workers: int,
    patience: Patience,
) -> dict[str, list[Any]]:
    """Fetch files in parallel; those that the journal knows and that are there are not asked for.

    Returns:
        target -> a row of the report.
    """
    rows: dict[str, list[Any]] = {}
    waiting = []
    # Leave what is there
    for remote in remotes:
        seen = file_state(output / remote.target, settings=remote.checksum)
        if done := journal.row_of(remote.target, seen):
            rows[remote.target] = [
                remote.target,
                "ok",
                seen.num_bytes,
                done["sha256"],
                remote.url,
                "",
            ]
        else:
            waiting.append(remote)
    # Fetch the others, and record each as it comes
    stop = threading.Event()
    with byte_bar() as bars, ThreadPoolExecutor(num_workers) as pool:
        overall = bars.add_task(f"0 of {counted(len(waiting), 'file')}", total=None)
        futures = {
            pool.submit(_fetch_shown, remote, output, patience, stop, bars, overall): remote
            for remote in waiting
        }
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                bars.update(overall, description=f"{number:,} of {counted(len(waiting), 'file')}")
                remote = futures[future]
                target = output / remote.target
                try:
                    received = future.result()
                except TransferError as error:
                    rows[remote.target] = [remote.target, "failed", 0, "", remote.url, str(error)]
                    continue
                journal.add(
                    remote.target,
                    file_state(target, settings=remote.checksum),
                    {"sha256": received.sha256},
                )
                rows[remote.target] = [
                    *(remote.target, "ok", received.num_bytes, received.sha256),
                    *(remote.url, ""),
                ]
        finally:  # a full disk, or Ctrl-C: let the threads end at the next wait
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return rows


def _fetch_shown(
    remote: Remote,
    output: Path,
    patience: Patience,
    stop: threading.Event,
    bars: Progress,
    overall: TaskID,
) -> Any:
    task = bars.add_task(remote.target, total=None)
    before = 0

    def advance(have: int, total: int | None) -> None:
        nonlocal before
        if stop.is_set():
            raise TransferError("stopped")
        bars.update(task, completed=have, total=total)
        bars.advance(overall, max(0, have - before))
        before = have

    try:
        return download_file(remote, output / remote.target, patience=patience, stop=stop, advance=advance)
    finally:
        bars.remove_task(task)


def _patience(arguments: argparse.Namespace) -> Patience:
    if arguments.retries < 0:
        raise ValueError(f"--retries {arguments.retries} is out of range; expected at least 0")
    if not arguments.pause_seconds >= 0:
        raise ValueError(f"--pause-seconds {arguments.pause_seconds:g} is out of range; expected 0 or more")
    if not 0 < arguments.timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
        raise ValueError(
            f"--timeout-seconds {arguments.timeout_seconds:g} is out of range; expected more than 0, and at "
            f"most {LONGEST_TIMEOUT_SECONDS:,}"
        )
    return Patience(
        retries(arguments.retries, pause_seconds=arguments.pause_seconds), arguments.timeout_seconds
    )


def _wanted(arguments: argparse.Namespace, patience: Patience) -> list[Remote]:
    """Return the files that the command line names, in order."""
    if (arguments.dataset is None) == (arguments.urls is None):
        raise ValueError("name either a data set or --urls, for example: download.py k400 --output data/k400")
    if arguments.urls is not None:
        remotes = parse_list(read_text(arguments.urls), source=str(arguments.urls))
    else:
        collection = COLLECTIONS[arguments.dataset]
        site = arguments.site.rstrip("/")
        remotes = annotation_files(collection, site=site)
        if "train" in arguments.splits:
            remotes += replacement_archives(collection, site=site)
        for split in arguments.splits:
            url = f"{site}/{collection.folder}/{collection.lists.format(split=split)}"
            text = _read_list(url, patience)
            remotes += parse_list(text, source=url, folder=f"archives/{split}")
    checksums = parse_checksums(arguments.checksums) if arguments.checksums else {}
    return [
        remote._replace(checksum=checksums.get(Path(remote.target).name, remote.checksum))
        for remote in remotes
    ]


def _read_list(url: str, patience: Patience) -> str:
    """Return an archive list; it is fetched anew each time, for it is small and may change."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "list.txt"
        remote = Remote(url, target.name)
        try:
            download_file(remote, target, patience=patience, stop=threading.Event(), advance=lambda *_: None)
        except TransferError as error:
            raise ValueError(f"{url}: {error}") from None
        try:
            return read_text(target)
        except ValueError:
            raise ValueError(f"{url}: is no list of archives; expected a text file of URLs") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program("download"),
        description=__doc__,
        epilog="Stop it at any moment; the same command goes on where it was, in the middle of a "
        "file. The report names every file, its size, its SHA-256 and, where it failed, why.",
    )
    parser.add_argument("dataset", nargs="?", choices=sorted(COLLECTIONS), help="a Kinetics data set at CVDF")
    parser.add_argument(
        "--urls",
        type=user_path,
        help="instead: a text file of URLs, each followed by its MD5 or SHA-256 if known",
    )
    parser.add_argument("--output", type=user_path, required=True, help="folder to write to")
    parser.add_argument(
        "--splits",
        nargs="+",
        choices=SPLITS,
        default=list(SPLITS),
        help="which splits (default: all)",
    )
    parser.add_argument("--checksums", type=user_path, help="a file that md5sum or sha256sum wrote")
    parser.add_argument(
        "--site", default=CVDF, help="where the data set's folders are (default: %(default)s)"
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=8,
        help="attempts in a row that may bring nothing (default: 8)",
    )
    parser.add_argument(
        "--pause-seconds",
        type=float,
        default=1.0,
        help="the first retry is at once, the second after twice this, then four times, ..., at most two "
        "minutes; a server's Retry-After goes before it (default: 1)",
    )
    parser.add_argument(
        "--timeout-seconds",
        type=float,
        default=60.0,
        help="silence before a connection counts as dropped (default: 60)",
    )
    add_run_options(parser, num_workers=4, workers_do="files at a time")
    return parser


if __name__ == "__main__":
    run_step(main)
