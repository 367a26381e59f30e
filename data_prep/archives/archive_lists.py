"""Where the archives of each data set are, and how a text file lists URLs."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from data_prep.lists.listable_names import LONGEST_NAME, unlistable
from data_prep.lists.text_files import read_text

CVDF = "https://s3.amazonaws.com/kinetics"
"""The Common Visual Data Foundation's copy (github.com/cvdfoundation/kinetics-dataset)."""

SPLITS = ("train", "val", "test")


class Remote(NamedTuple):
    """One file to download."""

    url: str
    target: str
    """Path under the output folder."""
    checksum: str = ""
    """Its MD5 or SHA-256 in hexadecimal digits, or nothing where none is published."""


class Collection(NamedTuple):
    """What CVDF holds of one data set, under `<site>/<folder>/`."""

    folder: str
    lists: str
    """The archive list of a split, `{split}` to be filled in."""
    annotations: tuple[str, ...]
    replacements: tuple[str, ...] = ()


COLLECTIONS = {
    "k400": Collection(
        folder="400",
        lists="{split}/k400_{split}_path.txt",
        annotations=("annotations/train.csv", "annotations/val.csv", "annotations/test.csv"),
        replacements=("replacement_for_corrupted_k400.tgz",),
    ),
    # CVDF calls its train.csv and val.csv of Kinetics-600 incomplete; the .txt files are whole.
    "k600": Collection(
        folder="600",
        lists="{split}/k600_{split}_path.txt",
        annotations=("annotations/train.txt", "annotations/val.txt", "annotations/test.csv"),
    ),
    "k700-2020": Collection(
        folder="700_2020",
        lists="{split}/k700_2020_{split}_path.txt",
        annotations=("annotations/train.csv", "annotations/val.csv", "annotations/test.csv"),
    ),
}


def annotation_files(collection: Collection, *, site: str) -> list[Remote]:
    """Return the annotation files of a data set; they come to `annotations/`."""
    return [Remote(f"{site}/{collection.folder}/{name}", name) for name in collection.annotations]


def replacement_archives(collection: Collection, *, site: str) -> list[Remote]:
    """Return the archives of videos that replace broken ones; they come to `replacements/`."""
    return [
        Remote(f"{site}/{collection.folder}/{name}", f"replacements/{name}")
        for name in collection.replacements
    ]


def parse_list(text: str, *, source: str, folder: str = "") -> list[Remote]:
    """Return the files that a text lists: one URL a line, after it, if known, its MD5 or SHA-256.

    Blank lines and lines that begin with # are passed over. URLs may hold spaces, as CVDF's class
    archives do. A file gets the last part of its URL's path as its name.

    Raises:
        ValueError: A line is no http(s) URL that ends in a file name, or two would get one name.
    """
    remotes: dict[str, Remote] = {}
    for number, line in _lines(text):
        match = re.fullmatch(r"(.*?)(?:\s+([0-9a-fA-F]{32}|[0-9a-fA-F]{64}))?", line)
        assert match is not None
        url, checksum = match[1], (match[2] or "").lower()
        try:
            parts = urlsplit(url)
        except ValueError as error:
            raise ValueError(f"{source}:{number}: {url!r} is not a URL ({error})") from error
        name = PurePosixPath(unquote(parts.path)).name
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ValueError(f"{source}:{number}: {url!r} is not a URL; expected http:// or https://")
        if name in ("", "..") or unlistable(name) or len(name.encode()) > LONGEST_NAME:
            raise ValueError(f"{source}:{number}: {url!r} does not end in a file name")
        target = str(PurePosixPath(folder) / name)
        if target in remotes and remotes[target].url != url:
            raise ValueError(
                f"{source}:{number}: {url} and {remotes[target].url} would both be written to "
                f"{target}; give each its own --output"
            )
        remotes[target] = Remote(url, target, checksum)
    return list(remotes.values())


def parse_checksums(file: Path) -> dict[str, str]:
    """Return file name -> checksum, from what `md5sum` or `sha256sum` prints.

    Raises:
        ValueError: A line is not a checksum and a name.
    """
    checksums = {}
    for number, line in _lines(read_text(file)):
        match = re.fullmatch(r"([0-9a-fA-F]{32}|[0-9a-fA-F]{64}) [ *](.+)", line)
        if match is None:
            raise ValueError(f"{file}:{number}: {line!r} is not a line of md5sum or sha256sum")
        checksums[PurePosixPath(match[2]).name] = match[1].lower()
    return checksums


def quoted(url: str) -> str:
    """Return a URL with its spaces, parentheses and letters outside ASCII escaped; escapes stay."""
    parts = urlsplit(url)
    return parts._replace(path=quote(parts.path, safe="/%:@!$&*+,;=~-._")).geturl()


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.startswith("#"):
            yield number, line.strip()
