"""What a network costs: parameters, multiply-adds, time and memory."""

from gcvideo.complexity.cost import ROUNDS, ClipShape, Complexity, Size, Subject, measure_complexity, size_of
from gcvideo.complexity.flops import count_flops
from gcvideo.complexity.memory import peak_bytes

__all__ = [
    "ROUNDS",
    "ClipShape",
    "Complexity",
    "Size",
    "Subject",
    "count_flops",
    "measure_complexity",
    "peak_bytes",
    "size_of",
]
