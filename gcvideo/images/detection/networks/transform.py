"""Pictures of their own sizes into one batch, and detections back to the pictures."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from gcvideo.images.detection.networks.masks import paste
from gcvideo.images.detection.networks.resizing import resize

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
"""Of ImageNet's pictures, red, green and blue, at levels 0..255."""


def resized_shape(height: int, width: int, *, min_size: int, max_size: int) -> tuple[int, int]:
    """Return height and width of a picture whose short side is min_size, or long side max_size if less.

    Halves are rounded up; torchvision rounds sizes down.
    """
    scale = min(max_size / max(height, width), min_size / min(height, width))
    return int(height * scale + 0.5), int(width * scale + 0.5)


class PictureTransform(GeneralizedRCNNTransform):
    """Resizes pictures, at whole levels 0..255, before it normalises them; pads to multiples of 32.

    torchvision normalises first, and resizes numbers that are not whole by a scale that is not the ratio of
    sizes. Masks of detections are pasted by
    `paste`, and are boolean.

    Args:
        min_size: Short side of resized pictures, in pixels.
        max_size: The most of their long side.
    """

    def __init__(self, min_size: int, max_size: int) -> None:
        super().__init__(min_size, max_size, list(MEAN), list(STD), size_divisible=32)
        self.short, self.long = min_size, max_size

    def forward(
        self, images: Sequence[Float[Tensor, "3 _ _"]], targets: Sequence[dict[str, Tensor]] | None = None
    ) -> tuple[ImageList, list[dict[str, Tensor]] | None]:
        """Return pictures with values 0..1 as a padded batch, and their targets at its sizes."""
        shapes = [
            resized_shape(*image.shape[1:], min_size=self.short, max_size=self.long) for image in images
        ]
        pictures = [self.normalize(resize(image, shape)) for image, shape in zip(images, shapes, strict=True)]
        batch = ImageList(self.batch_images(pictures, size_divisible=self.size_divisible), shapes)
        if targets is None:
            return batch, None
        sizes = zip(images, shapes, targets, strict=True)
        return batch, [resized_target(target, image.shape[1:], shape) for image, shape, target in sizes]

    def postprocess(
        self,
        result: list[dict[str, Tensor]],
        image_shapes: Sequence[tuple[int, int]],
        original_image_sizes: Sequence[tuple[int, int]],
    ) -> list[dict[str, Tensor]]:
        """Return detections in pixels of the pictures as they were given."""
        if self.training:  # there are none
            return result
        found = []
        sizes = zip(result, image_shapes, original_image_sizes, strict=True)
        for one, shape, (height, width) in sizes:
            boxes = one["boxes"] / _ratios((height, width), shape).to(one["boxes"])
            masks = paste(one["masks"], boxes, height=height, width=width)
            found.append({**one, "boxes": boxes, "masks": masks})
        return found


def resized_target(
    target: dict[str, Tensor], before: Sequence[int], shape: tuple[int, int]
) -> dict[str, Tensor]:
    """Return instances at another size of their picture; masks by their nearest pixels."""
    height, width = shape
    boxes = target["boxes"] * _ratios(before, shape).to(target["boxes"])
    limits = boxes.new_tensor([width, height, width, height])
    masks = F.interpolate(target["masks"][:, None].float(), shape, mode="nearest")[:, 0]
    return {**target, "boxes": boxes.clamp(min=0).minimum(limits), "masks": masks.to(torch.uint8)}


def _ratios(before: Sequence[int], shape: tuple[int, int]) -> Float[Tensor, "4"]:
    """Return by what left, top, right and bottom are multiplied."""
    vertical, horizontal = shape[0] / before[0], shape[1] / before[1]
    return torch.tensor([horizontal, vertical, horizontal, vertical])
