"""What the ranks of a run must have in common, and that they do."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from gcvideo.distributed import LaunchedRank, require_agreement

RUN_DIR = "GCVIDEO_RUN_DIR"
"""The variable by which the processes that Lightning starts learn the folder that the first one chose."""

Common = Mapping[str, Callable[[], dict[str, str]]]
"""By kind, names and values that must be the same on every rank."""


class AgreeingRanks(Callback):
    """Comparison, before anything is written or trained, of what the ranks must have in common.

    Args:
        common: What that is here.
    """

    def __init__(self, common: Common) -> None:
        self.common = common

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare the ranks, if there are several."""
        if trainer.world_size > 1:
            require_agreement({name: value for of in self.common.values() for name, value in of().items()})


def new_run_dir() -> Path:
    """Return a folder for a run that names none, the same on all ranks.

    Raises:
        ValueError: torchrun or srun started several ranks, which would each choose another.
    """
    num_ranks = LaunchedRank.here().world_size
    if num_ranks > 1:
        raise ValueError(
            f"run_dir is not given, and {num_ranks} ranks must have the same; name one: --run_dir"
        )
    if os.environ.get("LOCAL_RANK", "0") == "0" or RUN_DIR not in os.environ:
        os.environ[RUN_DIR] = str(Path("runs") / datetime.now().strftime("%Y%m%d-%H%M%S"))
    return Path(os.environ[RUN_DIR])
