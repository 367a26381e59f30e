"""Speed of exchanging gradients, of reading clips, and of the training step that uses them up."""

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import count, islice
from statistics import median

import torch
import torch.distributed as dist
from lightning.pytorch import Trainer

from gcvideo.clip import ClipBatch
from gcvideo.data import VideoDataModule
from gcvideo.data.loading.loader import VideoLoader
from gcvideo.data.loading.multigrid_loader import MultigridLoader
from gcvideo.data.loading.unreadable import ReportUnreadable
from gcvideo.data.on_device import OnDevice
from gcvideo.preflight.findings import Finding, Status
from gcvideo.preflight.rendezvous import Rendezvous
from gcvideo.training import VideoClassifier

ALL_REDUCE_BYTES = 100_000_000
ALL_REDUCE_REPEATS = 3


def check_all_reduce(rendezvous: Rendezvous, device: torch.device, *, seconds: float) -> Finding:
    """Check that the sum over R ranks of a tensor of rank + 1 is R (R + 1) / 2, and tell bytes per second.

    By NCCL between GPUs, by gloo between CPUs.
    """
    launched = rendezvous.launched
    if launched.world_size == 1:
        return Finding("all-reduce", Status.OK, "alone")
    # Connect the ranks, each on its own device.
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=rendezvous.store,
        rank=launched.rank,
        world_size=launched.world_size,
        timeout=timedelta(seconds=seconds),
    )
    # Sum as many bytes as the gradients of a network have.
    tensor = torch.empty(ALL_REDUCE_BYTES // 4, device=device)
    expected = launched.world_size * (launched.world_size + 1) / 2
    taken = []
    for _ in range(1 + ALL_REDUCE_REPEATS):
        tensor.fill_(launched.rank + 1)
        _wait_for(device)
        start = time.perf_counter()
        dist.all_reduce(tensor)
        _wait_for(device)
        taken.append(time.perf_counter() - start)
        if not bool((tensor == expected).all()):
            said = f"the sum of 1..{launched.world_size} came out as {tensor.unique().tolist()[:3]}"
            return Finding("all-reduce", Status.FAILED, said)
    dist.destroy_process_group()
    return Finding("all-reduce", Status.OK, f"{ALL_REDUCE_BYTES / median(taken[1:]) / 1e9:.2f} GB/s")


def check_feeding(
    trainer: Trainer, model: VideoClassifier, data: VideoDataModule, *, seconds: float
) -> list[Finding]:
    """Compare the clips per second that the training loader reads with those that training steps use up.

    Multigrid training begins with its coarsest phase, in which steps use up most: all shapes of it are tried.
    """
    loader = data.train_dataloader()
    loader.unreadable = ReportUnreadable()
    batches = endless(loader)
    firsts = [batch for batch in islice(batches, loader.num_taking_turns) if len(batch.label)]
    if not firsts:
        raise ValueError(f"none of the first {loader.batch_size} training videos could be read")
    read = clips_per_second(batches, seconds=seconds)
    share = seconds / len(firsts)
    each = [step_clips_per_second(trainer, model, data, first, seconds=share) for first in firsts]
    clips = [len(first.label) for first in firsts]
    used = sum(clips) / sum(number / speed for number, speed in zip(clips, each, strict=True))
    where = " in the coarsest phase of data.multigrid" if isinstance(loader, MultigridLoader) else ""
    step = Finding("step", Status.OK, f"{figure(used)} clips/s{where}")
    if read >= used:
        return [Finding("loader", Status.OK, f"{figure(read)} clips/s{where}"), step]
    said = (
        f"reads {figure(read)} clips/s and a step uses {figure(used)}{where}, so training waits "
        f"{1 - read / used:.0%} of the time; raise data.num_workers ({loader.num_workers} on "
        f"{os.cpu_count()} processors), or make the videos smaller (data_prep/transcode.py)"
    )
    return [Finding("loader", Status.WARNING, said), step]


def figure(number: float) -> str:
    """Return a number with three digits."""
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"


def endless(loader: VideoLoader) -> Iterator[ClipBatch]:
    """Yield the batches of one epoch after another."""
    for epoch in count():
        loader.sampler.set_epoch(epoch)
        yield from loader


def clips_per_second(batches: Iterator[ClipBatch], *, seconds: float) -> float:
    """Return how fast clips arrive once a first batch has: starting processes is not counted."""
    begun, num_clips = time.perf_counter(), 0
    for batch in batches:
        num_clips += len(batch.label)
        if time.perf_counter() - begun > seconds:
            break
    return num_clips / (time.perf_counter() - begun)


def step_clips_per_second(
    trainer: Trainer,
    model: VideoClassifier,
    data: VideoDataModule,
    batch: ClipBatch,
    *,
    seconds: float,
) -> float:
    """Return how fast forward, backward and step use up clips; the first is left out if there are others."""
    # Put network and clips where training would.
    device, precision = trainer.strategy.root_device, trainer.precision_plugin
    network = precision.convert_module(model.network).to(device).train()
    clips = OnDevice(data, device, training=True)(batch)
    optimizer = model.optimizer(model.parameter_groups(1e-6), 1e-6)
    # Train on the same batch again and again.
    taken: list[float] = []
    while sum(taken) < seconds:
        _wait_for(device)
        start = time.perf_counter()
        with precision.forward_context():
            loss = model.loss(network(clips.views.flatten(0, 1)), clips.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        _wait_for(device)
        taken.append(time.perf_counter() - start)
    return len(batch.label) / median(taken[1:] or taken)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
