"""The private names of torchvision that detectors are made of; every release may change them."""

from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher

__all__ = ["BalancedPositiveNegativeSampler", "BoxCoder", "Matcher"]
