"""Callbacks that watch a run, and that do to it what the world does."""

import hashlib
import json
import os
import threading
import time
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from gcvideo.clip import ViewBatch
from gcvideo.data.transforms import ScaleJitter

Moment = Literal["start", "step", "decoding", "validation", "saving"]


class Record(Callback):
    """Writes down every training batch of every process: step, videos, learning rate, loss and clips by bits.

    The last line is the state of the random generator at the end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer: Trainer, pl_module, outputs, batch: ViewBatch, batch_idx) -> None:
        self._write(
            trainer,
            batch=trainer.fit_loop.total_batch_idx + 1,
            step=trainer.global_step,
            epoch=trainer.current_epoch,
            videos=batch.video_id,
            loss=float(outputs["loss"]).hex(),
            rate=trainer.optimizers[0].param_groups[0]["lr"].hex(),
            clips=digest(batch.views),
        )

    def on_train_end(self, trainer: Trainer, pl_module) -> None:
        self._write(trainer, random=digest(torch.get_rng_state()))

    def _write(self, trainer: Trainer, **facts: Any) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(facts) + "\n")


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()[:16]


class Signal(Callback):
    """Sends itself a signal, in one process or all, when so many steps are done.

    At the start of training, at the end of the step, while the next clips are decoded, in the validation that
    follows, or while the checkpoint of the step is written; if `once` is given, only where that file is not
    there yet.
    """

    def __init__(
        self,
        number: int,
        *,
        step: int,
        moment: Moment = "step",
        process: int | None = None,
        once: Path | None = None,
    ) -> None:
        self.number = number
        self.step = step
        self.moment = moment
        self.process = process
        self.once = once

    def on_train_start(self, trainer: Trainer, pl_module) -> None:
        self._send(trainer, "start")

    def on_train_batch_end(self, trainer: Trainer, pl_module, outputs, batch, batch_idx) -> None:
        self._send(trainer, "step")
        threading.Timer(0.3, self._send, (trainer, "decoding", trainer.global_step)).start()

    def on_validation_batch_start(self, trainer: Trainer, pl_module, batch, batch_idx) -> None:
        if not trainer.sanity_checking:
            self._send(trainer, "validation")

    def on_save_checkpoint(self, trainer: Trainer, pl_module, checkpoint) -> None:
        self._send(trainer, "saving")

    def _send(self, trainer: Trainer, moment: Moment, step: int | None = None) -> None:
        step = trainer.global_step if step is None else step
        here = self.process in (None, trainer.global_rank)
        if here and (moment, step) == (self.moment, self.step):
            if self.once is not None:
                if self.once.exists():
                    return
                self.once.touch()
            os.kill(os.getpid(), self.number)


class SlowJitter(ScaleJitter):
    """Takes its time over every clip."""

    def __init__(self, seconds: float) -> None:
        super().__init__(crop_size=32, min_short_side=32, max_short_side=40)
        self.seconds = seconds

    def transform(self, frames: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return super().transform(frames)


class CountCollectives(Callback):
    """Writes down, for every batch, how many numbers were exchanged in each call of torch.distributed's."""

    NAMES = ("all_reduce", "all_gather", "all_gather_object", "broadcast", "broadcast_object_list", "barrier")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.batches: list[list[Any]] = [[]]

    def on_train_start(self, trainer: Trainer, pl_module) -> None:
        for name in self.NAMES:
            setattr(dist, name, self._counted(name, getattr(dist, name)))

    def on_train_batch_start(self, trainer: Trainer, pl_module, batch, batch_idx) -> None:
        self.batches.append([])

    def on_train_epoch_end(self, trainer: Trainer, pl_module) -> None:
        file = self.folder / f"collectives.{trainer.global_rank}.json"
        file.write_text(json.dumps(self.batches[1:]))

    def _counted(self, name: str, collective):
        def counted(*tensors, **settings):
            self.batches[-1].append([name, getattr(tensors[0] if tensors else None, "numel", int)()])
            return collective(*tensors, **settings)

        return counted


