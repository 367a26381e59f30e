"""Detections drawn on pictures."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from matplotlib import colormaps, font_manager
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as F
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

from gcvideo.atomic import replacing
from gcvideo.images.detection.batch import Prediction

PALETTE = [tuple(int(255 * part) for part in colour[:3]) for colour in colormaps["tab20"].colors]  # pyright: ignore[reportAttributeAccessIssue]
"""Colours of classes, which begin again behind the last."""
OPACITY = 0.45
"""Of masks."""


def drawn(
    image: UInt8[Tensor, "3 H W"], prediction: Prediction, class_names: Sequence[str], *, least_score: float
) -> UInt8[Tensor, "3 H W"]:
    """Return a picture with masks, boxes, classes and scores of the detections of at least this score.

    Args:
        image: The picture.
        prediction: Its detections.
        class_names: The K classes.
        least_score: The score from which a detection is drawn.
    """
    shown = prediction["scores"] >= least_score
    labels, scores = prediction["labels"][shown].tolist(), prediction["scores"][shown].tolist()
    if not labels:
        return image
    colours = [PALETTE[(label - 1) % len(PALETTE)] for label in labels]
    if "masks" in prediction:
        masks = prediction["masks"][shown].bool()
        image = draw_segmentation_masks(image, masks, alpha=OPACITY, colors=colours)
    size = max(10, round(0.03 * max(image.shape[1:])))
    return draw_bounding_boxes(
        image,
        _with_area(prediction["boxes"][shown]),
        [f"{class_names[label - 1]} {score:.2f}" for label, score in zip(labels, scores, strict=True)],
        colors=colours,
        label_colors="black",
        label_background_colors=colours,
        fill_labels=True,
        width=max(1, size // 8),
        font=font_manager.findfont("DejaVu Sans"),
        font_size=size,
    )


def save_picture(image: UInt8[Tensor, "3 H W"], file: Path) -> None:
    """Write a picture in the format that the file's name ends with."""
    with replacing(file) as unfinished:
        F.to_pil_image(image).save(unfinished, format=Image.registered_extensions()[file.suffix.lower()])


def _with_area(boxes: Tensor) -> Tensor:
    """Return boxes whose corners are in order after rounding, which drawing asks for."""
    return torch.cat([boxes[:, :2], boxes[:, 2:].maximum(boxes[:, :2] + 1)], dim=1)
