"""Errors that say that a machine has too little of something are told from all others."""

import errno
import os

import av
import pytest
import torch
from av.error import FFmpegError

from gcvideo.shortage import shortage


def test_too_many_open_files_are_named_with_the_limit():
    said = shortage(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
    assert said is not None
    assert said.startswith("too many open files: the limit is ")


def test_memory_that_torch_does_not_get_is_named_with_the_amount():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    said = shortage(raised.value)
    assert said is not None
    assert said.startswith(f"memory is short: tried to allocate {2**60} bytes; lower data.batch_size")
    gpu = torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total of 79 GiB"
    )
    assert str(shortage(gpu)).startswith("GPU memory is short: tried to allocate 2.50 GiB; lower")


def test_other_errors_are_of_another_kind():
    with pytest.raises(FFmpegError) as raised:
        av.open("/nowhere/at.mp4")
    others = (raised.value, RuntimeError("expected 64 channels"), ValueError("crop_size"), None)
    assert [shortage(error) for error in others] == [None] * 4
