"""Name what a run leaves behind: every writer and every reader takes the paths from here."""

from pathlib import Path
from typing import Literal

PLOT_OF_BLOCK = "distances_"
"""How the plots of single blocks begin in the folder of attention maps."""

Evaluated = Literal["val", "test"]
"""What a validation or a test was of, as its files begin."""


class RunFolder:
    """The folder of one run.

    Args:
        path: The folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_checkpoint(cls, file: Path) -> "RunFolder | None":
        """Return the run that a checkpoint belongs to by its place, or None for one that lies elsewhere."""
        run = cls(file.parent.parent)
        return run if file.parent == run.checkpoints else None

    @classmethod
    def of_config(cls, file: Path) -> "RunFolder | None":
        """Return the run whose configuration a file is, or None where it lies in no run's folder."""
        run = cls(file.parent)
        names = {run.config, run.evaluation_config("val"), run.evaluation_config("test")}
        return run if file in names and run.checkpoints.is_dir() else None

    @property
    def config(self) -> Path:
        """Return the file of the run's configuration, which fit alone writes."""
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """Return the file of the checkpoint of the best validation."""
        return self.checkpoints / "best.ckpt"

    @staticmethod
    def kept_name(monitor: str | None) -> str:
        """Return how checkpoints are called where several of the best are kept, without the ending."""
        figure = f"-{monitor.rpartition('/')[2]}={{{monitor}:.4f}}" if monitor else ""
        return f"epoch={{epoch}}-step={{step}}{figure}"

    @property
    def last(self) -> Path:
        """Return the file of the newest checkpoint, from which a stopped run goes on."""
        return self.checkpoints / "last.ckpt"

    def holds_training(self) -> bool:
        """Return whether steps were taken here; what is refused before them leaves a configuration."""
        return self.curves.exists() or any(self.checkpoints.glob("*.ckpt"))

    def unfinished_checkpoints(self) -> list[Path]:
        """Return the files that killed processes left of checkpoints that they were writing."""
        return [*self.checkpoints.glob(".*.ckpt.*")]

    @property
    def lock(self) -> Path:
        """Return the file that the process that trains there holds, and that names it."""
        return self.path / ".lock"

    @property
    def curves(self) -> Path:
        """Return the table of what training logged, one row a moment."""
        return self.path / "metrics" / "metrics.csv"

    def picture(self, name: str) -> Path:
        """Return the file of the newest picture of training clips or confusions."""
        return self.path / "pictures" / f"{name}.png"

    def evaluation_config(self, evaluated: Evaluated) -> Path:
        """Return the file of the configuration of the newest `gcvideo validate` or `gcvideo test`."""
        return self.path / f"{evaluated}_config.yaml"

    def evaluation_metrics(self, evaluated: Evaluated) -> Path:
        """Return the file of its figures, and of the protocol that they are of."""
        return self.path / f"{evaluated}_metrics.json"

    def class_figures(self, evaluated: Evaluated) -> Path:
        """Return the table of what a validation or a test of several labels has found of every class."""
        return self.path / f"{evaluated}_classes.csv"

    @property
    def predictions(self) -> Path:
        """Return the table of predictions, one row a test video."""
        return self.path / "predictions.csv"

    def results(self, kind: str) -> Path:
        """Return the file of what a test detected, as COCO's results of boxes (bbox) or masks (segm)."""
        return self.path / f"results.{kind}.json"

    @property
    def unreadable(self) -> Path:
        """Return the table of training videos that were skipped."""
        return self.path / "unreadable.csv"

    @property
    def attention(self) -> Path:
        """Return the folder of attention maps and distances."""
        return self.path / "attention"

    @property
    def report(self) -> Path:
        """Return the file of the HTML page on the run."""
        return self.path / "report.html"
