"""What must be the same on every rank, as names and values, and in what ranks differ."""

import hashlib
import json
import platform
import sys
from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import gcvideo

PACKAGES = (
    "torch",
    "torchvision",
    "pytorchvideo",
    "lightning",
    "jsonargparse",
    "torchmetrics",
    "numpy",
    "av",
    "decord",
    "torchcodec",
)
"""Packages that have a part in what a step computes."""
MAY_DIFFER = (
    *("data.root", "data.videos", "data.num_workers", "model.weights.path", "model.loss.weights.path"),
    *("data.shards", *(f"data.shards.{name}" for name in ("address", "options", "cache", "cache_gb"))),
)
"""Settings that say where files are, whose content is compared, or how many processes read them."""
DIGITS = 12
"""Of a digest, as shown."""
BYTES_AT_ONCE = 1 << 20
LETTERS = 80
"""Of a value, as shown."""


def versions() -> dict[str, str]:
    """Return the versions of Python, CUDA and PACKAGES, and a digest of gcvideo's own source."""
    found = {"python": platform.python_version(), "CUDA": str(torch.version.cuda)}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    folder = Path(str(gcvideo.__file__)).parent
    files = {str(file.relative_to(folder)): digest_of_file(file) for file in sorted(folder.rglob("*.py"))}
    return {**found, "gcvideo's source": digest_of_values(files)}


def settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Return a configuration as dotted keys and values, without those that may differ between ranks.

    The module of each class_path comes with a digest of its source, since it may be the user's own.
    """
    found = flat(config)
    paths = {json.loads(value) for key, value in found.items() if key.endswith("class_path")}
    modules = {str(path).rpartition(".")[0] for path in paths}
    files = {name: getattr(sys.modules.get(name), "__file__", None) for name in modules}
    sources = {f"source of {name}": digest_of_file(Path(file)) for name, file in files.items() if file}
    compared = {key: value for key, value in found.items() if key.replace("init_args.", "") not in MAY_DIFFER}
    return compared | sources


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a nested configuration as dotted keys and values; lists of mappings are numbered."""
    found = {}
    for key, value in config.items():
        if isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            value = {str(place): one for place, one in enumerate(value)}
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = json.dumps(value, default=str, sort_keys=True)
    return found


def digest_of_values(values: Mapping[str, str]) -> str:
    """Return a digest of names and values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:DIGITS]


def digest_of_file(file: Path) -> str:
    """Return a digest of a file's content."""
    found = hashlib.sha256()
    with file.open("rb") as content:
        while part := content.read(BYTES_AT_ONCE):
            found.update(part)
    return found.hexdigest()[:DIGITS]


def differences(values: Mapping[int, Mapping[str, str]]) -> dict[int, list[str]]:
    """Return, by rank, in what it differs from most others; of equally common values the first counts."""
    found: dict[int, list[str]] = {rank: [] for rank in values}
    names = sorted({name for named in values.values() for name in named})
    for name in names:
        by_rank = {rank: named.get(name, "missing") for rank, named in sorted(values.items())}
        usual = Counter(by_rank.values()).most_common(1)[0][0]
        for rank, value in by_rank.items():
            if value != usual:
                found[rank].append(f"{name} is {_short(value)}, elsewhere {_short(usual)}")
    return found


def _short(value: str) -> str:
    return value if len(value) <= LETTERS else f"{value[:LETTERS]}..."
