import logging
import os
import stat
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ResNet, resnet50
from torchvision.models.resnet import Bottleneck

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.checkpoints import (
    NAMINGS,
    Weights,
    load_exactly,
    load_weights,
    read_checkpoint,
    recognise,
    write_state,
)
from gcvideo.backbones.checkpoints.folding import fold_batch_norms
from gcvideo.blocks import GlobalContextBlock, NonLocalBlock, SqueezeExcitationBlock
from tests.parity.weights import with_every_layer_mattering

WIDTH = 4 / 64
FIVE = Placement(res3=[1, 3], res4=[1, 3, 5])


def network(num_classes: int = 5, **settings) -> VideoResNet:
    return VideoResNet(num_classes, **{"width": WIDTH, **settings})


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_a_difference_is_listed_whole_and_nothing_is_loaded():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 4))
    before = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    state = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(3), "2.weight": torch.ones(5, 3)}
    state |= {"2.bias": torch.ones(5), "old.weight": torch.ones(1), "old.bias": torch.ones(1)}
    with pytest.raises(ValueError, match="nothing was loaded") as refused:
        load_exactly(net, state)
    assert str(refused.value).splitlines() == [
        "nothing was loaded: of 6 tensors, 2 missing, 2 unexpected, 2 of another shape",
        "  missing: 1.weight",
        "  missing: 1.bias",
        "  unexpected: old.weight",
        "  unexpected: old.bias",
        "  of another shape: 2.weight: the file has [5, 3], the network [4, 3]",
        "  of another shape: 2.bias: the file has [5], the network [4]",
    ]
    assert equal(before, net.state_dict())


def test_a_declared_difference_is_loaded_and_one_declared_in_vain_is_not():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    fresh = net[1].weight.clone()
    state = {"0.weight": torch.ones(3, 2), "0.bias": torch.ones(3)}
    load_exactly(net, state, expected_missing=["1.weight", "1.bias"])
    assert torch.equal(net[0].weight, state["0.weight"])
    assert torch.equal(net[1].weight, fresh)
    with pytest.raises(ValueError, match=r"unexpected: 0.bias"):
        load_exactly(net, state, expected_missing=["1.weight", "1.bias", "0.bias"])


def test_weights_of_less_precision_are_said_to_become_the_networks(caplog):
    net = nn.Linear(2, 3)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_exactly(net, {key: tensor.half() for key, tensor in net.state_dict().items()})
    assert "weights of torch.float16 become those of the network" in caplog.text


def test_our_checkpoint_gives_a_network_of_other_classes_everything_but_the_head(tmp_path, caplog):
    source, target = network(8), network(3)
    state = {f"network.{key}": tensor for key, tensor in source.state_dict().items()}
    path = saved(tmp_path / "best.ckpt", {"state_dict": state, "epoch": 3})
    head = target.blocks[-1].proj.weight.clone()
    with pytest.raises(ValueError, match=r"the head is of 8 classes; weights.new: \[head\] starts a new one"):
        load_weights(target, Weights(path))
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(target, Weights(path, new=["head"]))
    assert torch.equal(target.blocks[-1].proj.weight, head)
    body = [key for key in target.state_dict() if "proj" not in key]
    assert all(torch.equal(target.state_dict()[key], source.state_dict()[key]) for key in body)
    assert "2 (head) start fresh" in caplog.text


def test_a_network_with_new_non_local_blocks_starts_as_the_one_without(tmp_path):
    source = with_every_layer_mattering(network())
    path = saved(tmp_path / "slow.pth", source.state_dict())
    target = network(block=NonLocalBlock, placement=FIVE)
    with pytest.raises(ValueError, match=r"the context blocks differ; weights.new: \[blocks\]"):
        load_weights(target, Weights(path))
    load_weights(target, Weights(path, new=["blocks"]))
    view = torch.randn(1, 3, 2, 64, 64)
    with torch.inference_mode():
        assert torch.equal(target.eval()(view), source(view))


