import logging
import threading
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, LambdaCallback
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gcvideo.data import ClipFrames, EvaluationViews, ScaleJitter, VideoDataModule
from gcvideo.training import PreciseBatchNorm, VideoClassifier
from gcvideo.training.precise_bn import _over_processes, in_working_order
from tests.data.annotated import CLASS_NAMES, write_dataset
from tests.training.networks import ReadLogits, TwoLayers


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=9, val=2, test=1)


@pytest.fixture
def data(root) -> VideoDataModule:
    return VideoDataModule(
        root,
        clip=ClipFrames(num_frames=4, stride=2),
        train_transform=ScaleJitter(crop_size=24, min_short_side=24, max_short_side=40),
        val_views=EvaluationViews(1, 1, short_side=24, crop_size=24),
        blend=["mixup", "cutmix"],
        batch_size=2,
        num_workers=0,
    )


def classifier() -> VideoClassifier:
    torch.manual_seed(0)
    return VideoClassifier(TwoLayers, CLASS_NAMES, learning_rate=1.0, batch_size=8)


def trainer(folder: Path, *callbacks: Callback, **settings) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "accelerator": "cpu", "devices": 1}
    quiet |= {"max_epochs": 1, "use_distributed_sampler": False}
    return Trainer(default_root_dir=folder, callbacks=list(callbacks), **quiet | settings)


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance per channel of [B C T H W]."""
    flat = features.double().movedim(1, 0).flatten(1)
    return flat.mean(1), flat.var(1, unbiased=False)


@torch.no_grad()
def statistics_of(network: TwoLayers, data: VideoDataModule, num_batches: int) -> list[Tensor]:
    """Of the inputs of both norms over the batches; within a batch the first norm uses the batch's own."""
    inputs = [], []
    for _, clips in zip(range(num_batches), data.train_dataloader(), strict=False):
        views = (clips.frames[:, 0].double() / 255 - 0.45) / 0.225
        first = network.first(views.movedim(-1, 1).float())
        inputs[0].append(first)
        norm = network.first_norm
        hidden = F.batch_norm(first, None, None, norm.weight, norm.bias, training=True).relu()
        inputs[1].append(network.second(hidden))
    return [moment for batches in inputs for moment in moments(torch.cat(batches))]


def statistics_in(network: TwoLayers) -> list[Tensor]:
    norms = network.first_norm, network.second_norm
    return [buffer.clone() for norm in norms for buffer in (norm.running_mean, norm.running_var)]


@pytest.mark.parametrize(("num_batches", "used"), [(1, 1), (3, 3), (200, 4)])
def test_statistics_are_those_of_the_training_batches_together(tmp_path, data, caplog, num_batches, used):
    model = classifier()
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        trainer(tmp_path, PreciseBatchNorm(num_batches)).fit(model, data)
    expected = statistics_of(model.network, data, used)
    for found, exact in zip(statistics_in(model.network), expected, strict=True):
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-5)
    assert f"precise batch norm: 2 layers estimated from {used} training batches" in caplog.text


def test_without_it_statistics_are_rough(tmp_path, data):
    """What the test above would say of running averages."""
    model = classifier()
    trainer(tmp_path).fit(model, data)
    expected = statistics_of(model.network, data, 4)
    assert any(
        (a - b).abs().max() > 0.01 for a, b in zip(statistics_in(model.network), expected, strict=True)
    )


def test_the_run_trains_exactly_as_one_without(tmp_path, data):
    def weights(*callbacks: Callback) -> list[Tensor]:
        model = classifier()
        torch.manual_seed(1)  # dropout and blending draw from it
        trainer(tmp_path, *callbacks, max_epochs=3, val_check_interval=2).fit(model, data)
        return [parameter.detach() for parameter in model.parameters()]

    for plain, precise in zip(weights(), weights(PreciseBatchNorm()), strict=True):
        assert torch.equal(plain, precise)


class Watch(Callback):
    """What the norms are at the moments that matter."""

    def __init__(self) -> None:
        self.training = set()
        self.validating = set()
        self.buffers = set()
        self.at_start: list[Tensor] = []

    def on_train_start(self, trainer, model):
        self.at_start = statistics_in(model.network)

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        self.training |= {module.training for module in model.network.modules()}
        self.buffers |= {(id(buffer), buffer.is_inference()) for buffer in model.network.buffers()}

    def on_validation_batch_start(self, trainer, model, batch, batch_idx):
        self.validating |= {module.training for module in model.network.modules()}


