"""Keep several of the best checkpoints, of which best.ckpt is the best."""

import re
import shutil
from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from gcvideo.atomic import replacing
from gcvideo.run_folder import RunFolder

FOLDERS_OF_METRICS = re.compile(r"\{[^}:]*/[^}]*\}")


class LinkBest(Checkpoint):
    """Let best.ckpt be the best of the checkpoints that are kept under names of their own.

    It is a second name (hard link) of that file, or a copy where the file system has no links, so that the
    commands that read best.ckpt need not know the others. It stands behind `checkpoint`.

    Args:
        checkpoint: What keeps them.
        run: Where best.ckpt lies.
    """

    def __init__(self, checkpoint: ModelCheckpoint, run: RunFolder) -> None:
        self.checkpoint = checkpoint
        self.run = run

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._link(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._link(trainer)

    def _link(self, trainer: Trainer) -> None:
        best, file = Path(self.checkpoint.best_model_path), self.run.best
        if not trainer.is_global_zero or not best.is_file() or (file.exists() and file.samefile(best)):
            return
        with replacing(file) as partial:
            try:
                partial.hardlink_to(best)
            except OSError:
                shutil.copyfile(best, partial)


def name_apart(checkpoint: ModelCheckpoint, run: RunFolder) -> None:
    """Give every checkpoint a name of its own where several are kept; all would be best.ckpt.

    Raises:
        ValueError: The name would lie in a folder that is called after a metric.
    """
    if checkpoint.save_top_k not in (0, 1) and checkpoint.filename == run.best.stem:
        checkpoint.filename, checkpoint.auto_insert_metric_name = run.kept_name(checkpoint.monitor), False
    in_folders = FOLDERS_OF_METRICS.search(checkpoint.filename or "")
    if checkpoint.auto_insert_metric_name and in_folders:
        raise ValueError(
            f"checkpoint.filename has {in_folders[0]}, whose name would become a folder; write "
            f"top1={in_folders[0]} and checkpoint.auto_insert_metric_name false"
        )
