"""Metrics of several labels a video against plain loops, over batches, ranks and inference mode."""

import math
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from sklearn.metrics import average_precision_score
from torch import Tensor

from gcvideo.evaluation import multi_label_metrics
from gcvideo.evaluation.multi_label import AveragePrecisions, average_precisions
from gcvideo.evaluation.thresholds import Thresholds, best_thresholds

N, K = 57, 9


def scores_and_labels() -> tuple[Tensor, Tensor]:
    """Some probabilities are equal; class 4 has no video; some videos have no class."""
    generator = torch.Generator().manual_seed(0)
    p = (torch.rand(N, K, generator=generator) * 20).round() / 20
    y = (torch.rand(N, K, generator=generator) < 0.1 + 0.5 * p).float()
    y[:, 4], y[::10] = 0, 0
    return p, y


def average_precision(p: Tensor, y: Tensor) -> float:
    """Sum over thresholds, from the highest, of the rise in recall times the precision, in float64."""
    p, y = p.double().numpy(), y.double().numpy()
    found, recall = 0.0, 0.0
    for threshold in sorted(set(p.tolist()), reverse=True):
        passed = p >= threshold
        precision, now = y[passed].mean(), y[passed].sum() / y.sum()
        found, recall = found + (now - recall) * precision, now
    return float(found)


def charades(p: Tensor, y: Tensor) -> float:
    """The evaluation of Charades: nan for a class without videos, whatever has no class behind all others."""
    scores = p.double().numpy().copy()
    scores[(y.sum(1) == 0).numpy()] = -np.inf
    of_classes = []
    for k in range(y.shape[1]):
        true = y[:, k].numpy()[np.argsort(-scores[:, k], kind="stable")] == 1
        precision = np.cumsum(true) / np.arange(1, len(true) + 1)
        of_classes.append(precision[true].sum() / true.sum() if true.any() else np.nan)
    return float(np.nanmean(of_classes))


def updated(p: Tensor, y: Tensor, sizes: list[int]) -> dict[str, float]:
    metrics = multi_label_metrics(y.shape[1])
    for some_p, some_y in zip(p.split(sizes), y.split(sizes), strict=True):
        metrics.update(some_p, some_y)
    return {name: float(value) for name, value in metrics.compute().items()}


