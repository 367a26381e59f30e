"""What a process does that reads batches."""

import sys

import torch

from gcvideo.data.dataset import VideoDataset
from gcvideo.data.loading import handover
from gcvideo.data.loading.batch import read_batch
from gcvideo.memory import keep_freed_memory
from gcvideo.processes import Duty
from gcvideo.shortage import lacks_files, shortage

MEMORY_KEPT = 2**28
"""Bytes that a process keeps for the next clips: more than those of a video's thirty views."""
NO_FILES = 24
"""Exit code of a process that cannot even open what it would send its error in."""


def serve(duty: Duty, dataset: VideoDataset) -> None:
    """Read the batches that are asked for, and send them or the error in their place."""
    torch.set_num_threads(1)
    keep_freed_memory(at_most=MEMORY_KEPT)
    for ticket, keys, lost in duty.jobs():
        try:
            batch = read_batch(dataset, keys, watch=duty.working_on, lost=lost)
            handover.send(duty.connection, ticket, batch)
        except (BrokenPipeError, ConnectionResetError):  # the parent is gone
            return
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            short = shortage(error)
            if isinstance(error, RuntimeError) and short is None:
                raise
            try:
                handover.send(duty.connection, ticket, OSError(short) if short else error)
            except OSError as none_left:
                if not lacks_files(none_left):
                    raise
                sys.exit(NO_FILES)