def test_blocks_of_another_kind_are_left_behind_where_that_was_declared(tmp_path, caplog):
    source = network(block=GlobalContextBlock, placement=FIVE)
    path = saved(tmp_path / "gc.pth", source.state_dict())
    target = network(block=NonLocalBlock, placement=Placement(res4=[0]))
    with pytest.raises(ValueError, match=r"unexpected: blocks.2.res_blocks.1.context.context.key.weight"):
        load_weights(target, Weights(path))
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(target, Weights(path, new=["blocks"]))
    assert "40 (blocks) of the file left behind" in caplog.text


def test_our_checkpoint_of_another_instantiation_is_refused(tmp_path):
    """Its configuration tells what no weight does."""
    arguments = {"instantiation": "dot_product", "subsampling": "none"}
    hyper_parameters = {"network": {"init_args": {"block": {"init_args": arguments}}}}
    source = network(block=partial(NonLocalBlock, **arguments), placement=FIVE)
    content = {"state_dict": source.state_dict(), "hyper_parameters": hyper_parameters}
    path = saved(tmp_path / "best.ckpt", content)
    load_weights(network(block=partial(NonLocalBlock, **arguments), placement=FIVE), Weights(path))
    with pytest.raises(ValueError, match=r"instantiation embedded_gaussian, but.*trained with dot_product"):
        load_weights(network(block=NonLocalBlock, placement=FIVE), Weights(path))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"depth": 101}, "depth is 50, but the file's is 101"),
        ({"width": 8 / 64}, r"width is 0\.0625, but the file's is 0\.125"),
        ({"architecture": "i3d"}, "architecture slow, but .* trained with i3d or i3d_strided"),
        ({"architecture": "c2d_nopool"}, "architecture slow, but .* trained with c2d_nopool; set"),
        ({"block": SqueezeExcitationBlock, "placement": Placement(res3="all")}, "the context blocks differ"),
    ],
)
def test_a_file_of_another_network_is_named_and_refused(settings, said, tmp_path):
    settings = (
        {**settings, "block": partial(settings["block"], reduction_ratio=4)}
        if "block" in settings
        else settings
    )
    path = saved(tmp_path / "other.pth", network(**settings).state_dict())
    with pytest.raises(ValueError, match=said):
        load_weights(network(), Weights(path))


def test_a_network_of_another_kind_of_block_is_named_and_refused(tmp_path):
    resnet26 = ResNet(Bottleneck, [2, 2, 2, 2], num_classes=5)
    path = saved(tmp_path / "resnet26.pth", resnet26.state_dict())
    assert "2-D network of an unknown depth" in str(recognise(read_checkpoint(path)))
    with pytest.raises(ValueError, match="no residual network of 18, 34, 50, 101 or 152 layers"):
        load_weights(VideoResNet(5), Weights(path))


def test_a_folded_state_is_named_and_refused(tmp_path):
    folded, num_folded = fold_batch_norms(
        with_every_layer_mattering(network(block=NonLocalBlock, placement=FIVE))
    )
    assert num_folded == 53 + 5
    path = tmp_path / "folded.safetensors"
    write_state(path, folded.state_dict())
    assert "batch norms folded" in str(recognise(read_checkpoint(path)))
    with pytest.raises(ValueError, match="folded into its convolutions, which cannot be undone"):
        load_weights(network(block=NonLocalBlock, placement=FIVE), Weights(path))


