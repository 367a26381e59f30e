"""From decoded frames to what the network reads: uint8 in the worker, float on the device.

Frames stay uint8 until they are on the device; a resize in uint8 is within one grey level of the one in
float and an order of magnitude cheaper. Within a clip every frame gets the same crop and flip.
"""

from abc import ABC, abstractmethod

import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from gcvideo.clip import ClipBatch, ViewBatch
from gcvideo.data.augmentation.blending import ChosenBlend
from gcvideo.data.resizing import Window, resized_window, size_for


class FrameTransform(ABC):
    """A random crop and flip, the same for all frames of a clip."""

    @abstractmethod
    def transform(self, frames: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 S S"]:
        """Return the frames of one clip, cropped to one square size."""

    def at_crop_size(self, crop_size: int) -> "FrameTransform":
        """Return the same transform for crops of another size, as multigrid training asks for.

        Raises:
            ValueError: It cuts one size only.
        """
        raise ValueError(
            f"data.train_transform is {type(self).__name__}, which cuts one size; data.multigrid asks for "
            "more: give it at_crop_size(crop_size), or take ScaleJitter"
        )


class ScaleJitter(FrameTransform):
    """Random short side, random crop, random flip (Simonyan & Zisserman, arXiv:1409.1556, section 3.1).

    Args:
        crop_size: Side of the square crop, in pixels.
        min_short_side: Smallest short side after the resize, in pixels.
        max_short_side: Largest short side after the resize, in pixels.
        flip_probability: Probability of a left-right flip; 0 where left and right are different classes.
    """

    def __init__(
        self,
        *,
        crop_size: int = 224,
        min_short_side: int = 256,
        max_short_side: int = 320,
        flip_probability: float = 0.5,
    ) -> None:
        if not crop_size <= min_short_side <= max_short_side:
            raise ValueError(
                f"crop_size {crop_size}, min_short_side {min_short_side}, max_short_side {max_short_side}; "
                "expected crop_size <= min_short_side <= max_short_side"
            )
        self.crop_size = crop_size
        self.short_sides = min_short_side, max_short_side
        self.flip_probability = flip_probability

    def transform(self, frames: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 S S"]:
        # Draws are those of torchvision's RandomResize, RandomCrop and RandomHorizontalFlip, in this order
        height, width = frames.shape[-2:]
        smallest, largest = self.short_sides
        short_side = int(torch.randint(smallest, largest + 1, ()))
        size = size_for(height, width, short_side=short_side)
        top, left = (_random_start(length, self.crop_size) for length in size)
        crop = resized_window(frames, size, Window(top, left, self.crop_size, self.crop_size))
        return crop.flip(-1) if torch.rand(1) < self.flip_probability else crop

    def at_crop_size(self, crop_size: int) -> FrameTransform:
        """Return it for another crop: the smallest short side goes with it, the largest stays."""
        if type(self) is not ScaleJitter:  # whose own it would lose
            return super().at_crop_size(crop_size)
        smallest, largest = self.short_sides
        return ScaleJitter(
            crop_size=crop_size,
            min_short_side=round(smallest * crop_size / self.crop_size),
            max_short_side=largest,
            flip_probability=self.flip_probability,
        )


def _random_start(length: int, part: int) -> int:
    """Draw where a part of a length begins, uniformly, if there is a choice."""
    return int(torch.randint(length - part + 1, ())) if length > part else 0


class AreaJitter(FrameTransform):
    """Random area and aspect ratio, random flip (Szegedy et al., arXiv:1409.4842, section 6).

    Args:
        crop_size: Side of the square that the chosen area is resized to, in pixels.
        min_area: Smallest share of the frame's area.
        max_area: Largest share of the frame's area.
        flip_probability: Probability of a left-right flip; 0 where left and right are different classes.
    """

    def __init__(
        self,
        *,
        crop_size: int = 224,
        min_area: float = 0.08,
        max_area: float = 1.0,
        flip_probability: float = 0.5,
    ) -> None:
        self.crop_size = crop_size
        self.areas = min_area, max_area
        self.flip_probability = flip_probability
        self.steps = v2.Compose(
            [
                v2.RandomResizedCrop(crop_size, scale=(min_area, max_area)),
                v2.RandomHorizontalFlip(flip_probability),
            ]
        )

    def transform(self, frames: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 3 S S"]:
        return self.steps(frames)

    def at_crop_size(self, crop_size: int) -> FrameTransform:
        """Return it for another crop, of the same areas."""
        if type(self) is not AreaJitter:
            return super().at_crop_size(crop_size)
        smallest, largest = self.areas
        return AreaJitter(
            crop_size=crop_size,
            min_area=smallest,
            max_area=largest,
            flip_probability=self.flip_probability,
        )


class ViewCrops(ABC):
    """A rule by which the crops of a clip are cut in evaluation; to write one of your own, subclass it."""

    @abstractmethod
    def __call__(self, frames: UInt8[Tensor, "N 3 H W"]) -> list[UInt8[Tensor, "N 3 crop crop"]]:
        """Return the crops, as many and of one size for every video."""


class UniformCrops(ViewCrops):
    """Resize the short side, then cut `num_crops` squares spread along the long side.

    One crop is the centre crop; three reach both ends (Wang et al., arXiv:1711.07971, section 5.1).
    """

    def __init__(self, short_side: int, crop_size: int, num_crops: int) -> None:
        if num_crops < 1 or crop_size > short_side:
            raise ValueError(
                f"{num_crops} crops of {crop_size} from a short side of {short_side}; "
                "expected at least one, no larger than the short side"
            )
        self.short_side = short_side
        self.crop_size = crop_size
        self.num_crops = num_crops

    def __call__(self, frames: UInt8[Tensor, "N 3 H W"]) -> list[UInt8[Tensor, "N 3 crop crop"]]:
        size = size_for(frames.shape[-2], frames.shape[-1], short_side=self.short_side)
        starts = [self._start(size, number) for number in range(self.num_crops)]
        # What all crops together cover
        (top, left), (bottom, right) = starts[0], (start + self.crop_size for start in starts[-1])
        frames = resized_window(frames, size, Window(top, left, bottom - top, right - left))
        return [TF.crop(frames, y - top, x - left, self.crop_size, self.crop_size) for y, x in starts]

    def _start(self, size: tuple[int, int], number: int) -> tuple[int, int]:
        """Return the top row and the left column of a crop."""
        height, width = size
        along = number / (self.num_crops - 1) if self.num_crops > 1 else 0.5
        top = (height - self.crop_size) * (along if height > width else 0.5)
        left = (width - self.crop_size) * (0.5 if height > width else along)
        return round(top), round(left)


class Normalize(nn.Module):
    """(x/255 - mean) / std per channel, and the axes as a 3-D network wants them.

    The result lies in memory as channels_last_3d, the order in which the frames were decoded.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std) * 255, persistent=False)

    def forward(self, frames: UInt8[Tensor, "B V T H W 3"]) -> Float[Tensor, "B V 3 T H W"]:
        scaled = (frames.float() - self.mean) / self.std
        return rearrange(scaled, "B V T H W C -> B V C T H W")

    def inverse(self, views: Float[Tensor, "B V 3 T H W"]) -> UInt8[Tensor, "B V T H W 3"]:
        """Return the frames as they can be shown: of values beyond black and white the nearest."""
        scaled = rearrange(views.float(), "B V C T H W -> B V T H W C") * self.std + self.mean
        return scaled.round().clamp(0, 255).to(torch.uint8)


class DeviceTransform(nn.Module):
    """What happens to a batch once it is on the device: normalise, then blend where asked.

    Several clips that are all of one video are not blended.
    """

    def __init__(self, normalize: nn.Module, blend: ChosenBlend | None = None) -> None:
        super().__init__()
        self.normalize = normalize
        self.blend = blend

    def forward(self, batch: ClipBatch) -> ViewBatch:
        return self.blended(self.normalize(batch.frames), batch)

    def blended(self, views: Float[Tensor, "B V 3 T H W"], batch: ClipBatch) -> ViewBatch:
        """Return the views of a batch, blended where asked, with their targets."""
        target = batch.label
        if self.blend is not None:
            of_one_video = len(batch.video_id) > 1 and len(set(batch.video_id)) == 1
            views, target = (self.blend.unblended if of_one_video else self.blend)(views, target)
        return ViewBatch(views, target, batch.video_id, batch.unreadable)
