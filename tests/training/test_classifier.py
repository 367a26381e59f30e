import logging
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.blocks import GlobalContextBlock
from gcvideo.cli import main
from gcvideo.clip import Unreadable, VideoRecord, ViewBatch
from gcvideo.training import HalfCosine, VideoClassifier
from tests.data.annotated import CLASS_NAMES, write_dataset
from tests.training.networks import ReadLogits, TwoLayers

NAMES = [f"class {k}" for k in range(8)]


def trainer(folder: Path, **settings) -> Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 0, "accelerator": "cpu", "devices": 1}
    return Trainer(default_root_dir=folder, **quiet | {"max_epochs": 1} | settings)


class Loader:
    """Batches that are there already; Lightning takes a list for several loaders."""

    def __init__(self, data: list[ViewBatch]) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[ViewBatch]:
        return iter(self.data)


def fit(run: Trainer, model: VideoClassifier, data: list[ViewBatch]) -> None:
    unblended = [batch._replace(target=torch.zeros(len(batch.views), dtype=torch.long)) for batch in data[:1]]
    run.fit(model, Loader(data), Loader(unblended))


def labels_of(num_videos: int, seed: int = 0) -> Tensor:
    """Unbalanced: most videos are of class 0."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 8, (num_videos,), generator=generator) ** 2 // 8


def batches(
    num_videos: int, *, num_views: int, batch_size: int, target: Tensor | None = None
) -> list[ViewBatch]:
    """Videos named v00.mp4, v01.mp4, ... in the order of their index times 7."""
    generator = torch.Generator().manual_seed(1)
    views = torch.randn(num_videos, num_views, 3, 2, 4, 4, generator=generator)
    target = labels_of(num_videos) if target is None else target
    names = [f"v{index * 7 % num_videos:02d}.mp4" for index in range(num_videos)]
    return [
        ViewBatch(views[part], target[part], [names[index] for index in part])
        for part in torch.arange(num_videos).split(batch_size)
    ]


def softmax_mean(batch: ViewBatch) -> Tensor:
    """Probabilities [B K] that ReadLogits gives, written out."""
    logits = batch.views.flatten(2)[..., :8].double()
    exponentials = logits.exp()
    return (exponentials / exponentials.sum(-1, keepdim=True)).mean(1)


@pytest.mark.parametrize(
    ("batch_size", "accumulated", "rate"), [(8, 1, 0.0125), (16, 1, 0.025), (8, 4, 0.05)]
)
def test_the_learning_rate_follows_the_global_batch_and_the_log_says_so(
    tmp_path, caplog, batch_size, accumulated, rate
):
    model = VideoClassifier(
        ReadLogits, NAMES, learning_rate=0.1, reference_batch_size=64, batch_size=batch_size
    )
    run = trainer(tmp_path, accumulate_grad_batches=accumulated)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        fit(run, model, batches(8, num_views=1, batch_size=2))
    (group,) = run.optimizers[0].param_groups  # a network without norms
    assert group["initial_lr"] == pytest.approx(rate)
    assert (
        f"peak learning rate {rate:.4g} = 0.1 * global batch {batch_size * accumulated} / 64" in caplog.text
    )


@pytest.mark.parametrize(
    ("scaling", "rate", "how"),
    [
        ("linear", 0.4, "0.1 * global batch 256 / 64"),
        ("sqrt", 0.2, "0.1 * sqrt(global batch 256 / 64)"),
        ("none", 0.1, "model.learning_rate at every global batch, here 256"),
    ],
)
def test_the_rule_by_which_the_rate_follows_the_batch_can_be_chosen(tmp_path, caplog, scaling, rate, how):
    model = VideoClassifier(ReadLogits, NAMES, batch_size=256, scale_learning_rate=scaling)
    run = trainer(tmp_path)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        fit(run, model, batches(8, num_views=1, batch_size=2))
    assert run.optimizers[0].param_groups[0]["initial_lr"] == pytest.approx(rate)
    assert f"peak learning rate {rate} = {how}" in caplog.text


class Rates(Callback):
    """The learning rate of every step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer, model, batch, batch_idx) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_the_rate_follows_the_schedule_at_every_step(tmp_path):
    rates, schedule = Rates(), HalfCosine(warmup_epochs=1.5, warmup_start=0.2)
    model = VideoClassifier(ReadLogits, NAMES, learning_rate=0.8, batch_size=64, lr_schedule=schedule)
    run = trainer(tmp_path, max_epochs=4, callbacks=[rates])
    fit(run, model, batches(10, num_views=1, batch_size=2))
    assert rates.seen == pytest.approx([0.8 * schedule(step / 5, 4.0) for step in range(20)])


