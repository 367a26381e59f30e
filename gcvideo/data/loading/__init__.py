"""Batches of an epoch: their order, the processes that read them, and what cannot be read."""