def test_metrics_equal_plain_loops_over_uneven_batches():
    p, y = scores_and_labels()
    found = updated(p, y, [1, 1, 30, 20, 5])
    present = [k for k in range(K) if k != 4]
    expected = np.mean([average_precision(p[:, k], y[:, k]) for k in present])
    assert found["map"] == pytest.approx(expected, abs=1e-6)
    of_videos = [
        average_precision(of_video, labels) for of_video, labels in zip(p, y, strict=True) if labels.any()
    ]
    assert found["sample_map"] == pytest.approx(np.mean(of_videos), abs=1e-6)
    told, there = (p > 0.5).flatten().tolist(), y.flatten().tolist()
    right = sum(t and bool(h) for t, h in zip(told, there, strict=True))
    assert found["f1_micro"] == pytest.approx(2 * right / (sum(told) + sum(there)), abs=1e-6)
    clamped = p.double().clamp(1e-12, 1 - 1e-12)
    loss = -(y * clamped.log() + (1 - y) * (1 - clamped).log()).mean()
    assert found["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_average_precisions_are_those_of_scikit_learn():
    p, y = scores_and_labels()
    present = [k for k in range(K) if k != 4]
    found = average_precisions(p, y)[present]
    expected = average_precision_score(y[:, present].numpy(), p[:, present].numpy(), average=None)
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_map_is_that_of_charades_where_every_video_has_a_label():
    generator = torch.Generator().manual_seed(1)
    p, y = torch.rand(N, K, generator=generator), (torch.rand(N, K, generator=generator) < 0.3).float()
    y[:, 4] = 0
    y[y.sum(1) == 0, 0] = 1
    assert updated(p, y, [N])["map"] == pytest.approx(charades(p, y), abs=1e-6)
    y[0] = 0
    assert updated(p, y, [N])["map"] != pytest.approx(charades(p, y), abs=1e-6)


def test_a_class_that_no_video_has_is_nan_and_not_in_the_mean():
    p, y = scores_and_labels()
    metric = AveragePrecisions(K)
    metric.update(p, y)
    found = metric.compute()
    assert found.isnan().nonzero().flatten().tolist() == [4]
    assert updated(p, y, [N])["map"] == pytest.approx(float(found[~found.isnan()].mean()))


def test_probabilities_that_are_no_numbers_leave_no_figure():
    p, y = scores_and_labels()
    p[3, 2] = math.nan
    assert math.isnan(updated(p, y, [N])["map"])


def test_metrics_can_be_updated_in_and_after_inference_mode():
    p, y = scores_and_labels()
    metrics = multi_label_metrics(K)
    with torch.inference_mode():
        metrics.update(p[:20], y[:20])
        metrics.compute()
        metrics.reset()
        metrics.update(p[:20], y[:20])
    metrics.update(p[20:], y[20:])
    found = {name: float(value) for name, value in metrics.compute().items()}
    assert found == pytest.approx(updated(p, y, [N]), abs=1e-6)


def _rank(rank: int, meeting: Path, out: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=3)
    p, y = scores_and_labels()
    own = [slice(0, 40), slice(40, N), slice(N, N)][rank]
    metrics = multi_label_metrics(K)
    if rank < 2:
        metrics.update(p[own], y[own])
    torch.save({name: float(value) for name, value in metrics.compute().items()}, out / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_ranks_with_unequal_shares_and_with_none_have_the_figures_of_one(tmp_path):
    context = get_context("fork")
    ranks = [context.Process(target=_rank, args=(rank, tmp_path / "meeting", tmp_path)) for rank in range(3)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    alone = updated(*scores_and_labels(), [N])
    for rank in range(3):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(alone, abs=1e-6)


def test_the_best_threshold_of_a_class_has_the_highest_f1_of_all():
    p, y = scores_and_labels()
    thresholds, scores = best_thresholds(p, y)
    for k in range(K):
        f1 = {
            t: 2 * float((y[:, k] * (p[:, k] > t)).sum()) / float(y[:, k].sum() + (p[:, k] > t).sum() or 1)
            for t in [-0.01, *p[:, k].tolist(), float(thresholds[k])]
        }
        if k == 4:
            assert (float(thresholds[k]), bool(scores[k].isnan())) == (0.5, True)
        else:
            assert f1[float(thresholds[k])] == pytest.approx(max(f1.values()))
            assert float(scores[k]) == pytest.approx(max(f1.values()))


def test_classes_above_their_thresholds_are_told_the_most_probable_first():
    thresholds = Thresholds(torch.tensor([0.5, 0.2, 0.9, 0.1]))
    assert thresholds.above(torch.tensor([0.6, 0.3, 0.8, 0.1])) == [0, 1]
    assert Thresholds.even(4).above(torch.tensor([0.5, 0.6, 0.8, 0.1])) == [2, 1]
    with pytest.raises(ValueError, match=r"threshold is 1\.5; expected 0\.\.1"):
        Thresholds.even(4, 1.5)


def test_thresholds_are_read_by_class_name(tmp_path):
    file = tmp_path / "classes.csv"
    file.write_text("class,videos,threshold\nrun,3,0.25\nwalk,2,0.75\n")
    assert Thresholds.read(file, ["walk", "run"]).of_class.tolist() == [0.75, 0.25]
    with pytest.raises(ValueError, match="has no threshold for 1 of 2 classes: hop"):
        Thresholds.read(file, ["walk", "hop"])
    with pytest.raises(ValueError, match=r"none\.csv: cannot be read as thresholds"):
        Thresholds.read(tmp_path / "none.csv", ["walk"])
