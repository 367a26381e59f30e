import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from torchvision.ops import nms

from gcvideo.images.detection.networks import CascadeMaskRCNN, MaskRCNN
from gcvideo.images.detection.networks.mask_rcnn import PyramidRCNN
from gcvideo.images.detection.networks.regions import Stage
from tests.images.detection.networks.small import SmallBackbone, small, target

KINDS = [MaskRCNN, CascadeMaskRCNN]


def pictures() -> list[Tensor]:
    torch.manual_seed(1)
    return [torch.rand(3, 50, 70), torch.rand(3, 64, 40)]


def inside(network: PyramidRCNN, images: list[Tensor]) -> tuple[dict[str, Tensor], list[Tensor], list]:
    """The maps of the pyramid, the proposals and the sizes of resized pictures."""
    batch, _ = network.transform(images)
    features = network.backbone(batch.tensors)
    proposals, _ = network.rpn(batch, features)
    return features, proposals, batch.image_sizes


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_detections_are_those_of_a_loop_over_stages_boxes_and_classes(kind: type[PyramidRCNN]) -> None:
    network, images = small(kind), pictures()
    features, proposals, shapes = inside(network, images)
    stages = [stage for stage in network.roi_heads.stages if isinstance(stage, Stage)]
    compared = 0

    for n, found in enumerate(network(images)):
        # Boxes from stage to stage, and the mean of their logits
        boxes, total = proposals[n], torch.zeros(())
        height, width = shapes[n]
        of_picture = {name: map_[n : n + 1] for name, map_ in features.items()}
        candidates = torch.zeros(())
        for stage in stages:
            logits, deltas = stage.box_head(network.roi_heads.box_pool(of_picture, [boxes]))
            total = total + logits.double()
            candidates = torch.stack(
                [stage.coder.decode_single(deltas[:, r], boxes) for r in range(deltas.shape[1])], dim=1
            )
            candidates = torch.stack(
                [candidates[..., i].clamp(0, limit) for i, limit in enumerate((width, height) * 2)], dim=-1
            )
            boxes = candidates[:, 0]
        scores = (total / len(stages)).softmax(dim=1)
        # Class by class
        kept = []
        for label in range(1, 6):
            of_class = candidates[:, min(label, candidates.shape[1]) - 1]
            (likely,) = (scores[:, label] > 0.05).nonzero(as_tuple=True)
            left = likely[nms(of_class[likely], scores[likely, label].float(), 0.5)]
            kept += [(float(scores[i, label]), label, of_class[i]) for i in left]
        kept = sorted(kept, key=lambda one: -one[0])[:100]
        # In pixels of the picture
        ratio = torch.tensor([width / images[n].shape[2], height / images[n].shape[1]] * 2)
        assert_close(found["scores"].tolist(), [score for score, _, _ in kept], rtol=0, atol=1e-5)
        assert found["labels"].tolist() == [label for _, label, _ in kept]
        assert_close(found["boxes"], torch.stack([box for _, _, box in kept]) / ratio, rtol=0, atol=1e-3)
        compared += len(kept)
    assert compared > 50


@torch.no_grad()
def test_masks_of_a_cascade_are_means_of_its_stages_probabilities() -> None:
    network = small(CascadeMaskRCNN)
    features, _, _ = inside(network, pictures())
    boxes = [torch.tensor([[3.0, 4.0, 40.0, 50.0], [0.0, 0.0, 60.0, 60.0]]), torch.zeros(0, 4)]
    labels = [torch.tensor([5, 2]), torch.zeros(0, dtype=torch.int64)]

    masks, none = network.roi_heads.masks(features, boxes, labels)

    pooled = network.roi_heads.mask_pool(features, boxes)
    for n, label in enumerate((5, 2)):
        stages = [stage.mask_head(pooled)[n, label - 1].double() for stage in network.roi_heads.stages]
        expected = sum(1 / (1 + (-logits).exp()) for logits in stages) / 3
        assert_close(masks[n, 0].double(), expected, rtol=0, atol=1e-6)
    assert masks.shape == (2, 1, 28, 28)
    assert none.shape == (0, 1, 28, 28)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_picture_is_detected_alone_as_among_others(kind: type[PyramidRCNN]) -> None:
    network, images = small(kind), pictures()
    images[1] = images[1][:, :50, :40]  # resized to a size that needs no other padding

    together = network([images[0], images[0].flip(1)])
    alone = [network([picture])[0] for picture in (images[0], images[0].flip(1))]

    for one, other in zip(together, alone, strict=True):
        assert one["labels"].tolist() == other["labels"].tolist()
        assert_close(one["boxes"], other["boxes"], rtol=0, atol=1e-3)
        assert one["masks"].shape == (len(one["labels"]), 1, 50, 70)
        assert one["masks"].dtype == torch.bool


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_trained_and_pictures_may_be_empty(kind: type[PyramidRCNN]) -> None:
    network = small(kind).train()
    targets = [target((5, 5, 40, 30), (30, 20, 69, 49), height=50, width=70), target(height=64, width=40)]

    losses = network(pictures(), targets)
    torch.stack(list(losses.values())).sum().backward()

    assert all(loss.isfinite() for loss in losses.values())
    untrained = {name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()}
    assert untrained == set()
    names = ["loss_classifier", "loss_box_reg", "loss_mask"]
    stages = names if kind is MaskRCNN else [f"{name}_{n}" for n in (1, 2, 3) for name in names]
    assert sorted(losses) == sorted([*stages, "loss_objectness", "loss_rpn_box_reg"])


@pytest.mark.parametrize("kind", KINDS)
def test_batches_without_any_instance_give_losses(kind: type[PyramidRCNN]) -> None:
    network = small(kind).train()

    losses = network(pictures(), [target(height=50, width=70), target(height=64, width=40)])

    assert all(loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert all(float(loss.detach()) == 0 for name, loss in losses.items() if "mask" in name)


@pytest.mark.slow
def test_a_few_steps_find_a_square() -> None:
    torch.manual_seed(0)
    network = MaskRCNN(SmallBackbone(8), 1, channels=16, hidden=32, min_size=64, max_size=64).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    picture = torch.zeros(3, 64, 64)
    picture[:, 16:48, 8:40] = 1
    truth = target((8, 16, 40, 48), height=64, width=64)

    for _ in range(60):
        losses = network([picture], [truth])
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()
    (found,) = network.eval()([picture])

    assert found["labels"][0] == 1
    assert float(found["scores"][0].detach()) > 0.5
    assert_close(found["boxes"][0].detach(), truth["boxes"][0], rtol=0, atol=4)
    overlap = (found["masks"][0, 0] & truth["masks"][0].bool()).sum() / 32**2
    assert float(overlap) > 0.8


def test_a_backbone_without_a_map_is_refused_by_name() -> None:
    backbone = SmallBackbone()
    backbone.channels = {"c2": 4, "c5": 16}
    with pytest.raises(ValueError, match="SmallBackbone gives c2, c5; expected c3, c4 too"):
        MaskRCNN(backbone, 3)
