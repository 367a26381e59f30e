"""What context blocks attend to in pictures, and how much that depends on where one asks."""

from gcvideo.images.attention.writer import AttentionWriter, named_blocks

__all__ = ["AttentionWriter", "named_blocks"]
