"""The `gcvideo` command."""

from gcvideo.cli.main import main

__all__ = ["main"]
