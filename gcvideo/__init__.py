"""Video action recognition with global-context networks (Cao et al., arXiv:1904.11492).

predict = gcvideo.load("runs/my_clips/checkpoints/best.ckpt")
predict("match.mp4").top

network = gcvideo.create("slow_r50_gc_all", num_classes=400)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gcvideo.predictor import Predictor, create, load

__version__ = "0.1.0"
__all__ = ["Predictor", "create", "load"]


def __getattr__(name: str) -> Any:
    """Import what __all__ names when it is asked for, so that `gcvideo --help` does not wait for torch."""
    if name not in __all__:
        raise AttributeError(f"module 'gcvideo' has no attribute {name!r}")
    return getattr(import_module("gcvideo.predictor"), name)
