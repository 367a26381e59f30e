"""How a batch goes from the process that read it to the one that uses it.

It lies in memory without a name, and a descriptor of that memory goes through the connection. So /dev/shm,
of which a Docker container has 64 MB, is not needed. What goes through the connection is a few bytes at once:
the receiver never waits for the rest of a message, whatever happens to the sender.
"""

import errno
import os
import pickle
import socket
import struct
from multiprocessing.connection import Connection
from tempfile import TemporaryFile
from typing import BinaryIO

import torch
from torch import Tensor

from gcvideo.data.loading.batch import ReadBatch

HEADER = struct.Struct("Q")
"""Number of bytes of the frames, which lie before everything else."""
NO_FRAMES = torch.empty(0, dtype=torch.uint8)


def send(connection: Connection, ticket: int, result: ReadBatch | Exception) -> None:
    """Send a batch, or why there is none, through a pipe of multiprocessing.

    Raises:
        OSError: It finds no room.
    """
    frames = NO_FRAMES if isinstance(result, Exception) else result.batch.frames
    with _nameless_file() as file, _socket(connection) as pipe:
        try:
            file.write(frames.contiguous().flatten().view(torch.uint8).numpy().data)
            pickle.dump((ticket, frames.dtype, frames.shape, _with_frames(result, NO_FRAMES)), file)
            file.flush()
        except OSError as error:
            raise OSError(
                f"a batch of {frames.nbytes / 1e6:.0f} MB finds no memory ({error.strerror}); "
                "lower data.batch_size or data.num_workers"
            ) from error
        socket.send_fds(pipe, [HEADER.pack(frames.nbytes)], [file.fileno()])


def receive(connection: Connection) -> tuple[int, ReadBatch | Exception]:
    """Return the ticket and the result that were sent.

    Raises:
        EOFError: The sender is gone.
        OSError: This process has too many files open.
    """
    with _socket(connection) as pipe:
        header, files, _, _ = socket.recv_fds(pipe, HEADER.size, 1)
    if not header:
        raise EOFError
    if not files:  # there was no room for it
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    (num_bytes,) = HEADER.unpack(header)
    with os.fdopen(files[0], "rb") as file:
        file.seek(num_bytes)
        ticket, dtype, shape, result = pickle.load(file)
        frames = NO_FRAMES
        if num_bytes:  # nothing cannot be mapped
            frames = torch.from_file(
                f"/dev/fd/{file.fileno()}", shared=True, size=num_bytes, dtype=torch.uint8
            )
    return ticket, _with_frames(result, frames.view(dtype).view(shape))


def _with_frames(result: ReadBatch | Exception, frames: Tensor) -> ReadBatch | Exception:
    if isinstance(result, Exception):
        return result
    return result._replace(batch=result.batch._replace(frames=frames))


def _nameless_file() -> BinaryIO:
    """Return a file in memory, or in the temporary folder if the system has none in memory."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("batch"), "w+b")
    return TemporaryFile("w+b")


def _socket(connection: Connection) -> socket.socket:
    """Return the socket that is under a pipe of multiprocessing."""
    return socket.socket(fileno=os.dup(connection.fileno()))
