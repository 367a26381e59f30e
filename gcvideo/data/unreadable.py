"""What becomes of videos that cannot be read."""

import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gcvideo.clip import Unreadable
from gcvideo.data.decoding import DecodeError

log = logging.getLogger(__name__)


@runtime_checkable
class UnreadablePolicy(Protocol):
    """Is told of every batch that lacks videos, in the order of the batches."""

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None: ...


class RaiseOnUnreadable:
    """The first video that cannot be read ends the run."""

    def handle(self, videos: Sequence[Unreadable], *, epoch: int) -> None:
        record, reason = videos[0]
        raise DecodeError(f"{record.path}: {reason}")