def test_folding_keeps_the_logits():
    net = network(block=NonLocalBlock, placement=FIVE)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.running_mean, -1.0, 1.0)
    with_every_layer_mattering(net)
    folded, _ = fold_batch_norms(net)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in folded.modules())
    view = torch.randn(2, 3, 2, 64, 64)
    with torch.inference_mode():
        expected = net(view)
        assert expected.std() > 1e-3
        torch.testing.assert_close(folded(view), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("SLOW_4x16_R50.pyth", {}, "clips of 4 x 16"),
        ("slow.pyth", {"cfg": "DATA:\n  NUM_FRAMES: 4\n  SAMPLING_RATE: 16\n"}, "clips of 4 x 16"),
        (
            "slow.pth",
            {"meta": {"config": "p = [dict(type='SampleFrames', clip_len=4, frame_interval=16)]"}},
            "clips of 4 x 16",
        ),
        (
            "best.ckpt",
            {"datamodule_hyper_parameters": {"clip": {"num_frames": 4, "stride": 16}}},
            "clips of 4 x 16",
        ),
        ("slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb.pth", {}, "clips of 8 x 8"),
    ],
)
def test_the_clips_of_training_are_named_where_the_file_says_them(name, content, said, tmp_path):
    path = saved(tmp_path / name, {"model_state": network().state_dict(), **content})
    assert said in str(recognise(read_checkpoint(path)))


def wrapped(kind: str, state: dict[str, Tensor]) -> dict[str, object]:
    """One state as distributed and compiled modules, averages and trainers leave it."""
    return {
        "module.": {"state_dict": {f"module.{key}": tensor for key, tensor in state.items()}},
        "_orig_mod.": {"state_dict": {f"module._orig_mod.{key}": tensor for key, tensor in state.items()}},
        "EMA": {"state_dict_ema": state, "epoch": 3},
        "EMA of torch": {"n_averaged": torch.tensor(7), **{f"module.{key}": t for key, t in state.items()}},
    }[kind]


@pytest.mark.parametrize("kind", ["module.", "_orig_mod.", "EMA", "EMA of torch"])
def test_a_wrapped_state_is_named_and_loaded(kind, tmp_path):
    source, target = network(), network()
    path = saved(tmp_path / "wrapped.pth", wrapped(kind, source.state_dict()))
    assert kind.split()[0] in recognise(read_checkpoint(path)).wrappers
    load_weights(target, Weights(path))
    assert equal(target.state_dict(), source.state_dict())


def test_of_several_states_one_must_be_named(tmp_path):
    raw, average, target = network(), network(), network()
    content = {"state_dict": raw.state_dict(), "state_dict_ema": average.state_dict()}
    path = saved(tmp_path / "timm.pth", content)
    with pytest.raises(
        ValueError, match=r"its states are: state_dict, state_dict_ema; name one as weights.state"
    ):
        load_weights(target, Weights(path))
    load_weights(target, Weights(path, state="state_dict_ema"))
    assert equal(target.state_dict(), average.state_dict())
    with pytest.raises(ValueError, match="'ema' was asked, but its states are"):
        load_weights(target, Weights(path, state="ema"))


def test_files_from_before_batch_norms_counted_are_loaded(tmp_path, caplog):
    source, target = resnet50(), VideoResNet(4)
    state = {key: t for key, t in source.state_dict().items() if "num_batches_tracked" not in key}
    path = saved(tmp_path / "resnet50-19c8e357.pth", state)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(target, Weights(path))
    assert "53 counters of batch norms that the file lacks set to 0" in caplog.text
    assert torch.equal(target.blocks[0].conv.weight[:, :, 0], source.conv1.weight)


def test_a_two_pathway_network_is_named(tmp_path):
    state = {f"s1.pathway{n}_stem.conv.weight": torch.zeros(4, 3, 1, 7, 7) for n in (0, 1)}
    path = saved(tmp_path / "SLOWFAST_8x8_R50.pyth", {"model_state": state})
    with pytest.raises(ValueError, match="a SlowFast network of two pathways"):
        load_weights(network(), Weights(path))


