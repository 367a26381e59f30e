"""A batch arrives as it was sent, through memory that has no name."""

import gc
from collections import Counter
from multiprocessing import Pipe
from pathlib import Path

import pytest
import torch

from gcvideo.clip import ClipBatch, Unreadable, VideoRecord
from gcvideo.data.loading import handover
from gcvideo.data.loading.batch import ReadBatch

LOST = Unreadable(VideoRecord(Path("b.mp4"), 1, "b.mp4"), "is empty")


@pytest.mark.parametrize("num_videos", [0, 3])
def test_a_batch_arrives_as_it_was_sent(num_videos):
    frames = torch.randint(256, (num_videos, 2, 4, 17, 19, 3), dtype=torch.uint8)
    batch = ClipBatch(frames, torch.arange(num_videos), [f"{i}.mp4" for i in range(num_videos)], (LOST,))
    here, there = Pipe()
    handover.send(there, 7, ReadBatch(batch, Counter(pyav=num_videos)))
    frames_sent = frames.clone()
    frames.zero_()  # what has been sent is its own
    ticket, found = handover.receive(here)
    assert isinstance(found, ReadBatch)
    assert (ticket, found.read_by, found.batch[2:]) == (7, Counter(pyav=num_videos), batch[2:])
    assert torch.equal(found.batch.frames, frames_sent)
    assert torch.equal(found.batch.label, torch.arange(num_videos))
    found.batch.frames.add_(1)  # and may be written to


def test_an_error_arrives_in_place_of_a_batch():
    here, there = Pipe()
    handover.send(there, 3, ValueError("crop_size 300"))
    ticket, error = handover.receive(here)
    assert (ticket, type(error), str(error)) == (3, ValueError, "crop_size 300")


def test_a_sender_that_is_gone_sends_no_more():
    here, there = Pipe()
    there.close()
    with pytest.raises(EOFError):
        handover.receive(here)


def test_what_arrives_leaves_no_file_open():
    gc.collect()  # processes of other tests
    here, there = Pipe()
    batch = ClipBatch(torch.ones(1, 1, 1, 2, 2, 3, dtype=torch.uint8), torch.zeros(1).long(), ["a.mp4"])
    kept, num_open = [], len(list(Path("/dev/fd").iterdir()))
    for ticket in range(5):
        handover.send(there, ticket, ReadBatch(batch, Counter()))
        kept.append(handover.receive(here))
    assert len(list(Path("/dev/fd").iterdir())) == num_open
