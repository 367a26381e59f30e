"""What an answer over HTTP says of the file: its version, its length, and where in it the answer begins."""

import json
import re
from pathlib import Path
from typing import Any

from urllib3 import BaseHTTPResponse

from data_prep.archives.asking import NOTHING_LEFT

_VALIDATORS = ("ETag", "Last-Modified")


def left_over(partial: Path, notes: Path, *, is_checked: bool) -> tuple[int, dict[str, Any]]:
    """Return the bytes that an earlier attempt left, and what the server said of the file they are of.

    Where neither the server's words nor a checksum tell one version from another, nothing is left.
    """
    try:
        version = json.loads(notes.read_text())
        have = partial.stat().st_size
    except (FileNotFoundError, ValueError):
        return 0, {}
    return (have, version) if is_checked or any(name in version for name in _VALIDATORS) else (0, {})


def range_headers(have: int, version: dict[str, Any]) -> dict[str, str]:
    """Return the headers that ask for what is behind these bytes, if the server has this version."""
    if not have:
        return {}
    # A weak ETag may be that of two versions, and If-Range must not hold one
    strong = [version[name] for name in _VALIDATORS if not version.get(name, "W/").startswith("W/")]
    return {"Range": f"bytes={have}-"} | ({"If-Range": strong[0]} if strong else {})


def version_of(response: BaseHTTPResponse) -> dict[str, Any]:
    """Return what tells this version of a file from another."""
    return {name: response.headers[name] for name in _VALIDATORS if response.headers.get(name)}


def change_of(noted: dict[str, Any], answered: dict[str, Any], *, is_part: bool) -> str | None:
    """Return how an answer to a range says that it is of another version than the noted one, or None.

    A part must have an ETag if the whole had one (RFC 9110, 15.3.7); all else may be left out.
    """
    for name in (*_VALIDATORS, "num_bytes"):
        before, now = noted.get(name), answered.get(name)
        if before and now != before and (now or (is_part and name == "ETag")):
            return f"{name} was {before}, is {now or 'not said'}"
    return None


def place_of(response: BaseHTTPResponse) -> tuple[int, int | None]:
    """Return the first byte of the body, and the bytes of the whole file. Servers may ignore ranges."""
    content_range = response.headers.get("Content-Range", "")
    if response.status == NOTHING_LEFT:
        match = re.fullmatch(r"bytes \*/(\d+)", content_range)
        return (int(match[1]), int(match[1])) if match else (-1, None)
    if response.status == 206 and (match := re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", content_range)):
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return (-1 if response.status == 206 else 0), int(length) if length.isdecimal() else None


def md5_of(response: BaseHTTPResponse) -> str:
    """Return the MD5 that Amazon S3 gives as ETag of a file uploaded in one piece, unless encrypted."""
    etag = response.headers.get("ETag", "").strip('"')
    plain = response.headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
    is_s3 = response.headers.get("Server") == "AmazonS3"
    return etag if is_s3 and plain and re.fullmatch(r"[0-9a-f]{32}", etag) else ""
