"""Findings of all ranks, as a table and as sentences."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.box import SIMPLE_HEAD
from rich.table import Table

from gcvideo.preflight.findings import Finding, Status

CHECKS = (
    "config",
    "versions",
    "files",
    "listed videos",
    "memory",
    "open files",
    "videos",
    "run_dir",
    "clock",
    "all-reduce",
    "loader",
    "step",
)


@dataclass
class Report:
    """Findings by rank and check."""

    hosts: dict[int, str] = field(default_factory=dict)
    found: dict[int, dict[str, Finding]] = field(default_factory=dict)

    def add(self, rank: int, *findings: Finding) -> None:
        """Note findings; of two of one check the worse stands, and of two like ones the later."""
        order = list(Status)
        for finding in findings:
            there = self.found.setdefault(rank, {}).get(finding.check)
            if there is None or order.index(finding.status) >= order.index(there.status):
                self.found[rank][finding.check] = finding

    def add_absent(self, ranks: Iterable[int], said: str) -> None:
        """Note ranks that were not heard from."""
        for rank in ranks:
            self.add(rank, Finding("process", Status.FAILED, said))

    @property
    def absent(self) -> set[int]:
        """Ranks that were not heard from."""
        return {rank for rank, findings in self.found.items() if "process" in findings}

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return bool(self._sentences(Status.FAILED))

    def table(self) -> Table:
        """Return a table with a row for each rank."""
        table = Table("rank", "host", *CHECKS, box=SIMPLE_HEAD)
        for rank in sorted({*self.hosts, *self.found}):
            findings = self.found.get(rank, {})
            cells = [_cell(findings.get(check)) for check in CHECKS]
            host = self.hosts.get(rank, "")
            table.add_row(str(rank), "ABSENT" if "process" in findings else host, *cells)
        return table

    def sentences(self) -> list[str]:
        """Return what is wrong, and where; after it what is merely slow, or is left out."""
        return self._sentences(Status.FAILED) + self._sentences(Status.WARNING)

    def _sentences(self, status: Status) -> list[str]:
        return [
            f"{status.value}: rank {rank}{self._at(rank)}: {finding.check}: {finding.said}"
            for rank, findings in sorted(self.found.items())
            for finding in findings.values()
            if finding.status is status
        ]

    def _at(self, rank: int) -> str:
        return f" on {self.hosts[rank]}" if rank in self.hosts else ""


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return "-"
    return finding.said if finding.status is Status.OK else finding.status.value
