"""What is kept of a finished run: one small JSON file."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from benchmark import describe_machine
from studying.plan import Job, Settings

from gcvideo.atomic import write_text
from gcvideo.run_folder import RunFolder

PACKAGES = ("gcvideo", "torch", "torchvision", "lightning", "pytorchvideo", "av", "numpy")


class Records:
    """The results of a study, one file a run.

    Args:
        folder: Where they are: folder/SET/ROW/seedN.json.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def read(self, name: str, *, digest: str) -> dict[str, Any] | None:
        """Return what is kept of a run, or None if it has not been finished.

        Raises:
            ValueError: It was made with other settings.
        """
        file = self.file(name)
        if not file.exists():
            return None
        found = json.loads(file.read_text())
        if found["digest"] != digest:
            raise ValueError(
                f"{file}: was made with settings of digest {found['digest']}, and those asked for have "
                f"{digest}; delete it, or name another folder by --results"
            )
        return found

    def write(self, name: str, record: dict[str, Any]) -> None:
        write_text(self.file(name), json.dumps(record, indent=1) + "\n")

    def all(self) -> Iterator[dict[str, Any]]:
        """Yield every record, in the order of their names."""
        for file in sorted(self.folder.rglob("*.json")):
            yield json.loads(file.read_text())


def of_run(job: Job, settings: Settings, run: RunFolder) -> dict[str, Any]:
    """Return what a trained and tested run has come to."""
    table = pd.read_csv(run.predictions, keep_default_na=False)
    if "unreadable" in table:
        raise ValueError(f"{run.predictions}: some test videos could not be read; repair or drop them")
    names = table["video"].astype(str)
    curves = pd.read_csv(run.curves)
    losses = curves["train/loss"].dropna()
    return {
        "run": job.name,
        "data": job.data.name,
        "row": job.kind,
        "seed": job.seed,
        "digest": settings.digest(job),
        "configs": settings.configs(job),
        "arguments": settings.keys(job),
        "accuracy": float((table["label"] == table["prediction"]).mean()),
        "num_videos": len(table),
        "videos_digest": hashlib.sha256("\n".join(names).encode()).hexdigest()[:12],
        "wrong": names[table["label"] != table["prediction"]].tolist(),
        "first_train_loss": float(losses.iloc[0]),
        "last_train_loss": float(losses.iloc[-1]),
        **circumstances(),
    }


def circumstances() -> dict[str, Any]:
    """Return machine, versions, commit and time."""
    return {
        "machine": describe_machine(),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "commit": _commit(),
        "threads": torch.get_num_threads(),
        "ended": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _commit() -> str | None:
    """Return the commit of the files that run, `+` behind it if some are changed; None outside of git."""
    here = Path(__file__).parent
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--abbrev=10"], cwd=here, capture_output=True, text=True
    )
    return said.stdout.strip() or None if said.returncode == 0 else None
