"""Losses against loops of float64, at hard and at blended targets."""

import copy
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm.loss
import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from gcvideo.backbones.checkpoints import Weights, write_state
from gcvideo.clip import ViewBatch
from gcvideo.training import (
    AsymmetricLoss,
    BinaryCrossEntropy,
    BinaryDistillation,
    Constant,
    Distillation,
    FocalLoss,
    VideoClassifier,
)
from gcvideo.training.losses import require_takes_targets
from tests.doors.test_optimizer import WithoutDropout
from tests.training.test_classifier import Loader

B, K = 5, 7


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


def labels_and_shares() -> list[Tensor]:
    label = torch.arange(B) * 3 % K
    hard = nn.functional.one_hot(label, K).double()
    return [label, 0.7 * hard + 0.3 * hard.roll(1, 0)]


def several() -> Tensor:
    """The classes of each clip: two, none, one, all, three."""
    return torch.tensor(
        [[1.0, 0, 1, 0, 0, 0, 0], [0] * 7, [0, 1, 0, 0, 0, 0, 0], [1] * 7, [0, 1, 1, 1, 0, 0, 0]]
    ).double()


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def by_class(logits: Tensor, target: Tensor, term: Any) -> Tensor:
    """For every clip and class what `term` gives for (logit, share of the class)."""
    y = nn.functional.one_hot(target, K) if target.ndim == 1 else target
    return torch.tensor(
        [[term(float(logits[b, k]), float(y[b, k])) for k in range(K)] for b in range(B)], dtype=torch.float64
    )


@pytest.mark.parametrize("target", labels_and_shares(), ids=["labels", "blended"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_is_its_equation_and_timms(logits, target, smoothing):
    def term(z: float, y: float) -> float:
        y = (1 - smoothing) * y + smoothing / K
        return -(y * math.log(sigmoid(z)) + (1 - y) * math.log(1 - sigmoid(z)))

    found = BinaryCrossEntropy(label_smoothing=smoothing)(logits, target)
    torch.testing.assert_close(found, by_class(logits, target, term).mean(), rtol=1e-12, atol=0)
    if target.ndim == 1 or not smoothing:
        torch.testing.assert_close(found, timm.loss.BinaryCrossEntropy(smoothing=smoothing)(logits, target))


@pytest.mark.parametrize("target", labels_and_shares(), ids=["labels", "blended"])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1.0, 0.5), (0.9, 0.0)])
def test_focal_loss_is_its_equation(logits, target, alpha, gamma):
    def term(z: float, y: float) -> float:
        weights = (1.0, 1.0) if alpha == -1 else (alpha, 1 - alpha)
        p = sigmoid(z)
        of_class, of_others = (
            -a * (1 - q) ** gamma * math.log(q) for a, q in zip(weights, (p, 1 - p), strict=True)
        )
        return y * of_class + (1 - y) * of_others

    found = FocalLoss(alpha=alpha, gamma=gamma)(logits, target)
    torch.testing.assert_close(found, by_class(logits, target, term).sum(1).mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("target", [*labels_and_shares(), several()], ids=["labels", "blended", "several"])
@pytest.mark.parametrize(
    ("gamma_neg", "gamma_pos", "clip"), [(4.0, 1.0, 0.05), (2.0, 0.0, 0.2), (0.0, 0.0, 0.0)]
)
def test_asymmetric_loss_is_its_equation_and_timms(logits, target, gamma_neg, gamma_pos, clip):
    def term(z: float, y: float) -> float:
        p = sigmoid(z)
        p_m = max(p - clip, 0.0)
        of_present, of_absent = (1 - p) ** gamma_pos * math.log(p), p_m**gamma_neg * math.log(1 - p_m)
        return -y * of_present - (1 - y) * of_absent

    found = AsymmetricLoss(gamma_neg, gamma_pos, clip)(logits, target)
    torch.testing.assert_close(found, by_class(logits, target, term).sum(1).mean(), rtol=1e-12, atol=0)
    if target.ndim == 1 or not ((target > 0) & (target < 1)).any():
        of_timm = timm.loss.AsymmetricLossMultiLabel(gamma_neg, gamma_pos, clip, reduction="sum")
        multi_hot = nn.functional.one_hot(target, K).double() if target.ndim == 1 else target
        torch.testing.assert_close(found.float(), of_timm(logits, multi_hot) / B, rtol=1e-5, atol=1e-6)


def test_asymmetric_loss_has_finite_gradients_at_any_logit():
    for clip in (0.0, 0.05):
        z = torch.tensor([[-200.0, -20.0, 0.0, 20.0, 200.0, 5.0, -5.0]]).bfloat16().requires_grad_()
        AsymmetricLoss(clip=clip)(z, torch.tensor([[1.0, 0, 1, 0, 0, 1, 0]])).backward()
        assert z.grad is not None
        assert z.grad.isfinite().all()


@pytest.mark.parametrize("target", [several()])
def test_binary_cross_entropy_and_focal_loss_take_several_labels_and_none(logits, target):
    def binary(z: float, y: float) -> float:
        return -(y * math.log(sigmoid(z)) + (1 - y) * math.log(1 - sigmoid(z)))

    terms = by_class(logits, target, binary)
    torch.testing.assert_close(BinaryCrossEntropy()(logits, target), terms.mean(), rtol=1e-12, atol=0)
    found = FocalLoss(alpha=-1.0, gamma=0.0)(logits, target)
    torch.testing.assert_close(found, terms.sum(1).mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            nn.CrossEntropyLoss(),
            "CrossEntropyLoss: its softmax shares out one among the classes.*multi_label",
        ),
        (
            Distillation(WithoutDropout, Weights(Path("t.ckpt")), loss=BinaryCrossEntropy),
            "Distillation: its softmax .* BinaryDistillation",
        ),
        (
            BinaryDistillation(WithoutDropout, Weights(Path("t.ckpt")), loss=nn.CrossEntropyLoss),
            "BinaryDistillation of CrossEntropyLoss: its softmax",
        ),
        (
            nn.MultiLabelMarginLoss(),
            "MultiLabelMarginLoss, which does not take logits .* of 0 and 1 .*Asymmetric",
        ),
    ],
)
def test_a_loss_that_is_not_of_several_labels_is_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        require_takes_targets(loss, num_classes=3, blended=False, multi_hot=True)