def test_names_that_nobody_uses_are_refused_with_those_that_are_known(tmp_path):
    path = saved(tmp_path / "vit.pth", {"patch_embed.weight": torch.zeros(2), "cls_token": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"patch_embed.weight, cls_token, .*PySlowFast, MMAction2"):
        load_weights(network(), Weights(path))


def test_a_network_of_ones_own_takes_exactly_its_own_keys(tmp_path):
    source, target = nn.Linear(2, 3), nn.Linear(2, 3)
    path = saved(tmp_path / "own.pth", source.state_dict())
    load_weights(target, Weights(path))
    assert equal(target.state_dict(), source.state_dict())
    with pytest.raises(ValueError, match="which Linear does not have"):
        load_weights(target, Weights(path, new=["head"]))


@pytest.mark.parametrize("name", ["noise.pth", "noise.safetensors"])
def test_noise_and_cut_files_are_refused_in_one_line(name, tmp_path):
    path = tmp_path / name
    write_state(path, network().state_dict())
    whole = path.read_bytes()
    for content in (whole[:1000], b"", bytes(range(256)) * 4):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="fetch it again"):
            read_checkpoint(path)
    with pytest.raises(ValueError, match="no such file of weights"):
        read_checkpoint(tmp_path / "missing.pth")
    with pytest.raises(ValueError, match="is a folder; name a file in it"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pyth", ".pt"])
def test_what_is_written_is_read_again(suffix, tmp_path):
    state = network().to(memory_format=torch.channels_last_3d).state_dict()
    write_state(tmp_path / f"weights{suffix}", state)
    assert equal(read_checkpoint(tmp_path / f"weights{suffix}").state, dict(state))
    with pytest.raises(ValueError, match=r"expected .safetensors"):
        write_state(tmp_path / "weights.onnx", state)


def test_weights_that_are_not_finite_are_named_and_refused(tmp_path):
    state = network().state_dict()
    state["blocks.1.res_blocks.0.branch2.conv_a.weight"][0, 0] = torch.nan
    state["blocks.5.proj.bias"][2] = -torch.inf
    target = network()
    before = {key: tensor.clone() for key, tensor in target.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"2 of its numbers are nan or infinite: .*conv_a.weight \(1 of 16\)"
    ) as no:
        load_weights(target, Weights(saved(tmp_path / "nan.pth", state)))
    assert "blocks.5.proj.bias (1 of 5)" in str(no.value)
    assert equal(target.state_dict(), before)


def test_in_a_network_of_ones_own_they_are_named_and_may_be_meant(tmp_path, caplog):
    state = nn.Linear(2, 3).state_dict() | {"bias": torch.tensor([0.0, -torch.inf, 0.0])}
    load_weights(nn.Linear(2, 3), Weights(saved(tmp_path / "own.pth", state)))
    assert "own.pth: nan or infinite are numbers of bias" in caplog.text


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_every_file_of_weights_has_the_mode_that_the_umask_leaves(suffix, mask, tmp_path):
    former = os.umask(mask)
    try:
        write_state(tmp_path / f"weights{suffix}", {"weight": torch.ones(2)})
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / f"weights{suffix}").stat().st_mode) == 0o666 & ~mask
    assert [file.name for file in tmp_path.iterdir()] == [f"weights{suffix}"]


@pytest.mark.parametrize(("suffix", "called"), [(".safetensors", "pth"), (".pth", "safetensors")])
def test_a_file_is_read_as_what_it_is_and_not_as_what_it_is_called(suffix, called, tmp_path):
    state = {"weight": torch.arange(3.0)}
    write_state(tmp_path / f"weights{suffix}", state)
    renamed = (tmp_path / f"weights{suffix}").rename(tmp_path / f"weights.{called}")
    assert equal(read_checkpoint(renamed).state, state)


TWICE = {
    "pyslowfast": ["context.transform.1"],  # renamed between releases
}


@pytest.mark.parametrize("format", NAMINGS)
def test_no_two_layers_of_a_naming_have_one_name(format):
    naming = NAMINGS[format]
    counts = Counter([*naming.outside.values(), *naming.inside.values()])
    assert sorted(layer for layer, count in counts.items() if count > 1) == TWICE.get(format, [])
    assert len(set(naming.stages)) == 4
