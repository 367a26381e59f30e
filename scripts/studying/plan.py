"""What the study trains: rows, data sets and seeds, and what each run gives to `gcvideo fit`."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

from gcvideo.cli.named_configs import find

RECIPE = "small_data"
QUICK = {
    "trainer.max_epochs": "1",
    "trainer.check_val_every_n_epoch": "1",
    "trainer.log_every_n_steps": "1",
    "model.network.init_args.width": "0.0625",
    "data.clip.num_frames": "2",
    "data.batch_size": "8",
}
"""Arguments of --quick."""
INSTANTIATIONS = ("embedded_gaussian", "gaussian", "dot_product", "concat")


@dataclass(frozen=True)
class Row:
    """A network: configuration files behind those of its backbone, and arguments."""

    title: str
    configs: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_non_local(self) -> bool:
        return "nl5" in self.configs


def _non_local(instantiation: str) -> Row:
    key = "model.network.init_args.block.init_args.instantiation"
    return Row(f"5 NL, {instantiation.replace('_', ' ')}", ("nl5",), {key: instantiation})


ROWS = {
    "bare": Row("no block"),
    "nl5": Row("5 NL", ("nl5",)),
    "snl5": Row("5 SNL", ("snl5",)),
    "gc5": Row("5 GC", ("gc5",)),
    "gc_all": Row("GC in all blocks of res3-res5", ("gc_all",)),
    "se_all": Row("SE in all blocks of res3-res5", ("se_all",)),
    # The embedded Gaussian is row nl5.
    **{f"nl5_{name}": _non_local(name) for name in INSTANTIATIONS[1:]},
}
PAPER = ("bare", "nl5", "snl5", "gc5", "gc_all", "se_all")
FINE_TUNED = "gc_all"


@dataclass(frozen=True)
class DataSet:
    """A folder of videos and lists, and the configuration of its clips."""

    name: str
    config: str
    root: Path
    test: str = "test.csv"
    floor: float | None = None
    """An accuracy that a network has to pass to have learnt anything of use, 0..1."""
    is_real: bool = False
    synthetic: Mapping[str, int] | None = None
    """Settings of `gcvideo synthetic`, which writes it, if it is the embedded one."""


class Job(NamedTuple):
    """One training run."""

    data: DataSet
    row: str
    seed: int
    start: "DataSet | None" = None
    """The set on which the same row and seed were trained before, if it is fine-tuned."""

    @property
    def name(self) -> str:
        begun = f"_from_{self.start.name}" if self.start else ""
        return f"{self.data.name}/{self.row}{begun}/seed{self.seed}"

    @property
    def kind(self) -> str:
        """Return the row, told apart from the one that starts from chance."""
        return f"{self.row} from {self.start.name}" if self.start else self.row

    @property
    def before(self) -> "Job | None":
        """Return the run whose weights it starts from."""
        return Job(self.start, self.row, self.seed) if self.start else None


@dataclass(frozen=True)
class Settings:
    """What all runs of a study have in common.

    Args:
        backbone: Configuration of the network without blocks.
        precision: trainer.precision.
        num_workers: Loader processes of a run.
        arguments: More arguments of all runs, by key.
    """

    backbone: str = "slow_r50"
    precision: str = "32-true"
    num_workers: int = 1
    arguments: Mapping[str, str] = field(default_factory=dict)

    def configs(self, job: Job) -> list[str]:
        return ["base", job.data.config, self.backbone, *ROWS[job.row].configs, RECIPE]

    def keys(self, job: Job) -> dict[str, str]:
        """Return what the run is given besides its files, but for paths."""
        return {
            "seed_everything": str(job.seed),
            "data.seed": str(job.seed),
            "data.test": job.data.test,
            "trainer.precision": self.precision,
            **ROWS[job.row].arguments,
            **({"model.weights.new": "[head]"} if job.start else {}),
            **self.arguments,
        }

    def digest(self, job: Job) -> str:
        """Return 12 characters that change with any setting of the run, its data set's and its start's."""
        digest = hashlib.sha256(json.dumps([job.name, self.keys(job), job.data.synthetic]).encode())
        for config in self.configs(job):
            settings = yaml.safe_load(find(config).read_text())  # comments may change
            digest.update(json.dumps(settings, sort_keys=True).encode())
        if job.data.is_real:
            for name in ("train.csv", job.data.test):
                digest.update((job.data.root / name).read_bytes())
        if job.before:
            digest.update(self.digest(job.before).encode())
        return digest.hexdigest()[:12]


def jobs(
    sets: Sequence[DataSet], *, rows: Sequence[str], seeds: Sequence[int], start: DataSet | None
) -> Iterator[Job]:
    """Yield all runs: the paper's rows on every set, then fine-tuned ones, then the other instantiations.

    All rows of one seed come before the next seed, so that a study that is cut compares what it has.

    Args:
        sets: The data sets, the foremost first.
        rows: Names in ROWS.
        seeds: The seeds of each row.
        start: The set that networks are trained on before they are fine-tuned on real ones, if any.
    """
    for data in sets:
        yield from (Job(data, row, seed) for seed in seeds for row in rows if row in PAPER)
    for data in sets:
        if start is not None and data.is_real and FINE_TUNED in rows:
            yield from (Job(data, FINE_TUNED, seed, start) for seed in seeds)
    for data in sets:
        yield from (Job(data, row, seed) for seed in seeds for row in rows if row not in PAPER)