def test_losses_of_several_labels_are_taken():
    of_teacher = BinaryDistillation(WithoutDropout, Weights(Path("t.ckpt")))
    of_torch = nn.MultiLabelSoftMarginLoss()
    for loss in (BinaryCrossEntropy(), FocalLoss(), AsymmetricLoss(), of_teacher, of_torch):
        require_takes_targets(loss, num_classes=3, blended=True, multi_hot=True)


def test_binary_distillation_is_the_divergence_of_every_class(teacher):
    network, file = teacher
    loss = BinaryDistillation(WithoutDropout, Weights(file), temperature=2.0, share=0.7)
    loss.begin(["a", "b", "c"], torch.device("cpu"))
    clips = torch.randn(4, 3, 4, 16, 16).double()
    z, y = torch.randn(4, 3).double(), torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]])
    found = loss(z, y, clips)
    with torch.no_grad():
        t = network(clips)
    soft = 0.0
    for b in range(4):
        for k in range(3):
            p, q = sigmoid(float(t[b, k]) / 2), sigmoid(float(z[b, k]) / 2)
            soft += 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))) / 12
    hard = float(BinaryCrossEntropy()(z, y))
    assert float(found) == pytest.approx(0.3 * hard + 0.7 * soft, rel=1e-5)


@pytest.fixture
def teacher(tmp_path) -> tuple[WithoutDropout, Path]:
    torch.manual_seed(1)
    network = WithoutDropout(3)
    for norm in (network.first_norm, network.second_norm):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    write_state(tmp_path / "teacher.pth", network.state_dict())
    return network.eval(), tmp_path / "teacher.pth"


