"""Figures of dense prediction against a plain loop, and what does not count in them."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gcvideo.images.segmentation.batch import IGNORED
from gcvideo.images.segmentation.figures import DenseFigures, class_table, confusion_of
from gcvideo.images.segmentation.loss import pixel_cross_entropy

K = 5


def drawn(seed: int, *, size: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are right more often than not, and classes of which 3 never occurs and some are ignored."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.tensor([0, 1, 2, 4])[torch.randint(4, (2, size, size), generator=generator)]
    logits = torch.randn(2, K, size, size, generator=generator) + 1.5 * F.one_hot(classes, K).movedim(3, 1)
    classes[torch.rand(classes.shape, generator=generator) < 0.2] = IGNORED
    return logits, classes


def by_loop(batches: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[np.ndarray, float]:
    """The confusion matrix [K K] and the mean loss, pixel by pixel."""
    confusion, losses = np.zeros((K, K), int), []
    for logits, classes in batches:
        for b, i, j in np.ndindex(*classes.shape):
            if (k := int(classes[b, i, j])) != IGNORED:
                of_pixel = logits[b, :, i, j].double().numpy()
                confusion[k, of_pixel.argmax()] += 1
                losses.append(np.log(np.exp(of_pixel).sum()) - of_pixel[k])
    return confusion, float(np.mean(losses))


def mean_iou(confusion: np.ndarray) -> float:
    """The mean over classes that occur or are found."""
    found = []
    for k in range(K):
        union = sum(confusion[k, j] + confusion[j, k] for j in range(K)) - confusion[k, k]
        if union:
            found.append(confusion[k, k] / union)
    return float(np.mean(found))


def test_figures_of_batches_of_any_size_are_those_of_a_plain_loop_over_all_pixels() -> None:
    figures, batches = DenseFigures(K), [drawn(0), drawn(1, size=5)]
    for logits, classes in batches:
        figures.update(logits, classes)
    confusion, loss = by_loop(batches)
    assert figures.miou.compute().item() == pytest.approx(mean_iou(confusion), abs=1e-6)
    expected = confusion.trace() / confusion.sum()
    assert figures.pixel_accuracy.compute().item() == pytest.approx(expected, abs=1e-6)
    assert figures.loss.compute().item() == pytest.approx(loss, abs=1e-5)
    by_picture = [mean_iou(by_loop([batch])[0]) for batch in batches]
    assert abs(np.mean(by_picture) - mean_iou(confusion)) > 1e-3  # which is another figure


def test_what_is_found_where_no_class_counts_changes_nothing() -> None:
    logits, classes = drawn(2)
    other = logits.clone()
    other.movedim(1, 3)[classes == IGNORED] = torch.randn(int((classes == IGNORED).sum()), K)
    figures = [DenseFigures(K), DenseFigures(K)]
    for each, of in zip(figures, (logits, other), strict=True):
        each.update(of, classes)
    for (name, one), (_, another) in zip(figures[0].items(), figures[1].items(), strict=True):
        assert one.compute() == another.compute(), name
    unknown = DenseFigures(K)
    unknown.update(logits, torch.full_like(classes, IGNORED))
    unknown.update(logits, classes)
    assert unknown.loss.compute() == figures[0].loss.compute()


def test_a_class_that_only_predictions_have_counts_as_never_found_and_one_that_nothing_has_does_not() -> None:
    classes = torch.tensor([[[0, 0, 1, 1]]])
    for found, expected in (([0, 0, 1, 1], 1.0), ([0, 0, 1, 2], (1 + 1 / 2 + 0) / 3)):
        figures = DenseFigures(4)
        figures.update(F.one_hot(torch.tensor([[found]]), 4).movedim(3, 1).float(), classes)
        assert figures.miou.compute().item() == pytest.approx(expected)


def test_the_table_has_the_pixels_and_figures_of_every_class() -> None:
    batches = [drawn(3), drawn(4)]
    counted = confusion_of(K)
    for logits, classes in batches:
        counted.update(logits.argmax(dim=1), classes)
    table = class_table(counted.compute(), list("abcde"))
    confusion, _ = by_loop(batches)
    assert table["pixels"].tolist() == confusion.sum(axis=1).tolist()
    assert table["found_pixels"].tolist() == confusion.sum(axis=0).tolist()
    assert table["iou"].mean() == pytest.approx(mean_iou(confusion), abs=1e-6)
    assert table["iou"][3] == 0
    assert np.isnan(table["accuracy"][3])


def test_the_loss_is_the_mean_over_the_pixels_that_count_and_zero_of_none() -> None:
    logits, classes = drawn(5)
    loss = pixel_cross_entropy(logits.requires_grad_(), classes, ignore_index=IGNORED)
    assert loss.item() == pytest.approx(by_loop([(logits.detach(), classes)])[1], rel=1e-5)
    loss.backward()
    assert logits.grad is not None
    assert (logits.grad.abs().sum(dim=1) == 0)[classes == IGNORED].all()
    none = pixel_cross_entropy(logits, torch.full_like(classes, IGNORED), ignore_index=IGNORED)
    assert none.item() == 0


def test_ranks_with_unlike_numbers_of_pixels_have_the_gradient_of_one_process(monkeypatch) -> None:
    logits, classes = drawn(6)
    classes[1, 2:] = IGNORED
    weight = torch.ones(K, requires_grad=True)

    def loss_of(ranks: slice) -> torch.Tensor:
        scaled = logits[ranks] * weight[:, None, None]
        return pixel_cross_entropy(scaled, classes[ranks], ignore_index=IGNORED)

    alone = loss_of(slice(None))
    (expected,) = torch.autograd.grad(alone, weight)
    total = (classes != IGNORED).sum()
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda count: count.copy_(total))
    together = torch.stack([loss_of(slice(0, 1)), loss_of(slice(1, 2))]).mean()
    assert together.item() == pytest.approx(alone.item(), rel=1e-6)
    torch.testing.assert_close(torch.autograd.grad(together, weight)[0], expected, rtol=1e-5, atol=1e-7)
