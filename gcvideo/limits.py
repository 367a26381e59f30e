"""Lightning's limits of an epoch, as trainer.limit_train_batches."""


def limited(num_batches: int, limit: int | float) -> int:
    """Return how many of an epoch's batches a limit asks for: a count, or a share of them."""
    return min(limit, num_batches) if isinstance(limit, int) else int(limit * num_batches)
