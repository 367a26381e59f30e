"""Gradients clipped by Lightning: those of the whole step, whatever it was put together from."""

import json

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer

from tests.training.plain_loop import TRAINER, batches_of_four, classifier_and_network, optimizer_of
from tests.training.runs import fault, last_checkpoint, run, said, write_config
from tests.training.test_classifier import Loader
from tests.training.trials import write_hundred_videos


@pytest.mark.parametrize(("algorithm", "limit"), [("norm", 0.05), ("value", 0.01)])
def test_the_gradient_of_accumulated_batches_is_clipped_as_in_a_plain_loop(tmp_path, algorithm, limit):
    torch.manual_seed(0)
    batches = batches_of_four(4)
    model, alone = classifier_and_network(batch_size=32)
    clipping = {"gradient_clip_val": limit, "gradient_clip_algorithm": algorithm}
    loader = Loader(batches)
    trainer = Trainer(
        default_root_dir=tmp_path, max_epochs=2, accumulate_grad_batches=2, **clipping, **TRAINER
    )
    trainer.fit(model, loader, loader)

    optimizer = optimizer_of(alone)
    for first, second in [batches[:2], batches[2:]] * 2:
        optimizer.zero_grad()
        loss = sum(F.cross_entropy(alone(batch.views[:, 0]), batch.target) for batch in (first, second)) / 2
        loss.backward()
        gradients = [weight.grad for weight in alone.parameters()]
        norm = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
        assert norm > limit  # it is clipped
        for gradient in gradients:
            if algorithm == "norm":
                gradient *= limit / (norm + 1e-6)
            else:
                gradient.clamp_(-limit, limit)
        optimizer.step()
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(model.network.get_parameter(name), weight, rtol=0, atol=1e-12)


def test_the_gradient_of_two_processes_and_two_batches_is_clipped_as_that_of_one_of_both(tmp_path):
    root = write_hundred_videos(tmp_path / "videos")
    weights = {}
    for processes, size, accumulated in ((1, 4, 1), (2, 1, 2)):
        folder = tmp_path / str(processes)
        trainer = {"gradient_clip_val": 0.1, "accumulate_grad_batches": accumulated, "precision": "64-true"}
        data = {"batch_size": size, "blend": []}
        observed = fault("Observed", file=str(tmp_path / f"seen.{processes}.json"))
        config = write_config(
            folder,
            root,
            fault("InEvaluation"),
            observed,
            data=data,
            trainer=trainer,
            model={"learning_rate": 8.0},
        )
        assert run(config, processes=processes) == [0] * processes, said(folder)
        weights[processes] = last_checkpoint(folder)["state_dict"]
    torch.testing.assert_close(weights[2], weights[1], rtol=1e-9, atol=1e-12)
    norms = [norm for norm, _ in json.loads((tmp_path / "seen.1.json").read_text())["gradients"]]
    assert norms == pytest.approx([0.1] * len(norms), rel=1e-3)  # all are clipped
