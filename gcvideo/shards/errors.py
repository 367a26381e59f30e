"""Why bytes of a shard did not come."""


class BrokenShardError(ValueError):
    """Asking again will not help: what is there is not what was packed."""


class UnreachableError(OSError):
    """Where the shards lie did not answer for so long that it was given up; no video is to blame."""


class TryAgainError(Exception):
    """An attempt failed, and another may not.

    Args:
        reason: What happened.
        after_seconds: How long whoever refused asks to be left alone.
    """

    def __init__(self, reason: str, *, after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds
