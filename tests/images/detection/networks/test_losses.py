import math

import torch
from torch.testing import assert_close
from torchvision.ops import box_iou

from gcvideo.images.detection.networks.boxes import CentredBoxCoder
from gcvideo.images.detection.networks.losses import absolute, mask_loss, mask_targets, region_losses, smooth
from gcvideo.images.detection.networks.matching import AnchorMatcher, region_sampler
from tests.images.detection.networks.small import target


def test_best_anchors_of_an_instance_are_positive_from_the_least_overlap_on() -> None:
    overlaps = torch.tensor(
        [
            [0.8, 0.1, 0.2, 0.0, 0.75, 0.5],  # of instance 0: best is 0
            [0.0, 0.4, 0.4, 0.1, 0.1, 0.1],  # of instance 1: 1 and 2, by 0.4
            [0.0, 0.1, 0.1, 0.29, 0.1, 0.1],  # of instance 2: 3, by too little
            [0.0, 0.1, 0.35, 0.1, 0.0, 0.35],  # of instance 3: 2, which is also instance 1's, and 5
        ]
    )

    matched = AnchorMatcher(0.7, 0.3, least_iou=0.3)(overlaps)

    assert matched.tolist() == [0, 1, 3, AnchorMatcher.BELOW_LOW_THRESHOLD, 0, 3]


def test_sampled_boxes_are_of_the_instance_that_they_overlap_enough_with() -> None:
    torch.manual_seed(0)
    truth = target((10, 10, 50, 50), (60, 20, 90, 80), height=100, width=100)
    proposals = torch.tensor(
        [[12.0, 10.0, 50.0, 52.0], [60.0, 40.0, 90.0, 95.0], [0.0, 0.0, 20.0, 20.0], [55.0, 20.0, 95.0, 80.0]]
    )
    coder = CentredBoxCoder((0.1, 0.1, 0.2, 0.2))

    sampled = region_sampler(0.5, coder, num_boxes=16, positive_share=0.5)(proposals, truth)

    assert sampled.boxes.tolist() == [*proposals.tolist(), *truth["boxes"].tolist()]
    overlaps = box_iou(sampled.boxes, truth["boxes"])
    expected = [int(row.argmax()) + 1 if row.max() >= 0.5 else 0 for row in overlaps]
    assert sampled.labels.tolist() == expected == [1, 2, 0, 2, 1, 2]
    assert sampled.annotated.tolist() == [False] * 4 + [True] * 2
    decoded = coder.decode_single(sampled.deltas, sampled.boxes)
    for n in (0, 1, 3, 4, 5):
        assert_close(decoded[n], truth["boxes"][expected[n] - 1], rtol=0, atol=1e-4)


def test_a_quarter_of_the_boxes_at_most_are_positive() -> None:
    truth = target((10, 10, 50, 50), height=100, width=100)
    beside = torch.tensor([[60.0, 60.0, 90.0, 90.0]])
    proposals = torch.cat([truth["boxes"].expand(300, 4), beside.expand(700, 4)])

    sampled = region_sampler(0.5, CentredBoxCoder((0.1, 0.1, 0.2, 0.2)))(proposals, truth)

    assert (len(sampled.labels), int((sampled.labels > 0).sum())) == (512, 128)


def test_a_picture_without_instances_has_background_alone() -> None:
    proposals = torch.tensor([[1.0, 1.0, 9.0, 9.0], [0.0, 0.0, 5.0, 5.0]])

    sampled = region_sampler(0.5, CentredBoxCoder((0.1, 0.1, 0.2, 0.2)))(
        proposals, target(height=10, width=10)
    )

    assert sampled.labels.tolist() == [0, 0]
    assert not sampled.annotated.any()


def test_losses_of_regions_are_sums_over_all_that_were_sampled() -> None:
    torch.manual_seed(0)
    logits, deltas, wanted = torch.randn(6, 4), torch.randn(6, 3, 4), torch.randn(6, 4)
    labels = torch.tensor([0, 2, 3, 0, 1, 0])
    classes = boxes = 0.0
    for n, label in enumerate(labels.tolist()):
        row = logits[n].double().tolist()
        classes += (math.log(sum(math.exp(logit) for logit in row)) - row[label]) / 6
        if label:
            differences = (deltas[n, label - 1] - wanted[n]).double().abs().tolist()
            boxes += sum(differences) / 6

    found = region_losses(logits, deltas, labels=labels, wanted=wanted, box_loss=absolute)

    assert_close([float(loss) for loss in found], [classes, boxes], rtol=1e-5, atol=1e-6)


def test_one_box_of_all_classes_is_trained_by_each_of_them() -> None:
    deltas, wanted = torch.tensor([[[0.5, 0, 0, 0]], [[3.0, 0, 0, 0]], [[9.0, 9, 9, 9]]]), torch.zeros(3, 4)

    _, boxes = region_losses(
        torch.zeros(3, 8), deltas, labels=torch.tensor([4, 7, 0]), wanted=wanted, box_loss=smooth(1.0)
    )

    assert_close(float(boxes), (0.5**2 / 2 + 3 - 0.5) / 3)


def test_mask_targets_are_1_where_half_of_a_bin_is_covered() -> None:
    masks = torch.zeros(2, 20, 20, dtype=torch.uint8)
    masks[1, 4:12, 6:10] = 1
    boxes = torch.tensor([[4.0, 4.0, 12.0, 12.0], [0.0, 0.0, 16.0, 16.0], [4.0, 4.0, 12.0, 12.0]])

    found = mask_targets(masks, boxes, torch.tensor([1, 1, 0]), size=4)

    assert found[0].tolist() == [[0, 1, 1, 0]] * 4
    # Bins of 4 x 4: columns 4..8 and 8..12 are half covered, in rows 4..12.
    assert found[1].tolist() == [[0] * 4, [0, 1, 1, 0], [0, 1, 1, 0], [0] * 4]
    assert not found[2].any()


def test_mask_loss_is_that_of_the_classes_own_masks() -> None:
    torch.manual_seed(0)
    logits, wanted = torch.randn(2, 3, 4, 4), torch.randint(2, (2, 4, 4)).float()
    expected = 0.0
    for n, label in enumerate((3, 1)):
        for logit, value in zip(
            logits[n, label - 1].flatten().double().tolist(), wanted[n].flatten().tolist(), strict=True
        ):
            probability = 1 / (1 + math.exp(-logit))
            expected -= math.log(probability if value else 1 - probability) / 32

    assert_close(
        float(mask_loss(logits, labels=torch.tensor([3, 1]), wanted=wanted)), expected, rtol=1e-5, atol=1e-6
    )
    none = mask_loss(logits[:0], labels=torch.zeros(0, dtype=torch.int64), wanted=wanted[:0])
    assert float(none) == 0
