"""Statistics over a number of clips: PySlowFast's formula, and one meaning on one process and two."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from gcvideo.cli import main
from gcvideo.training.batch_norm import BatchNormOver, SplitBatchNorm
from tests.data.annotated import write_dataset
from tests.training.runs import batches, last_checkpoint, run, said, same_values, write_config


class SubBatchNorm(nn.Module):
    """PySlowFast's SubBatchNorm3d, written out: one norm of S C channels without affine, then one affine."""

    def __init__(self, channels: int, splits: int, momentum: float) -> None:
        super().__init__()
        self.splits = splits
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.split = nn.BatchNorm3d(channels * splits, affine=False, momentum=momentum)

    def forward(self, clips: Tensor) -> Tensor:
        n, c, *positions = clips.shape
        split = clips.reshape(n // self.splits, c * self.splits, *positions)
        normalised = self.split(split).reshape(clips.shape)
        return normalised * self.weight.view(-1, 1, 1, 1) + self.bias.view(-1, 1, 1, 1)

    def aggregated(self) -> tuple[Tensor, Tensor]:
        means, variances = (
            b.view(self.splits, -1) for b in (self.split.running_mean, self.split.running_var)
        )
        mean = means.sum(0) / self.splits
        return mean, variances.sum(0) / self.splits + (means - mean).square().sum(0) / self.splits


@settings(max_examples=20, deadline=None)
@given(
    splits=st.sampled_from([1, 2, 4]),
    momentum=st.sampled_from([0.1, 1.0]),
    steps=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_splits_are_pyslowfasts(splits, momentum, steps, seed):
    torch.manual_seed(seed)
    theirs = SubBatchNorm(3, splits, momentum)
    ours = SplitBatchNorm(nn.BatchNorm3d(3, momentum=momentum), splits)
    weight, bias = torch.randn(2, 3).unbind()
    for norm in (theirs, ours):
        norm.weight.data.copy_(weight)
        norm.bias.data.copy_(bias)
    for _ in range(steps):
        clips = (torch.randn(8, 3, 2, 4, 4) * 3 + torch.randn(8, 1, 1, 1, 1)).to(
            memory_format=torch.channels_last_3d
        )
        inputs = [clips.clone().requires_grad_() for _ in range(2)]
        outputs = [norm(given) for norm, given in zip((theirs, ours), inputs, strict=True)]
        torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-4, atol=1e-5)
        assert outputs[1].is_contiguous(memory_format=torch.channels_last_3d)
        upstream = torch.randn_like(clips)
        for output in outputs:
            output.backward(upstream)
        torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.bias.grad, theirs.bias.grad, rtol=1e-4, atol=1e-4)
    mean, variance = theirs.aggregated()
    torch.testing.assert_close(ours.running_mean, mean)
    if momentum == 1.0 or splits == 1:  # else they take the variance of means that were averaged over steps
        torch.testing.assert_close(ours.running_var, variance)


def test_a_batch_that_lacks_clips_is_split_as_far_as_it_goes():
    norm = SplitBatchNorm(nn.BatchNorm3d(2, affine=False), 4)
    clips = torch.randn(6, 2, 1, 3, 3)
    found = norm(clips)
    for k, members in enumerate(([0, 4], [1, 5], [2], [3])):
        part = clips[members]
        mean, variance = part.mean((0, 2, 3, 4)), part.var((0, 2, 3, 4), correction=0)
        expected = (part - mean.view(-1, 1, 1, 1)) / (variance.view(-1, 1, 1, 1) + 1e-5).sqrt()
        torch.testing.assert_close(found[members], expected, msg=f"split {k}")
    assert norm(clips[:0]).shape == (0, 2, 1, 3, 3)


def over(clips: int) -> dict:
    return {"class_path": "gcvideo.training.BatchNormOver", "init_args": {"clips": clips}}


FROZEN = {"class_path": "gcvideo.training.FrozenBatchNorm"}
PRECISE = {"class_path": "gcvideo.training.PreciseBatchNorm"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", train=16, val=2, test=2)


def test_one_process_with_splits_trains_as_two_without(tmp_path, root):
    """Split k of 2 holds the clips that process k of 2 has."""
    model = {"network": {"class_path": "tests.training.networks.TwoLayers"}, "learning_rate": 1.0}
    ends, losses = [], []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        trainer = {"callbacks": [over(4), {"class_path": "tests.training.faults.NothingDropped"}]}
        data = {"batch_size": 8 // processes, "blend": []}
        config = write_config(folder, root, trainer=trainer, data=data, model=model)
        assert run(config, processes=processes) == [0] * processes, said(folder)
        steps = batches(folder)
        losses.append(
            [
                sum(float.fromhex(steps[rank, step]["loss"]) for rank in range(processes)) / processes
                for step in range(1, 5)
            ]
        )
        ends.append(last_checkpoint(folder)["state_dict"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for name, value in ends[0].items():
        if "running" not in name:  # of several processes those of the first are kept
            torch.testing.assert_close(ends[1][name], value, rtol=1e-4, atol=1e-6, msg=name)
    assert "statistics over 4 of the 8 clips of a process" in said(tmp_path / "1")


def test_frozen_norms_keep_their_statistics_and_train_their_weights(tmp_path, root):
    config = write_config(tmp_path, root, FROZEN, model={"learning_rate": 1.0})
    assert run(config) == [0], said(tmp_path)
    state = last_checkpoint(tmp_path)["state_dict"]
    assert same_values(state["network.first_norm.running_mean"], torch.zeros(4))
    assert same_values(state["network.first_norm.running_var"], torch.ones(4))
    assert not same_values(state["network.first_norm.weight"], torch.ones(4))


@pytest.mark.parametrize(
    ("callbacks", "settings", "message"),
    [
        ([over(3)], {"batch_size": 8}, "clips 3, and a process 8, which cannot be split into so many"),
        ([over(8)], {"batch_size": 2}, "clips 8, and each of 1 processes 2, which form no groups"),
        ([FROZEN, PRECISE], {}, "FrozenBatchNorm and PreciseBatchNorm, which both decide"),
        ([over(2), FROZEN], {}, "BatchNormOver and FrozenBatchNorm, which both decide"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, root, capsys, callbacks, settings, message):
    config = write_config(tmp_path, root, trainer={"callbacks": callbacks}, data=settings)
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(config)])
    assert message in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "record").exists()


def test_no_clips_are_refused():
    with pytest.raises(ValueError, match="BatchNormOver has clips 0; expected at least 1"):
        BatchNormOver(0)


def test_processes_on_the_cpu_cannot_form_groups(tmp_path, root):
    config = write_config(tmp_path, root, trainer={"callbacks": [over(4)]}, data={"batch_size": 2})
    assert 0 not in run(config, processes=2)
    assert "torch lets only those on GPUs share statistics; give clips 2, or data.batch_size 4" in said(
        tmp_path
    )
