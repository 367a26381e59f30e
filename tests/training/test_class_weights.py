"""Class weights against scikit-learn, loops of float64 and torch, and what a training says of them."""

import logging
import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn

from gcvideo.training import AsymmetricLoss, BinaryCrossEntropy, CrossEntropy, FocalLoss
from gcvideo.training.class_weights import (
    balanced_weights,
    begin_with_counts,
    effective_number_weights,
    require_classes,
)

B, K = 6, 4
NAMES = ["walk", "run", "jump", "fall"]
COUNTS = torch.tensor([30, 1, 9, 4])
CPU = torch.device("cpu")


class Counted:
    """A data module, as far as counts go."""

    def __init__(self, counts: Tensor = COUNTS) -> None:
        self.counts = counts

    def class_counts(self) -> Tensor:
        return self.counts


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


LABEL = torch.tensor([0, 1, 1, 3, 2, 0])
BLENDED = 0.6 * nn.functional.one_hot(LABEL, K).double() + 0.4 * nn.functional.one_hot(LABEL.flip(0), K)


def test_balanced_weights_are_scikit_learns():
    labels = torch.arange(K).repeat_interleave(COUNTS).numpy()
    expected = compute_class_weight("balanced", classes=np.arange(K), y=labels)
    assert balanced_weights(COUNTS).tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def test_classes_without_a_video_do_not_count_among_the_balanced_ones():
    some = torch.tensor([30, 0, 9, 0])
    labels = torch.arange(K).repeat_interleave(some).numpy()
    walk, jump = compute_class_weight("balanced", classes=np.array([0, 2]), y=labels)
    assert balanced_weights(some).tolist() == pytest.approx([walk, 1, jump, 1], rel=1e-12)
    walk, _, jump, _ = weights = effective_number_weights(some, beta=0.9).tolist()
    assert weights[1::2] == [1, 1]
    assert walk + jump == pytest.approx(2, rel=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999])
def test_effective_numbers_are_their_sum(beta):
    """E_n = sum of beta^i over i < n: what each further video adds is less by beta."""
    effective = [math.fsum(beta**i for i in range(n)) for n in COUNTS.tolist()]
    scale = K / math.fsum(1 / e for e in effective)
    expected = [scale / e for e in effective]
    assert effective_number_weights(COUNTS, beta=beta).tolist() == pytest.approx(expected, rel=1e-9)


def test_effective_numbers_are_between_no_weights_and_balanced_ones():
    balanced = balanced_weights(COUNTS)
    nearly = effective_number_weights(COUNTS, beta=1 - 1e-9)
    torch.testing.assert_close(nearly, balanced * K / balanced.sum(), rtol=1e-5, atol=0)
    assert effective_number_weights(COUNTS, beta=0.0).tolist() == [1.0] * K


def by_hand(logits: Tensor, target: Tensor, term: Any) -> float:
    """The mean over clips of the sum over classes of what `term` gives for (row, k, share, weight)."""
    y = nn.functional.one_hot(target, K) if target.ndim == 1 else target
    w = balanced_weights(COUNTS).tolist()
    rows = logits.tolist()
    return math.fsum(term(rows[b], k, float(y[b, k]), w[k]) for b in range(B) for k in range(K)) / B


def begun(loss: nn.Module) -> nn.Module:
    begin_with_counts(loss, Counted(), NAMES, CPU)
    return loss


