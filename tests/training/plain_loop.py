"""A classifier in float64 and the same network alone, to be trained by a plain loop beside it."""

from typing import Any

import torch
from torch.optim import Optimizer

from gcvideo.clip import ViewBatch
from gcvideo.training import Constant, NesterovSGD, VideoClassifier
from tests.doors.test_optimizer import WithoutDropout

TRAINER: dict[str, Any] = {
    "precision": "64-true",
    "accelerator": "cpu",
    "devices": 1,
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
PEAK = 0.2


def batches_of_four(number: int) -> list[ViewBatch]:
    return [
        ViewBatch(torch.randn(4, 1, 3, 4, 16, 16, dtype=torch.float64), torch.randint(3, (4,)), list("abcd"))
        for _ in range(number)
    ]


def classifier_and_network(*, batch_size: int) -> tuple[VideoClassifier, WithoutDropout]:
    """At a constant rate of PEAK, by the reference batch of 64, and with the same weights."""
    model = VideoClassifier(
        WithoutDropout, ["a", "b", "c"], learning_rate=PEAK, batch_size=batch_size, lr_schedule=Constant()
    )
    alone = WithoutDropout(3)
    alone.load_state_dict(model.network.state_dict())
    return model, alone


def optimizer_of(alone: WithoutDropout) -> Optimizer:
    """NesterovSGD, its groups written out: no decay on norms."""
    norms = [*alone.first_norm.parameters(), *alone.second_norm.parameters()]
    others = [weight for weight in alone.parameters() if not any(weight is norm for norm in norms)]
    return NesterovSGD([{"params": others}, {"params": norms, "weight_decay": 0.0}], PEAK)
