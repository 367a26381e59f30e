"""The `gcvideo image` command."""