@pytest.mark.parametrize("target", [LABEL, BLENDED], ids=["labels", "blended"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_weighs_the_classes_that_a_clip_has(logits, target, smoothing):
    def term(z: list[float], k: int, y: float, w: float) -> float:
        y = (1 - smoothing) * y + smoothing / K
        return -w * y * (z[k] - math.log(math.fsum(map(math.exp, z))))

    loss = begun(CrossEntropy(smoothing, class_weights="balanced"))
    assert float(loss(logits, target)) == pytest.approx(by_hand(logits, target, term), rel=1e-6)
    plain = CrossEntropy(smoothing)
    assert torch.equal(plain(logits, target), nn.CrossEntropyLoss(label_smoothing=smoothing)(logits, target))


def log_sigmoid(z: float) -> float:
    return -math.log1p(math.exp(-z))


@pytest.mark.parametrize("target", [LABEL, BLENDED], ids=["labels", "blended"])
def test_losses_class_by_class_weigh_the_classes_that_a_clip_has(logits, target):
    def binary(z: list[float], k: int, y: float, w: float) -> float:
        return -(w * y * log_sigmoid(z[k]) + (1 - y) * log_sigmoid(-z[k]))

    def focal(z: list[float], k: int, y: float, w: float) -> float:
        p = 1 / (1 + math.exp(-z[k]))
        of_class, of_others = 0.25 * (1 - p) ** 2 * math.log(p), 0.75 * p**2 * math.log(1 - p)
        return -(w * y * of_class + (1 - y) * of_others)

    def asymmetric(z: list[float], k: int, y: float, w: float) -> float:
        p = 1 / (1 + math.exp(-z[k]))
        p_m = max(p - 0.05, 0)
        return -(w * y * (1 - p) * math.log(p) + (1 - y) * p_m**4 * math.log(1 - p_m))

    for kind, term, scale in [
        (BinaryCrossEntropy, binary, 1 / K),
        (FocalLoss, focal, 1),
        (AsymmetricLoss, asymmetric, 1),
    ]:
        found = float(begun(kind(class_weights="balanced"))(logits, target))
        assert found == pytest.approx(scale * by_hand(logits, target, term), rel=1e-6), kind
        assert found != pytest.approx(float(kind()(logits, target)), rel=1e-3)


def test_weights_have_the_mean_1_over_the_labels_so_that_a_loss_keeps_its_size(logits):
    weight = balanced_weights(COUNTS)
    assert float((weight * COUNTS).sum() / COUNTS.sum()) == pytest.approx(1, rel=1e-12)


def test_the_log_names_the_least_and_the_largest_weight_and_classes_without_a_video(caplog):
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        begun(CrossEntropy(class_weights="balanced"))
        begin_with_counts(
            CrossEntropy(class_weights="effective_number", beta=0.0),
            Counted(torch.tensor([3, 0, 1, 0])),
            NAMES,
            CPU,
        )
        begun(BinaryCrossEntropy(class_weights={"fall": 2.5}))
    assert "class weights, balanced: 0.3667 (walk, 30 videos) to 11 (run, 1 video)" in caplog.messages
    assert (
        "class weights, effective_number: 1 (walk, 3 videos) to 1 (walk, 3 videos); 2 without a training "
        "video at weight 1: run, fall" in caplog.messages
    )
    assert "class weights, as given: 1 (walk, 30 videos) to 2.5 (fall, 4 videos)" in caplog.messages


def test_a_loss_within_another_is_weighed_and_one_without_weights_asks_for_nothing():
    class OfTwo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = CrossEntropy(class_weights=[1.0, 2.0, 3.0, 4.0])
            self.second = BinaryCrossEntropy()

    loss = OfTwo()
    begun(loss)
    assert loss.first.weight is not None
    assert loss.first.weight.tolist() == [1, 2, 3, 4]
    assert loss.second.weight is None
    assert list(loss.state_dict()) == []  # checkpoints of runs with and without weights are alike
    begin_with_counts(BinaryCrossEntropy(), None, NAMES, CPU)
    with pytest.raises(ValueError, match=r"weighs classes .* give the trainer one with class_counts\(\)"):
        begin_with_counts(loss, None, NAMES, CPU)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], "class_weights has 2 numbers, and there are 4 classes"),
        ({"jumping": 2.0}, r"class_weights names jumping, which is no class; did you mean jump\?"),
    ],
)
def test_weights_of_other_classes_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        require_classes(CrossEntropy(class_weights=weights), NAMES)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"class_weights": [1.0, -1.0]}, "class_weights holds -1; expected numbers of 0 or more"),
        ({"class_weights": {"a": float("nan")}}, "class_weights holds nan"),
        ({"beta": 1.0}, "beta is 1; expected 0 or more, below 1"),
    ],
)
def test_weights_that_cannot_be_are_refused(settings, message):
    for kind in (CrossEntropy, BinaryCrossEntropy, FocalLoss):
        with pytest.raises(ValueError, match=message):
            kind(**settings)
