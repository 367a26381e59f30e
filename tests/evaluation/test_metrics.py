import pytest
import torch

from gcvideo.evaluation import video_metrics
from gcvideo.evaluation.metrics import MeanClassAccuracy, NegativeLogLikelihood


def test_metrics_equal_a_count_by_hand_over_uneven_batches():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(57, 8, generator=generator)
    probabilities /= probabilities.sum(1, keepdim=True)
    labels = torch.randint(0, 8, (57,), generator=generator) ** 2 // 8  # unbalanced
    metrics = video_metrics(8)
    for batch in torch.arange(57).split([1, 1, 30, 20, 5]):
        metrics.update(probabilities[batch], labels[batch])
    found = metrics.compute()

    ranks = [sum(q > row[label] for q in row) for row, label in zip(probabilities, labels, strict=True)]
    per_class = {}
    for label, rank in zip(labels.tolist(), ranks, strict=True):
        per_class.setdefault(label, []).append(rank == 0)
    assert found["top1"].item() == pytest.approx(sum(rank == 0 for rank in ranks) / 57)
    assert found["top5"].item() == pytest.approx(sum(rank < 5 for rank in ranks) / 57)
    mean_class = sum(sum(hits) / len(hits) for hits in per_class.values()) / len(per_class)
    assert found["mean_class"].item() == pytest.approx(mean_class)
    of_label = probabilities[range(57), labels].double()
    assert found["loss"].item() == pytest.approx(-of_label.log().mean().item(), rel=1e-5)
    assert len({round(value.item(), 4) for value in found.values()}) == 4


def test_top1_and_top5_stay_apart_when_the_first_batch_agrees():
    metrics = video_metrics(8)
    metrics.update(torch.eye(8)[3:4], torch.tensor([3]))  # right in both
    second = torch.tensor([[0.1, 0.2, 0.3, 0.05, 0.05, 0.1, 0.1, 0.1]])
    metrics.update(second, torch.tensor([1]))  # right in top-5 alone
    found = metrics.compute()
    assert (found["top1"].item(), found["top5"].item()) == (0.5, 1.0)


def test_with_fewer_than_five_classes_top5_is_all_of_them():
    metrics = video_metrics(3)
    metrics.update(torch.tensor([[0.5, 0.3, 0.2]]), torch.tensor([2]))
    assert metrics.compute()["top5"].item() == 1.0


def test_mean_class_accuracy_weighs_classes_alike_and_ignores_those_without_a_video():
    metric = MeanClassAccuracy(4)
    # Class 0: 3 of 4; class 1: 0 of 1, taken for class 3, of which there is no video.
    predictions = torch.tensor([0, 0, 0, 1, 3])
    metric.update(torch.eye(4)[predictions], torch.tensor([0, 0, 0, 0, 1]))
    assert metric.compute().item() == pytest.approx((3 / 4 + 0) / 2)


def test_the_loss_of_many_videos_is_exact_however_few_come_at_a_time():
    probabilities = torch.rand(5000, 2, generator=torch.Generator().manual_seed(0)).softmax(1)
    metric = NegativeLogLikelihood()
    for of_video in probabilities:
        metric.update(of_video[None], torch.tensor([0]))
    exact = -probabilities[:, 0].double().log().mean().item()
    assert metric.compute().item() == pytest.approx(exact, rel=1e-7)


def test_the_loss_of_an_impossible_class_is_finite_and_of_no_number_is_none():
    metric = NegativeLogLikelihood()
    metric.update(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert metric.compute().isfinite()
    metric.update(torch.tensor([[float("nan"), float("nan")]]), torch.tensor([1]))
    assert metric.compute().isnan()


def test_metrics_can_be_updated_in_and_after_inference_mode():
    metrics = video_metrics(3)
    probabilities, labels = torch.eye(3), torch.arange(3)
    with torch.inference_mode():
        metrics.update(probabilities, labels)
        metrics.reset()
        metrics.update(probabilities, labels)
    metrics.update(probabilities, labels.roll(1))
    assert {name: round(value.item(), 3) for name, value in metrics.compute().items() if name != "loss"} == {
        "top1": 0.5,
        "top5": 1.0,
        "mean_class": 0.5,
    }
