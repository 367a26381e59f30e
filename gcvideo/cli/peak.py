"""The peak learning rate that a configuration comes to."""

import torch
from jsonargparse import Namespace

from gcvideo.training.optimisation import Peak


def peak_of(config: Namespace) -> str:
    """Return the peak learning rate of a run, and the global batch of which processes it is for."""
    model, trainer = config.model, config.trainer
    processes = num_devices(trainer.accelerator, trainer.devices) * trainer.num_nodes
    accumulated = trainer.accumulate_grad_batches
    peak = Peak(
        learning_rate=model.learning_rate,
        global_batch=config.data.batch_size * processes * accumulated,
        reference=model.reference_batch_size,
        scaling=model.scale_learning_rate,
    )
    of = f"{config.data.batch_size} clips on {processes} process{'es' if processes > 1 else ''}"
    times = f", {accumulated} batches a step" if accumulated > 1 else ""
    return f"{peak} ({of}{times})"


def num_devices(accelerator: str, devices: int | str | list[int]) -> int:
    """Return how many devices a node uses; auto and -1 are those of this machine, of CPUs one."""
    if isinstance(devices, list):
        return len(devices)
    if "," in str(devices):
        return len([name for name in str(devices).split(",") if name.strip()])
    if str(devices) not in ("auto", "-1"):
        return int(devices)
    return 1 if accelerator == "cpu" else max(torch.cuda.device_count(), 1)
