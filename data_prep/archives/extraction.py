"""One archive becomes files under a folder, each where it may stand and whole."""

import errno
import os
import shutil
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from tarfile import TarInfo
from typing import Any

from data_prep.archives.tar_stream import ArchiveError, ExpansionError, open_tar, refusal
from data_prep.lists.listable_names import LONGEST_NAME
from data_prep.running.console import counted
from data_prep.running.journal import JOURNALS
from gcvideo.atomic import replacing

ALWAYS_PERMITTED_BYTES = 100_000_000
"""Of an archive, however small it is."""
LONGEST_PATH = 4000
"""Bytes; the system's limit is 4,096 with its end."""

Row = dict[str, Any]
"""What came of an archive: "files" [[path, bytes]], "refused" [[member, reason]], "error" or "", "status"."""


def extract_archive(
    archive: Path,
    output: Path,
    place_of: Callable[[str], str],
    *,
    max_expansion: float,
    is_there: Callable[[str, int], bool] = lambda path, num_bytes: False,
    advance: Callable[[int], object] = lambda num_bytes: None,
) -> Row:
    """Extract an archive: members to the place that place_of says, where none of their size is there.

    Raises:
        OSError: The disk has no room for a member.
    """
    files: dict[str, int] = {}
    refused: list[list[str]] = []
    row: Row = {"files": [], "refused": refused, "error": "", "status": "extracted"}
    num_read = 0
    num_bytes = archive.stat().st_size
    # The archive's own, since two may give one file at one time; the next run takes it over
    temporary_name = f".{zlib.crc32(os.fsencode(archive.resolve())):08x}.partial"
    try:
        with open_tar(archive, max_bytes=max(max_expansion * num_bytes, ALWAYS_PERMITTED_BYTES)) as tar:
            for member, content in tar.members():
                advance(tar.num_bytes_read - num_read)
                num_read = tar.num_bytes_read
                # Refuse it, or find its place
                reason = refusal(member)
                if member.isdir() and reason is None:
                    continue
                path = place_of(str(PurePosixPath(member.name))) if reason is None else ""
                reason = reason or _misplaced(output, path)
                # Write it, unless it is there
                if reason is not None:
                    refused.append([member.name, reason])
                elif path in files or not (
                    has_size(output / path, member.size) or is_there(path, member.size)
                ):
                    _check_room(output, archive, member)
                    # 300,000 waits for the disk would take hours; the next run looks at every size
                    target = output / path
                    temporary = target.with_name(temporary_name)
                    with (
                        replacing(target, partial=temporary, is_settled=False) as partial_file,
                        partial_file.open("wb") as file,
                    ):
                        file.writelines(content)
                if reason is None:
                    files[path] = member.size
    except ArchiveError as error:
        row["status"], reason = "damaged", str(error)
        if isinstance(error, ExpansionError):
            row["status"] = "too large"
            reason += f", from {num_bytes:,}; --max-expansion, here {max_expansion:g}, permits more"
        row["error"] = f"{reason}; {counted(len(files), 'file')} came before"
    advance(num_bytes - num_read)
    row["files"] = sorted(files.items())
    return row


def _misplaced(output: Path, path: str) -> str | None:
    """Return why a file cannot be written at this path under output, or None."""
    if PurePosixPath(path).parts[0] == JOURNALS:
        return f"{JOURNALS} is this program's own"
    target = output / path
    if max(len(os.fsencode(part)) for part in target.parts) > LONGEST_NAME:
        return "name too long"
    if len(os.path.abspath(os.fsencode(target))) > LONGEST_PATH:  # noqa: PTH100 (a path of bytes)
        return "path too long"
    if not target.parent.resolve().is_relative_to(output.resolve()):
        return "a link on its way leads out of the output folder"
    if target.is_dir() and not target.is_symlink():
        return "a folder of that name is there"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return "a file stands where its folder should be"
    return None


def _check_room(output: Path, archive: Path, member: TarInfo) -> None:
    free = shutil.disk_usage(output).free
    if member.size > free:
        raise OSError(
            errno.ENOSPC,
            f"{archive.name}: {member.name} has {member.size:,} bytes, and the disk has {free:,} left",
            str(output),
        )


def has_size(path: Path, num_bytes: int) -> bool:
    """Return whether there is a file of so many bytes."""
    return path.is_file() and path.stat().st_size == num_bytes


def place_finder(names: Sequence[str]) -> Callable[[str], str]:
    """Return a function: member name -> the path, among those there, that it replaces."""
    by_name: dict[str, list[str]] = defaultdict(list)
    by_id: dict[str, list[str]] = defaultdict(list)
    for name in names:
        base = PurePosixPath(name).name
        by_name[base].append(name)
        by_id[base[:11]].append(name)

    def place_of(member: str) -> str:
        base = PurePosixPath(member).name
        if base in by_name:
            return by_name[base][0]
        return by_id[base[:11]][0] if len(by_id.get(base[:11], ())) == 1 else member

    return place_of
