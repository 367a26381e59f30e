"""Mask R-CNN and Cascade Mask R-CNN on a feature pyramid."""

from collections.abc import Sequence

from torch import nn
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from gcvideo.images.detection.networks.boxes import Spread
from gcvideo.images.detection.networks.heads import BoxHead, MaskHead
from gcvideo.images.detection.networks.losses import BoxLoss, absolute, smooth
from gcvideo.images.detection.networks.proposals import PyramidProposals
from gcvideo.images.detection.networks.pyramid import STRIDES, PyramidBackbone
from gcvideo.images.detection.networks.regions import RegionHeads, Stage
from gcvideo.images.detection.networks.transform import PictureTransform
from gcvideo.images.detection.weights import load_detector_weights
from gcvideo.images.weights import ImageWeights

SPREADS: tuple[Spread, ...] = (
    (0.1, 0.1, 0.2, 0.2),
    (0.05, 0.05, 0.1, 0.1),
    (0.033, 0.033, 0.067, 0.067),
)
"""Of the deltas of the three stages; Mask R-CNN has the first."""


class PyramidRCNN(GeneralizedRCNN):
    """Backbone, pyramid, proposals and stages, called as torchvision's detectors.

    In training it takes pictures [3 H W] of any sizes with values 0..1, and for each a dictionary of
    `boxes` [N 4] (float32; left, top, right, bottom in pixels of the picture), `labels` [N] (int64; classes
    1..K) and `masks` [N H W] (uint8; 0 or 1 for every pixel); N may be 0. It returns a dictionary of losses,
    the sum of which is to be minimised. In evaluation it takes pictures and returns for each `boxes` [N 4] in
    pixels of the picture as it was given, `labels` [N] 1..K, `scores` [N], the highest first, and `masks`
    [N 1 H W], boolean. Labels of COCO are its 80 categories in the order of their ids.

    Args:
        backbone: Gives c2 to c5 by name, and says in `channels` how many channels they have.
        stages: What follows from proposals.
        channels: Of the pyramid.
        num_proposals: Of a picture in training.
        anchor_scale: Side of anchors over the stride of their map.
        proposal_loss: Of the deltas of proposals.
        min_size: Short side of resized pictures, in pixels.
        max_size: The most of their long side.
        least_score: The score above which a box is a detection.
        max_detections: Of a picture.
    """

    def __init__(
        self,
        backbone: nn.Module,
        stages: Sequence[Stage],
        *,
        channels: int,
        num_proposals: int,
        anchor_scale: float,
        proposal_loss: BoxLoss,
        min_size: int,
        max_size: int,
        least_score: float,
        max_detections: int,
    ) -> None:
        super().__init__(
            PyramidBackbone(backbone, channels),
            PyramidProposals(
                channels,
                strides=STRIDES,
                anchor_scale=anchor_scale,
                num_training=num_proposals,
                box_loss=proposal_loss,
            ),
            RegionHeads(stages, strides=STRIDES[:4], least_score=least_score, most=max_detections),
            PictureTransform(min_size, max_size),
        )

    def load_weights(self, weights: ImageWeights) -> None:
        """Load a file of ours, of mmdetection's or of a backbone, exactly but for what is said to be new.

        Raises:
            ValueError: It cannot be loaded; see load_detector_weights.
        """
        load_detector_weights(self, weights)


class MaskRCNN(PyramidRCNN):
    """Mask R-CNN with a feature pyramid (He et al., arXiv:1703.06870), as mmdetection's.

    Args:
        backbone: Gives c2 to c5 by name, and says in `channels` how many channels they have.
        num_classes: K, without the background.
        channels: Of the pyramid and the mask head.
        hidden: Channels of the box head.
        anchor_scale: Side of anchors over the stride of their map: 32 pixels on P2, ..., 512 on P6.
        min_size: Short side of resized pictures, in pixels.
        max_size: The most of their long side.
        least_score: The score above which a box is a detection.
        max_detections: Of a picture.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        channels: int = 256,
        hidden: int = 1024,
        anchor_scale: float = 8.0,
        min_size: int = 800,
        max_size: int = 1333,
        least_score: float = 0.05,
        max_detections: int = 100,
    ) -> None:
        stage = Stage(
            BoxHead(channels, num_classes, hidden=hidden, per_class=True),
            MaskHead(channels, num_classes, hidden=channels),
            spread=SPREADS[0],
            iou=0.5,
            weight=1.0,
            box_loss=absolute,
        )
        super().__init__(
            backbone,
            [stage],
            channels=channels,
            num_proposals=1000,
            anchor_scale=anchor_scale,
            proposal_loss=absolute,
            min_size=min_size,
            max_size=max_size,
            least_score=least_score,
            max_detections=max_detections,
        )


class CascadeMaskRCNN(PyramidRCNN):
    """Cascade Mask R-CNN (Cai and Vasconcelos, arXiv:1712.00726) of three stages, as mmdetection's.

    Stages learn from boxes of IoU 0.5, 0.6 and 0.7, by weights 1, 0.5 and 0.25, and share one box among
    classes; losses of deltas are smooth. It is trained on 2000 proposals.

    Args:
        backbone: Gives c2 to c5 by name, and says in `channels` how many channels they have.
        num_classes: K, without the background.
        channels: Of the pyramid and the mask heads.
        hidden: Channels of the box heads.
        anchor_scale: Side of anchors over the stride of their map.
        min_size: Short side of resized pictures, in pixels.
        max_size: The most of their long side.
        least_score: The score above which a box is a detection.
        max_detections: Of a picture.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        *,
        channels: int = 256,
        hidden: int = 1024,
        anchor_scale: float = 8.0,
        min_size: int = 800,
        max_size: int = 1333,
        least_score: float = 0.05,
        max_detections: int = 100,
    ) -> None:
        stages = [
            Stage(
                BoxHead(channels, num_classes, hidden=hidden, per_class=False),
                MaskHead(channels, num_classes, hidden=channels),
                spread=spread,
                iou=iou,
                weight=weight,
                box_loss=smooth(1.0),
            )
            for spread, iou, weight in zip(SPREADS, (0.5, 0.6, 0.7), (1.0, 0.5, 0.25), strict=True)
        ]
        super().__init__(
            backbone,
            stages,
            channels=channels,
            num_proposals=2000,
            anchor_scale=anchor_scale,
            proposal_loss=smooth(1 / 9),
            min_size=min_size,
            max_size=max_size,
            least_score=least_score,
            max_detections=max_detections,
        )