def test_modes_momentum_and_buffers_are_as_before(tmp_path, data):
    watch, model = Watch(), classifier()
    buffers = {(id(buffer), False) for buffer in model.network.buffers()}
    trainer(tmp_path, PreciseBatchNorm(), watch, max_epochs=3).fit(model, data)
    assert (watch.training, watch.validating) == ({True}, {False})
    assert watch.buffers == buffers
    assert model.network.first_norm.momentum == 0.1


def test_neither_the_sanity_check_nor_a_validation_alone_changes_statistics(tmp_path, data):
    watch, model = Watch(), classifier()
    fresh = statistics_in(model.network)
    run = trainer(tmp_path, PreciseBatchNorm(), watch, num_sanity_val_steps=1)
    run.validate(model, data, verbose=False)
    assert all(torch.equal(a, b) for a, b in zip(statistics_in(model.network), fresh, strict=True))
    run.fit(model, data)
    assert all(torch.equal(a, b) for a, b in zip(watch.at_start, fresh, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(statistics_in(model.network), fresh, strict=True))


def test_a_network_without_batch_norm_reads_nothing(tmp_path, data, monkeypatch):
    made = []
    loader = data.train_dataloader
    monkeypatch.setattr(data, "train_dataloader", lambda: made.append(1) or loader())
    trainer(tmp_path, PreciseBatchNorm()).fit(VideoClassifier(ReadLogits, CLASS_NAMES), data)
    assert made == [1]


def test_loaders_without_a_data_module_are_refused(tmp_path, data):
    data.blend = []
    views = nn.Module()
    views.transform = data.device_transform(training=False)
    train, val = (
        DataLoader([views.transform(clips) for clips in loader], batch_size=None)
        for loader in (data.train_dataloader(), data.val_dataloader())
    )
    with pytest.raises(ValueError, match="PreciseBatchNorm makes a training loader of its own; give the"):
        trainer(tmp_path, PreciseBatchNorm()).fit(classifier(), train, val)


def test_no_batches_are_refused():
    with pytest.raises(ValueError, match="num_batches is 0; expected at least 1"):
        PreciseBatchNorm(0)


def test_processes_together_know_the_moments_of_all_they_saw():
    """Three processes, played by threads that meet at every mean."""
    num_processes = 3
    features = (
        torch.randn(num_processes, 4, 5, 2, 3, 3) * torch.arange(1.0, 4.0)[:, None, None, None, None, None]
    )
    features += torch.arange(0.0, 30.0, 10.0)[:, None, None, None, None, None]
    meeting = threading.Barrier(num_processes)
    given: list[Tensor] = [torch.empty(0)] * num_processes
    results: list[tuple[Tensor, Tensor]] = [(torch.empty(0), torch.empty(0))] * num_processes

    class OneOfThem(SingleDeviceStrategy):
        def __init__(self, rank: int) -> None:
            super().__init__()
            self.rank = rank

        def reduce(self, tensor, *args, reduce_op, **kwargs):
            assert reduce_op == "mean"
            given[self.rank] = tensor.clone()
            meeting.wait()
            mean = torch.stack(given).mean(0)
            meeting.wait()
            return tensor.copy_(mean)  # in place, as a distributed one may

    def process(rank: int) -> None:
        mean, variance = moments(features[rank])
        results[rank] = _over_processes(mean, variance, OneOfThem(rank))

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(num_processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    expected = moments(features.flatten(0, 1))
    for found in results:
        torch.testing.assert_close(found, expected)


def test_weights_are_averaged_before_statistics_are_estimated_however_callbacks_are_named() -> None:
    first, last, average, other = (
        PreciseBatchNorm(7),
        PreciseBatchNorm(9),
        EMAWeightAveraging(),
        LambdaCallback(),
    )
    for named in ([first, other, average, last], [first, other, last, average], [average, other, last]):
        assert in_working_order(named) == [average, other, last]
    assert in_working_order([other]) == [other]
    assert in_working_order([]) == []


def test_averaging_behind_it_is_refused_where_a_trainer_is_made_by_hand(data, tmp_path) -> None:
    with pytest.raises(ValueError, match="PreciseBatchNorm stands before the averaging of weights"):
        trainer(tmp_path, PreciseBatchNorm(2), EMAWeightAveraging()).fit(classifier(), data)
