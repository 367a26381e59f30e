"""Runs with one of Lightning's switches set, and what is then true of them or said of it."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd
import pytest

from tests.training.runs import batches, run, said, write_config

BATCHES = 3
"""Of an epoch; a run has two epochs, each with a validation of two batches."""
LOSS_IS_ENOUGH = {
    "class_path": "EarlyStopping",
    "init_args": {"monitor": "val/loss", "stopping_threshold": 100.0},
}
"""Ends the run as soon as it may end."""


class Run(NamedTuple):
    """What a finished run left behind."""

    folder: Path
    facts: dict[str, Any]
    """Of Observed."""

    @property
    def validated_after(self) -> list[int]:
        return [step for step, _ in self.facts["validations"]]

    @property
    def files(self) -> set[str]:
        run_dir = self.folder / "run"
        return {str(file.relative_to(run_dir)) for file in run_dir.rglob("*") if file.is_file()}

    @property
    def said(self) -> str:
        return said(self.folder)

    @property
    def rates(self) -> list[float]:
        return [float.fromhex(facts["rate"]) for facts in batches(self.folder).values() if "rate" in facts]

    def logged(self, name: str) -> "pd.Series[float]":
        rows = pd.read_csv(self.folder / "run" / "metrics" / "metrics.csv")
        return rows.set_index("step")[name].dropna()


class Works(NamedTuple):
    """A value, and what is then true of a run."""

    value: Any
    holds: Callable[[Run], bool]
    others: Mapping[str, Any] = MappingProxyType({})
    processes: int = 1
    command: str = "fit"


class Refused(NamedTuple):
    """A value, and what the line says."""

    value: Any
    words: str
    others: Mapping[str, Any] = MappingProxyType({})
    processes: int = 1
    command: str = "fit"


def cases(of: dict[str, list[Works | Refused]], kind: type) -> list[Any]:
    return [
        pytest.param(name, case, id=f"{name}={json.dumps(case.value)[:40]}{number}")
        for name, its in of.items()
        for number, case in enumerate(its)
        if isinstance(case, kind)
    ]


def start(folder: Path, root: Path, name: str, case: Works | Refused) -> list[int | None]:
    observed = {
        "class_path": "tests.training.faults.Observed",
        "init_args": {"file": str(folder / "facts.json")},
    }
    trainer = {**case.others, name: case.value}
    trainer["callbacks"] = [*trainer.get("callbacks", []), observed]
    config = write_config(folder, root, trainer=trainer)
    return run(config, processes=case.processes, command=case.command)


def assert_it_works(folder: Path, root: Path, name: str, case: Works) -> None:
    assert start(folder, root, name, case) == [0] * case.processes, said(folder)
    done = Run(folder, json.loads((folder / "facts.json").read_text()))
    assert case.holds(done), (done.facts, done.files, done.said)


def assert_it_is_refused(folder: Path, root: Path, name: str, case: Refused) -> None:
    assert set(start(folder, root, name, case)) <= {1, 2}, said(folder)
    line = (folder / "said.0").read_text().splitlines()[-1]
    assert line.startswith(f"gcvideo {case.command}: ")
    assert case.words in line
    assert "Traceback" not in said(folder)
    if "trainer." in case.words:  # ours
        assert not (folder / "run").exists()
