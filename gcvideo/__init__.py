"""Video action recognition with global-context networks (Cao et al., arXiv:1904.11492)."""

__version__ = "0.1.0"
