import copy
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from lightning.pytorch import Callback, Trainer
from torch import nn

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.checkpoints import Weights, write_state
from gcvideo.blocks import GlobalContextBlock
from gcvideo.clip import ViewBatch
from gcvideo.training import FreezeStages, VideoClassifier
from gcvideo.training.finetuning import scaled_by_depth
from gcvideo.training.optimisation import parameter_groups
from tests.training.networks import TwoLayers

NAMES = ["one", "two", "three"]
NETWORK = partial(
    VideoResNet, width=4 / 64, block=GlobalContextBlock, placement=Placement(res3=[1], res4=[2])
)


class Loader:
    """Two batches of noise."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[ViewBatch]:
        generator = torch.Generator().manual_seed(0)
        for _ in range(2):
            views = 1 + torch.randn(3, 1, 3, 2, 32, 32, generator=generator)
            yield ViewBatch(views, torch.tensor([0, 1, 2]), ["a", "b", "c"])


def fit(model: VideoClassifier, folder: Path, *callbacks: Callback, **settings) -> Trainer:
    ckpt_path = settings.pop("ckpt_path", None)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 1, "accelerator": "cpu", "devices": 1}
    quiet |= {"max_epochs": 2, "val_check_interval": 1}
    run = Trainer(default_root_dir=folder, callbacks=list(callbacks), **quiet | settings)
    run.fit(model, Loader(), Loader(), ckpt_path=ckpt_path, weights_only=False)
    return run


def changed(model: VideoClassifier, before: dict[str, torch.Tensor]) -> set[str]:
    """Keys of the network that training changed."""
    after = model.network.state_dict()
    return {key for key in after if not torch.equal(after[key], before[key])}


def classifier(**settings) -> VideoClassifier:
    torch.manual_seed(0)
    return VideoClassifier(NETWORK, NAMES, **{"learning_rate": 1.0, "batch_size": 64, **settings})


@pytest.mark.parametrize("context_blocks", ["frozen", "trained"])
def test_frozen_stages_keep_weights_and_statistics_and_the_others_do_not(tmp_path, caplog, context_blocks):
    model = classifier()
    before = copy.deepcopy(model.network.state_dict())
    freeze = FreezeStages(["stem", "res2", "res3"], context_blocks=context_blocks)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        fit(model, tmp_path, freeze)
    assert "stem, res2, res3 frozen: 0.0" in caplog.text
    moved = changed(model, before)
    frozen = {key for key in before if key.startswith(("blocks.0.", "blocks.1.", "blocks.2."))}
    blocks = {key for key in frozen if ".context." in key}
    assert blocks
    assert moved & frozen <= (blocks if context_blocks == "trained" else set())
    assert bool(moved & blocks) == (context_blocks == "trained")
    for part in ("running_mean", "running_var", "num_batches_tracked", "conv_b.weight", "conv_a.weight"):
        assert any(key.endswith(part) for key in moved)


def test_without_freezing_the_statistics_of_the_same_stages_move(tmp_path):
    model = classifier()
    before = copy.deepcopy(model.network.state_dict())
    fit(model, tmp_path)
    assert {"blocks.0.norm.running_mean", "blocks.0.conv.weight"} <= changed(model, before)


def test_frozen_stages_are_in_no_group_of_the_optimizer(tmp_path):
    model = classifier()
    run = fit(model, tmp_path, FreezeStages(["stem", "res2", "res3", "res4", "res5"]))
    trained = [p for group in run.optimizers[0].param_groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in model.network.blocks[-1].parameters()}


def test_freezing_nothing_or_an_unknown_network_is_refused(tmp_path):
    with pytest.raises(ValueError, match="stages is empty; name some of stem"):
        FreezeStages([])
    with pytest.raises(
        ValueError, match="FreezeStages takes a network by its stages, and TwoLayers does not show them"
    ):
        fit(VideoClassifier(TwoLayers, NAMES), tmp_path, FreezeStages(["stem"]))


def test_the_learning_rate_falls_with_every_stage_before_the_head(tmp_path):
    model = classifier(learning_rate=0.64, batch_size=64, layer_decay=0.5)
    run = fit(model, tmp_path, max_epochs=1)
    stages = {"blocks.5.": 0.64, "blocks.4.": 0.32, "blocks.3.": 0.16, "blocks.2.": 0.08}
    stages |= {"blocks.1.": 0.04, "blocks.0.": 0.02}
    names = {id(parameter): name for name, parameter in model.network.named_parameters()}
    seen = set()
    for group in run.optimizers[0].param_groups:
        for parameter in group["params"]:
            name = names[id(parameter)]
            seen.add(name)
            assert group["initial_lr"] == pytest.approx(stages[name[:9]]), name
            norm = "norm" in name
            assert group["weight_decay"] == (0.0 if norm else 1e-4), name
    assert seen == set(names.values())


def test_without_decay_the_groups_are_those_of_before():
    network = NETWORK(3)
    groups = parameter_groups(network)
    scaled = scaled_by_depth(groups, network, peak=0.3, layer_decay=1.0)
    assert [group | {"lr": 0.3} for group in groups] == scaled


def test_a_parameter_of_no_stage_has_the_peak():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network.temperature = nn.Parameter(torch.ones(()))
    groups = [{"params": list(network.named_parameters())}]
    rates = {
        id(p): group["lr"]
        for group in scaled_by_depth(groups, network, peak=1.0, layer_decay=0.5)
        for _, p in group["params"]
    }
    assert [rates[id(p)] for p in network.parameters()] == [1.0, 0.5, 0.5, 1.0, 1.0]


def test_a_transformers_rates_are_those_of_pyslowfast_and_videomae():
    """decay^(DEPTH + 1 - id): id 0 of embeddings, i + 1 of block i, DEPTH + 1 of what stands behind them."""
    depth, decay, peak = 12, 0.75, 2e-3

    def layer_id(name: str) -> int:
        if name in ("cls_token", "mask_token", "pos_embed") or name.startswith("patch_embed"):
            return 0
        return int(name.split(".")[1]) + 1 if name.startswith("blocks") else depth + 1

    def rates(network: nn.Module) -> dict[str, float]:
        groups = scaled_by_depth(parameter_groups(network), network, peak=peak, layer_decay=decay)
        return {name: group["lr"] for group in groups for name, _ in group["params"]}

    with torch.device("meta"):
        vit = timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=3)
        mvit = torchvision.models.video.mvit_v2_s(num_classes=3)
    of_vit, of_mvit = rates(vit), rates(mvit)
    assert of_vit.keys() == dict(vit.named_parameters()).keys()
    for name, rate in of_vit.items():
        assert rate == pytest.approx(peak * decay ** (depth + 1 - layer_id(name)), rel=1e-12), name
    distances = {"conv_proj.weight": 17, "blocks.0.norm1.weight": 16, "blocks.15.mlp.0.weight": 1}
    distances |= {"norm.weight": 0, "head.1.weight": 0}
    for name, distance in distances.items():
        assert of_mvit[name] == pytest.approx(peak * decay**distance, rel=1e-12), name


@pytest.mark.parametrize("layer_decay", [0.0, 1.5])
def test_a_decay_out_of_range_is_refused(layer_decay):
    with pytest.raises(ValueError, match=f"layer_decay is {layer_decay}; expected more than 0, up to 1"):
        classifier(layer_decay=layer_decay)


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    torch.manual_seed(7)
    write_state(tmp_path / "weights.safetensors", NETWORK(5).state_dict())
    return Weights(tmp_path / "weights.safetensors", new=["head"])


def stem(model: VideoClassifier) -> torch.Tensor:
    return model.network.blocks[0].conv.weight.detach().clone()


def test_a_run_starts_from_the_weights_and_a_validation_has_them(tmp_path, weights):
    torch.manual_seed(7)
    expected = NETWORK(5).blocks[0].conv.weight
    model = classifier(weights=weights)
    assert not torch.equal(stem(model), expected)
    Trainer(default_root_dir=tmp_path, logger=False, enable_progress_bar=False, accelerator="cpu").validate(
        model, Loader(), verbose=False
    )
    assert torch.equal(stem(model), expected)


def test_a_checkpoint_needs_the_weights_no_more(tmp_path, weights):
    model = classifier(weights=weights)
    run = fit(model, tmp_path, max_epochs=1)
    run.save_checkpoint(tmp_path / "tuned.ckpt")
    weights.path.unlink()

    reloaded = VideoClassifier.load_from_checkpoint(tmp_path / "tuned.ckpt", weights_only=False)
    assert torch.equal(stem(reloaded), stem(model))
    fit(reloaded, tmp_path, max_epochs=1)  # trains on from there

    resumed = classifier(weights=weights)
    fit(resumed, tmp_path, max_epochs=2, ckpt_path=tmp_path / "tuned.ckpt")
    assert not torch.equal(stem(resumed), stem(model))
    with pytest.raises(ValueError, match="no such file of weights"):
        fit(classifier(weights=weights), tmp_path)


def test_a_second_run_of_one_object_goes_on_where_the_first_ended(tmp_path, weights):
    model = classifier(weights=weights)
    fit(model, tmp_path, max_epochs=1)
    trained = stem(model)
    Trainer(default_root_dir=tmp_path, logger=False, enable_progress_bar=False, accelerator="cpu").validate(
        model, Loader(), verbose=False
    )
    assert torch.equal(stem(model), trained)