def test_by_default_the_optimizer_is_sgd_with_nesterov_momentum_that_decays_no_norm(tmp_path):
    model = VideoClassifier(TwoLayers, NAMES)
    run = trainer(tmp_path)
    views = torch.randn(4, 1, 3, 4, 16, 16)
    fit(run, model, [ViewBatch(views, torch.tensor([0, 1, 2, 3]), list("abcd"))])
    (optimizer,) = run.optimizers
    assert isinstance(optimizer, torch.optim.SGD)
    settings = [(g["momentum"], g["nesterov"], g["weight_decay"]) for g in optimizer.param_groups]
    assert settings == [(0.9, True, 1e-4), (0.9, True, 0.0)]
    assert [len(group["params"]) for group in optimizer.param_groups] == [6, 4]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("blended", [False, True])
def test_the_loss_is_the_cross_entropy_with_smoothed_and_blended_targets(tmp_path, smoothing, blended):
    share = torch.nn.functional.one_hot(labels_of(6), 8).float()
    if blended:
        share = 0.7 * share + 0.3 * share.roll(1, 0)
    (batch,) = batches(6, num_views=1, batch_size=6, target=share if blended else None)
    model = VideoClassifier(
        ReadLogits, NAMES, loss=partial(nn.CrossEntropyLoss, label_smoothing=smoothing), learning_rate=0.0
    )
    run = trainer(tmp_path)
    fit(run, model, [batch])
    smoothed = (1 - smoothing) * share.double() + smoothing / 8
    expected = -(smoothed * softmax_mean(batch).log()).sum(1).mean()
    assert run.callback_metrics["train/loss"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("stage", ["val", "test"])
def test_metrics_equal_a_computation_by_hand(tmp_path, stage):
    data = batches(43, num_views=3, batch_size=5)
    run, model = trainer(tmp_path), VideoClassifier(ReadLogits, NAMES, views_per_forward=4)
    evaluate = {"val": run.validate, "test": run.test}[stage]
    (found,) = evaluate(model, Loader(data), verbose=False)

    probabilities = torch.cat([softmax_mean(batch) for batch in data])
    labels = labels_of(43)
    of_label = probabilities[range(43), labels]
    rank = (probabilities > of_label[:, None]).sum(1)
    per_class = [(rank[labels == k] == 0).double().mean() for k in labels.unique()]
    expected = {
        f"{stage}/top1": (rank == 0).double().mean().item(),
        f"{stage}/top5": (rank < 5).double().mean().item(),
        f"{stage}/mean_class": torch.stack(per_class).mean().item(),
        f"{stage}/loss": -of_label.log().mean().item(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert len({round(value, 3) for value in expected.values()}) == 4


def unreadable(*names: str) -> tuple[Unreadable, ...]:
    return tuple(Unreadable(VideoRecord(Path("/v") / name, 3, name), "is empty") for name in names)


def test_unreadable_test_videos_are_rows_and_both_figures_are_given(tmp_path):
    read = batches(23, num_views=2, batch_size=4)
    data = [batch._replace(unreadable=unreadable(f"x{n}.mp4")) for n, batch in enumerate(read)]
    nothing = ViewBatch(read[0].views[:0], read[0].target[:0], [], unreadable("y0.mp4", "y1.mp4"))
    run, model = trainer(tmp_path), VideoClassifier(ReadLogits, NAMES)
    (expected,) = run.test(model, Loader(read), verbose=False)
    (found,) = run.test(model, Loader([nothing, *data, nothing]), verbose=False)
    assert (expected["test/videos"], expected["test/unreadable"]) == (23, 0)
    assert (found["test/videos"], found["test/unreadable"]) == (33, 10)
    for name in ("test/top1", "test/top5"):
        assert found[name] == expected[name] == expected[f"{name}_unreadable_wrong"]
        assert found[f"{name}_unreadable_wrong"] * 33 == pytest.approx(expected[name] * 23)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert len(table) == 33
    assert table["unreadable"].count() == 10
    assert table["prediction"].count() == 23


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
def test_a_test_none_of_whose_videos_can_be_read_is_an_error_and_leaves_the_table(tmp_path):
    (read,) = batches(4, num_views=1, batch_size=4)
    nothing = ViewBatch(read.views[:0], read.target[:0], [], unreadable("a.mp4", "b.mp4"))
    with pytest.raises(ValueError, match=r"none of the 2 test videos could be read; see predictions\.csv"):
        trainer(tmp_path).test(VideoClassifier(ReadLogits, NAMES), Loader([nothing]), verbose=False)
    assert pd.read_csv(tmp_path / "predictions.csv")["unreadable"].tolist() == ["is empty"] * 2


def test_a_training_video_that_could_not_be_read_weighs_nothing(tmp_path):
    (batch,) = batches(6, num_views=1, batch_size=6)
    model = VideoClassifier(ReadLogits, NAMES, learning_rate=0.0)
    run = trainer(tmp_path)
    fit(run, model, [batch._replace(unreadable=unreadable("x.mp4", "y.mp4"))])
    of_label = softmax_mean(batch)[range(6), batch.target]
    assert run.callback_metrics["train/loss"].item() == pytest.approx(-of_label.log().sum().item() / 8)


def test_a_second_validation_does_not_remember_the_first(tmp_path):
    run, model = trainer(tmp_path), VideoClassifier(ReadLogits, NAMES)
    data = batches(20, num_views=1, batch_size=5)
    (first,) = run.validate(model, Loader(data[:2]), verbose=False)
    run.validate(model, Loader(data[2:]), verbose=False)
    (again,) = run.validate(model, Loader(data[:2]), verbose=False)
    assert again == first


def test_a_test_writes_every_video_once_and_sorted(tmp_path, caplog):
    data = batches(23, num_views=2, batch_size=4)
    run, model = trainer(tmp_path), VideoClassifier(ReadLogits, NAMES)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        for _ in range(2):  # the second test replaces the table
            run.test(model, Loader(data), verbose=False)
    assert f"wrote 23 rows to {tmp_path / 'predictions.csv'}" in caplog.text
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table["video"].tolist() == [f"v{index:02d}.mp4" for index in range(23)]
    rows = table.set_index("video")
    for batch in data:
        for name, label, probabilities in zip(batch.video_id, batch.target, softmax_mean(batch), strict=True):
            row = rows.loc[name]
            assert row["label"] == NAMES[label]
            assert row["prediction"] == NAMES[probabilities.argmax()]
            assert row["probability"] == pytest.approx(probabilities.max().item(), abs=2e-6)


@pytest.mark.parametrize("stage", ["val", "test"])
def test_a_video_with_another_number_of_views_is_an_error(tmp_path, stage):
    data = batches(8, num_views=3, batch_size=4)
    wrong = data[1]._replace(views=data[1].views[:, :2])
    run, model = trainer(tmp_path), VideoClassifier(ReadLogits, NAMES)
    evaluate = {"val": run.validate, "test": run.test}[stage]
    evaluate(model, Loader(data), verbose=False)
    evaluate(model, Loader([wrong]), verbose=False)
    message = rf"{wrong.video_id[0]} has 2 views, and the videos before it 3; expected the same views"
    with pytest.raises(ValueError, match=message):
        evaluate(model, Loader([data[0], wrong]), verbose=False)


def test_the_networks_weights_are_channels_last_only_where_asked():
    def layout(**settings) -> bool:
        weight = VideoClassifier(TwoLayers, NAMES, **settings).network.first.weight
        return weight.is_contiguous(memory_format=torch.channels_last_3d)

    assert layout()
    assert not layout(channels_last=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views_per_forward": 0}, "views_per_forward is 0; expected at least 1"),
        ({"loss": partial(nn.Linear, 1, 1)}, "model.loss is Linear, which has weights to train"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        VideoClassifier(ReadLogits, NAMES, **settings)


def test_a_schedule_without_an_end_is_refused(tmp_path):
    run = trainer(tmp_path, max_epochs=-1)
    with pytest.raises(
        ValueError, match="the schedule needs the length of the run; give the trainer max_epo"
    ):
        fit(run, VideoClassifier(ReadLogits, NAMES), batches(4, num_views=1, batch_size=2))


@pytest.mark.parametrize("max_epochs", [-1, 10])
def test_max_steps_ends_the_schedule_and_leaves_epochs_their_length(tmp_path, max_epochs):
    """Three steps, two of them an epoch: the warm-up ends after one epoch, the run after one and a half."""
    rates = Rates()
    run = trainer(tmp_path, max_epochs=max_epochs, max_steps=3, callbacks=[rates])
    schedule = HalfCosine(warmup_epochs=1.0, warmup_start=0.0)
    model = VideoClassifier(ReadLogits, NAMES, learning_rate=64.0, batch_size=1, lr_schedule=schedule)
    fit(run, model, batches(4, num_views=1, batch_size=2))
    after_warm_up = (1 + math.cos(math.pi / 1.5)) / 2
    assert rates.seen == pytest.approx([0.0, after_warm_up / 2, after_warm_up], abs=1e-9)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """Written by the command; nothing else of the run is there any more."""
    folder = tmp_path_factory.mktemp("run")
    root = write_dataset(folder / "data", train=6, val=3, test=1)
    small = "{num_clips: 1, num_crops: 1, short_side: 32, crop_size: 32}"
    network = "--model.network.init_args"
    main(
        [
            "fit",
            *("--data.root", str(root)),
            *("--data.clip", "{num_frames: 2, stride: 2}"),
            *("--data.train_transform", "gcvideo.data.ScaleJitter"),
            *("--data.train_transform.init_args.crop_size", "32"),
            *("--data.train_transform.init_args.min_short_side", "32"),
            *("--data.train_transform.init_args.max_short_side", "40"),
            *("--data.val_views", small),
            *("--data.batch_size", "3"),
            *("--data.num_workers", "0"),
            *("--model.network", "gcvideo.backbones.VideoResNet"),
            *(f"{network}.width", "0.0625"),
            *(f"{network}.block", "gcvideo.blocks.GlobalContextBlock"),
            *(f"{network}.placement", "{res4: [1, 3], position: after_add}"),
            *("--model.learning_rate", "1.0"),
            *("--trainer.accelerator", "cpu"),
            *("--trainer.max_epochs", "2"),
            *("--trainer.logger", "false"),
            *("--trainer.enable_progress_bar", "false"),
            *("--run_dir", str(folder / "run")),
        ]
    )
    kept = folder / "kept.ckpt"
    (folder / "run/checkpoints/last.ckpt").rename(kept)
    (root / "classes.txt").unlink()
    return kept


def test_a_checkpoint_alone_gives_back_the_classifier(checkpoint):
    loaded = VideoClassifier.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True).eval()
    assert loaded.class_names == CLASS_NAMES

    network = VideoResNet(
        3, width=0.0625, block=GlobalContextBlock, placement=Placement(res4=[1, 3], position="after_add")
    )
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in state.items()})
    views = torch.randn(2, 3, 3, 2, 32, 32)
    with torch.no_grad():
        expected = network.eval()(views.flatten(0, 1)).softmax(-1).unflatten(0, (2, 3)).mean(1)
        found = loaded(views)
    assert expected.std(0).max() > 1e-5
    torch.testing.assert_close(found, expected)


def test_a_checkpoint_holds_its_whole_configuration(checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    model, data = content["hyper_parameters"], content["datamodule_hyper_parameters"]
    assert model["network"]["init_args"]["width"] == 0.0625
    assert model["network"]["init_args"]["placement"]["res4"] == [1, 3]
    assert model["learning_rate"] == 1.0
    clip = {
        "num_frames": 2,
        "stride": 2,
        "spacing": "stride",
        "target_fps": None,
        "past_end": "hold",
        "align": 1,
    }
    assert data["clip"] == clip
    assert data["val_views"]["crop_size"] == 32