class NotFinite(Callback):
    """Makes the clips of one step infinite in one process."""

    def __init__(self, *, step: int, process: int = 0) -> None:
        self.step = step
        self.process = process

    def on_train_batch_start(self, trainer: Trainer, pl_module, batch: ViewBatch, batch_idx) -> None:
        if (trainer.global_step + 1, trainer.global_rank) == (self.step, self.process):
            batch.views.fill_(torch.inf)


class BadGradient(Callback):
    """Leaves the loss as it is and makes one gradient of one step NaN."""

    def __init__(self, *, step: int) -> None:
        self.step = step

    def on_after_backward(self, trainer: Trainer, pl_module) -> None:
        if trainer.global_step + 1 == self.step:
            next(pl_module.parameters()).grad[0, 0] = torch.nan


class OtherVersion(Callback):
    """Makes one rank believe that it has another numpy."""

    def __init__(self, *, rank: int) -> None:
        if os.environ.get("LOCAL_RANK", "0") == str(rank):
            version = metadata.version
            metadata.version = lambda name: "1.0" if name == "numpy" else version(name)


class InEvaluation(Callback):
    """Trains with the network in evaluation: norms have fixed statistics, and nothing is dropped."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module) -> None:
        pl_module.network.eval()


class NothingDropped(Callback):
    """Trains without dropout."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module) -> None:
        for module in pl_module.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0


class Observed(Callback):
    """Writes down, at the end, how a run went, and which of torch's switches were on in it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.facts: dict[str, Any] = {"validations": [], "sanity checks": 0, "batches": [], "gradients": []}
        self.loaders: list[Any] = []

    def on_fit_start(self, trainer: Trainer, pl_module) -> None:
        saving = trainer.strategy.checkpoint_io
        self.facts |= {
            "accelerator": type(trainer.accelerator).__name__,
            "strategy": type(trainer.strategy).__name__,
            "saving": type(getattr(saving, "checkpoint_io", saving)).__name__,
            "bar": type(trainer.progress_bar_callback).__name__,
            "weights": str(next(pl_module.parameters()).dtype),
        }

        def note(network, inputs, logits: Tensor) -> None:
            self.facts["logits"] = str(logits.dtype)

        pl_module.network.register_forward_hook(note)

    def on_train_epoch_start(self, trainer: Trainer, pl_module) -> None:
        if trainer.train_dataloader not in self.loaders:
            self.loaders.append(trainer.train_dataloader)

    def on_train_batch_end(self, trainer: Trainer, pl_module, outputs, batch: ViewBatch, batch_idx) -> None:
        self.facts["batches"].append(batch.video_id)
        self.facts["anomalies"] = torch.is_anomaly_enabled()
        self.facts["deterministic"] = torch.are_deterministic_algorithms_enabled()
        self.facts["benchmark"] = torch.backends.cudnn.benchmark
        gradients = torch.cat([parameter.grad.flatten() for parameter in pl_module.parameters()])
        self.facts["gradients"].append([float(gradients.norm()), float(gradients.abs().max())])

    def on_validation_start(self, trainer: Trainer, pl_module) -> None:
        if not trainer.sanity_checking:
            self.facts["validations"].append([trainer.global_step, []])

    def on_validation_batch_start(self, trainer: Trainer, pl_module, batch: ViewBatch, batch_idx) -> None:
        self.facts["inference"] = torch.is_inference_mode_enabled()
        if trainer.sanity_checking:
            self.facts["sanity checks"] += 1
        else:
            self.facts["validations"][-1][1].append(batch.video_id)

    def teardown(self, trainer: Trainer, pl_module, stage: str) -> None:
        self.facts |= {"steps": trainer.global_step, "loaders": len(self.loaders)}
        self.file.write_text(json.dumps(self.facts))
