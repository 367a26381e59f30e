"""What must be the same on every process: versions, configuration and lists, as names and values."""

import hashlib
import json
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import gcvideo
from gcvideo.data import VideoDataModule

PACKAGE = re.compile(r"[\w.-]+")
DIGITS = 12
"""Of a hash, as shown."""


def versions() -> dict[str, str]:
    """Of Python, of every package that gcvideo requires, of CUDA, and a hash of gcvideo's own files."""
    found = {"python": platform.python_version(), "CUDA": str(torch.version.cuda)}
    required = [line for line in metadata.requires("gcvideo") or [] if "extra ==" not in line]
    for line in required:
        name = PACKAGE.match(line)
        assert name is not None
        try:
            found[name[0]] = metadata.version(name[0])
        except metadata.PackageNotFoundError:  # decord, where it has no wheel
            found[name[0]] = "not installed"
    folder = Path(str(gcvideo.__file__)).parent
    source = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        source.update(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() + b"\0")
    found["gcvideo's source"] = source.hexdigest()[:DIGITS]
    return found


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested configuration as dotted keys and values; lists of mappings are numbered."""
    found = {}
    for key, value in config.items():
        if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            value = {str(place): one for place, one in enumerate(value)}
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value, default=str, sort_keys=True)
    return found


def digest(values: Mapping[str, str]) -> str:
    """A hash of names and values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:DIGITS]


def lists(data: VideoDataModule) -> dict[str, str]:
    """Number of videos and hash of the training and validation list, and hash of the class names.

    Raises:
        AnnotationError: A list is missing or broken.
    """
    found = {}
    for split in ("train", "val"):
        num_videos, file = len(data.records(split)), data.lists[split]
        content = hashlib.sha256(file.read_bytes()).hexdigest()[:DIGITS]
        found[str(file)] = f"{num_videos} videos ({content})"
    found["class names"] = digest({str(label): name for label, name in enumerate(data.class_names)})
    return found
