"""Words that settings take, apart from what they name: a help that lists them does not wait for torch."""

from typing import Literal

ArchitectureName = Literal["slow", "i3d", "c2d", "i3d_nopool", "c2d_nopool", "i3d_strided", "c2d_unpadded"]
ExportKind = Literal["onnx", "program", "state"]
Inflation = Literal["mean", "centre"]
NamingFormat = Literal["auto", "pytorchvideo", "torchvision", "mmdetection", "pyslowfast", "mmaction2"]
NamingTarget = Literal["gcvideo", "torchvision", "mmdetection", "pyslowfast", "mmaction2"]
Per = Literal["video", "clip"]