@pytest.mark.parametrize("blended", [False, True])
def test_distillation_is_hintons_in_a_plain_loop_and_its_teacher_stays_outside(tmp_path, teacher, blended):
    torch.manual_seed(0)
    alone_teacher, file = teacher
    batches = [
        ViewBatch(torch.randn(4, 1, 3, 4, 16, 16, dtype=torch.float64), torch.randint(3, (4,)), list("abcd"))
        for _ in range(3)
    ]
    labelled = batches
    if blended:
        batches = [
            batch._replace(target=torch.rand(4, 3, dtype=torch.float64).softmax(1)) for batch in batches
        ]
    temperature, share = 3.0, 0.8
    model = VideoClassifier(
        WithoutDropout,
        ["a", "b", "c"],
        learning_rate=0.5,
        batch_size=64,
        lr_schedule=Constant(),
        optimizer=partial(torch.optim.SGD),
        loss=partial(Distillation, WithoutDropout, Weights(file), temperature=temperature, share=share),
    )
    alone = WithoutDropout(3)
    alone.load_state_dict(model.network.state_dict())
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "devices": 1, "max_epochs": 2}
    run = Trainer(default_root_dir=tmp_path, precision="64-true", **quiet)
    run.fit(model, Loader(batches), Loader(labelled))

    optimizer = torch.optim.SGD(alone.parameters(), lr=0.5)
    for _ in range(2):
        for batch in batches:
            optimizer.zero_grad()
            z, y = alone(batch.views[:, 0]), batch.target
            y = y if blended else nn.functional.one_hot(y, 3)
            hard = -(y * z.log_softmax(1)).sum(1).mean()
            p = (alone_teacher(batch.views[:, 0]) / temperature).softmax(1).detach()
            q = (z / temperature).softmax(1)
            soft = temperature**2 * (p * (p.log() - q.log())).sum(1).mean()
            ((1 - share) * hard + share * soft).backward()
            optimizer.step()
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(model.network.get_parameter(name), weight, rtol=0, atol=1e-12)
    # The teacher is in no state, in no optimizer, and a copy of the classifier shares it.
    assert not any(key.startswith("loss") for key in model.state_dict())
    assert sum(len(group["params"]) for group in run.optimizers[0].param_groups) == len([*alone.parameters()])
    held = model.loss._teacher.network
    assert not held.training
    assert not any(weight.requires_grad for weight in held.parameters())
    assert copy.deepcopy(model.loss)._teacher.network is held
    for key, value in held.state_dict().items():
        assert torch.equal(value, alone_teacher.state_dict()[key]), key


@pytest.mark.parametrize(
    ("loss", "blended", "message"),
    [
        (nn.BCEWithLogitsLoss(), False, "BCEWithLogitsLoss, which does not take logits .* with labels .B."),
        (nn.MultiMarginLoss(), True, "MultiMarginLoss, which does not take .* targets .B, K., as data.blend"),
        (nn.NLLLoss(), False, "NLLLoss, which takes probabilities .* use torch.nn.CrossEntropyLoss"),
        (nn.BCELoss(), True, "BCELoss, which takes probabilities .* use gcvideo.training.BinaryCrossEntropy"),
        (nn.CrossEntropyLoss(reduction="none"), True, "gives .2. numbers for .2, 3. logits; expected one"),
    ],
)
def test_a_loss_that_does_not_take_the_targets_of_a_run_is_refused(loss, blended, message):
    with pytest.raises(ValueError, match=message):
        require_takes_targets(loss, num_classes=3, blended=blended)


@pytest.mark.parametrize("blended", [False, True])
def test_ours_and_torchs_take_labels_and_blended_targets(blended):
    for loss in (nn.CrossEntropyLoss(label_smoothing=0.1), BinaryCrossEntropy(), FocalLoss()):
        require_takes_targets(loss, num_classes=3, blended=blended)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinaryCrossEntropy(1.0), "label_smoothing is 1; expected 0 or more, below 1"),
        (lambda: FocalLoss(alpha=2.0), "alpha is 2 and gamma 2; expected alpha in 0..1 or -1"),
        (
            lambda: Distillation(WithoutDropout, Weights(Path("t.ckpt")), temperature=0.0),
            "temperature is 0 and share 0.9; expected temperature above 0",
        ),
        (
            lambda: Distillation(WithoutDropout, Weights(Path("t.ckpt"), new=["head"])),
            "weights.new of a teacher names head, which would teach what nothing has trained",
        ),
    ],
)
def test_settings_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
