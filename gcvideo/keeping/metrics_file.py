"""Write the numbers of a run into a CSV file that a resumed run continues."""

import csv
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger

from gcvideo.atomic import replacing

Row = dict[str, Any]


class MetricsFile(Logger):
    """Write a row whenever something is logged: the step, and whatever numbers there were.

    A row is in the file as soon as it is logged, so that a killed process takes none along. Not Lightning's
    CSVLogger, which keeps a hundred rows in memory and deletes the file of a run that is resumed.

    Args:
        file: The CSV file.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.num_rows = 0
        self._columns: list[str] = []

    @property
    def name(self) -> str:
        return self.file.parent.name

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def continue_after(self, num_rows: int, *, step: int) -> None:
        """Keep those of the first `num_rows` rows that are of a step before this one, and no others."""
        rows = _read(self.file)[:num_rows] if self.file.exists() else []
        rows = [row for row in rows if int(row["step"]) < step]
        self._columns = sorted({name for row in rows for name in row})
        self.num_rows = len(rows)
        self._write_all(rows)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        row: Row = {**metrics, "step": self.num_rows if step is None else step}
        if not row.keys() <= set(self._columns):
            self._columns = sorted({*self._columns, *row})
            self._write_all(_read(self.file) if self.num_rows else [])
        with self.file.open("a", newline="") as stream:
            csv.DictWriter(stream, self._columns).writerow(row)
        self.num_rows += 1

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Leave them out: they are in the run's config.yaml."""

    def _write_all(self, rows: Sequence[Row]) -> None:
        with replacing(self.file) as partial, partial.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, self._columns)
            writer.writeheader()
            writer.writerows(rows)


def _read(file: Path) -> list[Row]:
    """Return the rows, without the empty cells of numbers that were not there."""
    with file.open(newline="") as stream:
        rows = csv.DictReader(stream)
        return [{name: value for name, value in row.items() if value not in ("", None)} for row in rows]
