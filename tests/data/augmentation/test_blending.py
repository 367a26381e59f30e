import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import cross_entropy

from gcvideo.data import Blending
from gcvideo.data.augmentation import BlendSometimes

LABELS = torch.tensor([0, 1, 2, 3])


def views() -> Tensor:
    """Clips [4 1 3 2 24 32] of noise."""
    return torch.randn(4, 1, 3, 2, 24, 32, generator=torch.Generator().manual_seed(0))


def shares(blending: Blending, *, num_batches: int = 600) -> dict[str, list[float]]:
    """By kind the own share lambda of the clips of many batches."""
    torch.manual_seed(0)
    blend, found = BlendSometimes(4, blending), {"none": [], "mixup": [], "cutmix": []}
    clips = views()[..., :1, :8, :8]
    for _ in range(num_batches):
        mixed, target = blend(clips, LABELS)
        assert target.dtype == torch.float32
        if torch.equal(mixed, clips) and torch.equal(target, torch.eye(4)):
            found["none"].append(1.0)
        else:
            kind = "cutmix" if torch.isin(mixed, clips).all() else "mixup"
            found[kind].append(float(target[0, 0]))
    return found


def test_a_batch_is_blended_and_by_cutmix_with_the_probabilities_asked_for():
    found = shares(Blending(probability=0.8, switch_probability=0.25))
    # A cutmix box of no size, in about one batch of ten at 8 pixels, leaves the clips as they are.
    assert len(found["mixup"]) / 600 == pytest.approx(0.8 * 0.75, abs=0.06)
    assert len(found["cutmix"]) / 600 == pytest.approx(0.8 * 0.25, abs=0.06)
    for alone, kind in ((Blending(cutmix_alpha=0.0), "mixup"), (Blending(mixup_alpha=0.0), "cutmix")):
        assert {name for name, of in shares(alone, num_batches=30).items() if of} <= {kind, "none"}


@pytest.mark.parametrize("alpha", [0.2, 0.8, 3.0])
def test_mixups_share_is_drawn_from_its_own_beta_distribution(alpha):
    found = shares(Blending(mixup_alpha=alpha, cutmix_alpha=0.0))["mixup"]
    assert stats.kstest(found, stats.beta(alpha, alpha).cdf).pvalue > 0.01
    assert stats.kstest(found, stats.beta(alpha * 2, alpha * 2).cdf).pvalue < 0.01


def pyslowfast_target(
    label: Tensor, partner: Tensor, lam: float, smoothing: float, num_classes: int
) -> Tensor:
    """datasets/mixup.py, mixup_target, with convert_to_one_hot written out."""
    off = smoothing / num_classes
    on = 1.0 - smoothing + off
    one, two = (torch.full((len(label), num_classes), off) for _ in range(2))
    for row in range(len(label)):
        one[row, label[row]] = on
        two[row, partner[row]] = on
    return one * lam + two * (1.0 - lam)


def pyslowfast_box(height: int, width: int, lam: float, cy: int, cx: int) -> tuple[tuple[int, ...], float]:
    """datasets/mixup.py, get_cutmix_bbox with its lambda corrected, for a box about (cy, cx)."""
    ratio = math.sqrt(1 - lam)
    cut_h, cut_w = int(height * ratio), int(width * ratio)
    yl, yh = max(cy - cut_h // 2, 0), min(cy + cut_h // 2, height)
    xl, xh = max(cx - cut_w // 2, 0), min(cx + cut_w // 2, width)
    return (yl, yh, xl, xh), 1.0 - (yh - yl) * (xh - xl) / (height * width)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_clips_and_loss_are_those_of_pyslowfasts_formulas_for_the_same_draws(monkeypatch, kind, smoothing):
    """For its partner, the clip at the other end, ours is the one before: its own roll is torchvision's."""
    alone = Blending(cutmix_alpha=0.0) if kind == "mixup" else Blending(mixup_alpha=0.0)
    clips, partner = views(), [3, 0, 1, 2]
    for seed in range(6):
        lam, (cx,), (cy,) = 0.05 + 0.15 * seed, [5 + seed], [20 - 4 * seed]
        drawn = iter([torch.tensor([cx]), torch.tensor([cy])])
        monkeypatch.setattr(
            torch.distributions.Beta, "sample", lambda self, shape, lam=lam: torch.tensor(lam)
        )
        monkeypatch.setattr(torch, "randint", lambda *_, drawn=drawn, **__: next(drawn))
        mixed, target = BlendSometimes(5, alone)(clips.clone(), LABELS)
        if kind == "mixup":
            expected = clips * lam + clips[partner] * (1 - lam)
        else:
            (yl, yh, xl, xh), lam = pyslowfast_box(24, 32, lam, cy, cx)
            expected = clips.clone()
            expected[..., yl:yh, xl:xh] = clips[partner][..., yl:yh, xl:xh]
        torch.testing.assert_close(mixed, expected)
        theirs = pyslowfast_target(LABELS, LABELS[partner], lam, smoothing, 5)
        logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
        torch.testing.assert_close(
            cross_entropy(logits, target, label_smoothing=smoothing),
            (-theirs * logits.log_softmax(1)).sum(1).mean(),  # its SoftTargetCrossEntropyLoss
        )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mixup_alpha": -1.0}, "mixup_alpha -1.0, cutmix_alpha 1.0"),
        ({"mixup_alpha": 0.0, "cutmix_alpha": 0.0}, "and not both 0"),
        ({"probability": 1.2}, "data.blend: probability is 1.2"),
        ({"switch_probability": -0.2}, "data.blend: switch_probability: probability is -0.2"),
    ],
)
def test_settings_out_of_range_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Blending(**settings).require_possible()
