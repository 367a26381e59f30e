"""Networks small enough to train in a test."""

import torch
from torch import Tensor, nn


class ReadLogits(nn.Module):
    """A network whose logits are the first K numbers of a clip, times a weight that begins at 1."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, clip: Tensor) -> Tensor:
        return self.weight * clip.flatten(1)[:, : self.num_classes]


class TwoLayers(nn.Module):
    """Two 3-D convolutions, each with batch norm, then dropout and a linear layer."""

    def __init__(self, num_classes: int, *, width: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv3d(3, width, kernel_size=3, stride=(1, 2, 2))
        self.first_norm = nn.BatchNorm3d(width)
        self.second = nn.Conv3d(width, 6, kernel_size=(1, 3, 3), stride=(1, 2, 2))
        self.second_norm = nn.BatchNorm3d(6)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, num_classes))

    def forward(self, clip: Tensor) -> Tensor:
        features = self.first_norm(self.first(clip)).relu()
        features = self.second_norm(self.second(features)).relu()
        return self.head(features.mean((2, 3, 4)))
