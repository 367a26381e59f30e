"""Checks of memory and open files, of which loader processes need many."""

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gcvideo.data import VideoDataModule
from gcvideo.data.dataset import VideoDataset
from gcvideo.data.loading.workers import BATCHES_AHEAD
from gcvideo.preflight.findings import Finding, Status

FILES_OF_A_WORKER = 3
"""That the training process has open for each loader process."""
VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
VERSION_2 = ("memory.max", "memory.current", "inactive_file")
"""Files of a control group with its limit and its use, and what of this could be given back at once."""
FILES_BESIDE = 16
"""Checkpoint, logs, lists and connections to other processes."""


def check_memory(data: VideoDataModule, *, processes_here: int) -> Finding:
    """Check that memory holds the batches read ahead in training, validation and a test with all its views.

    Args:
        data: What is read.
        processes_here: Ranks on this machine.
    """
    # Compute what each stage holds at most.
    stages = {
        "training": (data.training_dataset([]), data.batch_size, Status.FAILED),
        "validation": (data.evaluation_dataset([], data.val_views), data.batch_size, Status.FAILED),
        "a test": (data.evaluation_dataset([], data.test_views), data.test_batch_size, Status.WARNING),
    }
    wanted = {
        stage: processes_here * bytes_held(dataset, batch_size=batch_size, num_workers=data.num_workers)
        for stage, (dataset, batch_size, _) in stages.items()
    }
    # Compare that with what is free here.
    available = min(available_memory(), default=None)
    if available is None:
        return Finding("memory", Status.OK, f"{max(wanted.values()) / 1e9:.2f} GB")
    for stage, (_, _, status) in stages.items():
        if wanted[stage] > available:
            said = (
                f"{processes_here} x {data.num_workers} loader processes hold up to "
                f"{wanted[stage] / 1e9:.2f} GB in {stage}, and {available / 1e9:.2f} GB are free; "
                "lower data.num_workers, the batch size or the views"
            )
            return Finding("memory", status, said)
    return Finding("memory", Status.OK, f"{max(wanted.values()) / 1e9:.2f} of {available / 1e9:.0f} GB")


def bytes_held(dataset: VideoDataset, *, batch_size: int, num_workers: int) -> int:
    """Return the most that batches take: those that wait or are in use, and twice those in the making."""
    frames = dataset.empty_batch().frames
    batch = frames.new_empty(batch_size, *frames.shape[1:])
    return (BATCHES_AHEAD * num_workers + 1 + 2 * max(num_workers, 1)) * batch.nbytes


def available_memory() -> Iterator[int]:
    """Yield the bytes that are free on the machine, and in every control group that this process is in.

    A container or a Slurm job is such a group: cgroups(7), proc(5). Nothing if the system has no such files.
    """
    with suppress(OSError):
        fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        yield int(fields["MemAvailable"].split()[0]) * 1024
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                root, names = Path("/sys/fs/cgroup/memory"), VERSION_1
            elif not controllers:
                root, names = Path("/sys/fs/cgroup"), VERSION_2
            else:
                continue
            yield from free_in_groups(root, path, names)


def free_in_groups(root: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    """Yield the bytes free in a group and those around it; a container may show its own as the root."""
    limit, usage, cache = names
    group = root / path.lstrip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError, KeyError):  # no such group here, or its limit is "max"
            statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            in_use = int((folder / usage).read_text()) - int(statistics[cache])
            yield int((folder / limit).read_text()) - in_use
        if folder == root:
            return


def check_open_files(data: VideoDataModule) -> Finding:
    """Check that this process may open what the loader processes of training and of validation need."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = len(list(Path("/dev/fd").iterdir())) + 2 * FILES_OF_A_WORKER * data.num_workers + FILES_BESIDE
    if wanted > limit:
        said = (
            f"{data.num_workers} loader processes need {wanted} open files and the limit is {limit}; "
            f"raise it (ulimit -n {wanted}), or lower data.num_workers"
        )
        return Finding("open files", Status.FAILED, said)
    return Finding("open files", Status.OK, f"{wanted} of {limit}")
