"""Settings that no tensor shows: honoured or refused where the file says them, assumed aloud where not."""

import logging
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor, nn

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights, read_checkpoint, recognise
from gcvideo.blocks import GlobalContextBlock, NonLocalBlock
from tests.parity.foreign import MmactionFramewise, MmactionSlowOnly, SlowFastSlow
from tests.parity.test_weights_namings import randomised

WIDTH = 8
PLACES = Placement(res3=[0, 2], res4=[0, 2, 4])

# What MMAction2 and mmengine write as the text of a configuration.
MMACTION2 = """
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='{type}', depth=50, pretrained='torchvision://resnet50', norm_eval=False,
        norm_cfg=dict(type='BN3d', requires_grad=True), {backbone}),
    cls_head=dict(type='{head}', num_classes=7, spatial_type='avg', dropout_ratio=0.5),
    data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]))
train_pipeline = [
    dict(type='DecordInit'),
    dict(type='SampleFrames', clip_len=32, frame_interval=2, num_clips=1),
    dict(type='DecordDecode', mode='accurate'),
    dict({{'type': 'Resize', 'scale': (-1, 256)}}),
]
optim_wrapper = dict(optimizer=dict(lr=0.01, weight_decay=1e-05), clip_grad=None)
work_dir = './work_dirs/x'
"""


def ours(*, blocks: dict[str, str] | None = None, num_classes: int = 7, **settings) -> VideoResNet:
    if blocks is not None:
        settings |= {"block": partial(NonLocalBlock, **blocks), "placement": PLACES}
    return VideoResNet(num_classes, width=WIDTH / 64, **settings).eval()


def same_logits(theirs: nn.Module, network: VideoResNet, *, num_frames: int = 8) -> None:
    """In double precision, so that nothing but the function is seen."""
    clip = torch.randn(2, 3, num_frames, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    with torch.inference_mode():
        expected, found = theirs.double()(clip), network.double()(clip)
    theirs.float()
    assert expected.std() > 0.1
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def save_pyslowfast(path: Path, network: nn.Module, config: dict) -> Path:
    torch.save({"epoch": 3, "model_state": network.state_dict(), "cfg": yaml.safe_dump(config)}, path)
    return path


def save_mmaction2(path: Path, state: dict[str, Tensor], **words: str) -> Path:
    words = {"type": "ResNet3d", "head": "I3DHead", "backbone": "", **words}
    torch.save({"state_dict": state, "meta": {"config": MMACTION2.format(**words)}}, path)
    return path


def pyslowfast_config(**changes: dict) -> dict:
    config: dict[str, dict] = {
        "MODEL": {"ARCH": "slow", "MODEL_NAME": "ResNet"},
        "RESNET": {
            "STRIDE_1X1": False,
            "SPATIAL_STRIDES": [[1], [2], [2], [2]],
            "SPATIAL_DILATIONS": [[1], [1], [1], [1]],
        },
        "NONLOCAL": {
            "GROUP": [[1], [1], [1], [1]],
            "INSTANTIATION": "softmax",
            "POOL": [[[1, 2, 2], [1, 2, 2]]] * 4,
        },
        "DETECTION": {"ENABLE": False},
        "DATA": {"NUM_FRAMES": 8, "SAMPLING_RATE": 8},
    }
    return {part: values | changes.get(part, {}) for part, values in config.items()}


def nonlocal_network(**settings) -> nn.Module:
    torch.manual_seed(0)
    return randomised(SlowFastSlow(7, WIDTH, {3: [0, 2], 4: [0, 2, 4]}, **settings))


SOFTMAX = {"instantiation": "scaled_embedded_gaussian", "subsampling": "pool_then_conv"}


@pytest.mark.parametrize(
    ("theirs", "config", "blocks", "said"),
    [
        ({}, {}, SOFTMAX, "subsampling none.*trained with pool_then_conv"),
        (
            {"pool": (1, 1, 1)},
            {"NONLOCAL": {"POOL": [[[1, 1, 1], [1, 1, 1]]] * 4}},
            SOFTMAX | {"subsampling": "none"},
            "subsampling pool_then_conv.*trained with none",
        ),
        (
            {"instantiation": "dot_product"},
            {"NONLOCAL": {"INSTANTIATION": "dot_product"}},
            SOFTMAX | {"instantiation": "dot_product"},
            "instantiation scaled_embedded_gaussian.*trained with dot_product",
        ),
    ],
)
def test_blocks_of_pyslowfast_are_what_its_configuration_says(theirs, config, blocks, said, tmp_path):
    network = nonlocal_network(**theirs)
    path = save_pyslowfast(tmp_path / "x.pyth", network, pyslowfast_config(**config))
    other = SOFTMAX | {"subsampling": "none"} if blocks == SOFTMAX else SOFTMAX
    with pytest.raises(ValueError, match=said):
        load_weights(ours(blocks=other), Weights(path))
    right = ours(blocks=blocks)
    load_weights(right, Weights(path))
    same_logits(network, right)


@pytest.mark.parametrize(
    ("arch", "stride_1x1"),
    [("slow", True), ("i3d", False), ("i3d_nopool", False), ("c2d", False), ("c2d_nopool", True)],
)
def test_a_network_of_pyslowfast_is_the_one_that_its_configuration_names(arch, stride_1x1, tmp_path):
    torch.manual_seed(0)
    theirs = randomised(SlowFastSlow(7, WIDTH, {}, arch=arch, stride_1x1=stride_1x1))
    config = pyslowfast_config(MODEL={"ARCH": arch}, RESNET={"STRIDE_1X1": stride_1x1})
    path = save_pyslowfast(tmp_path / "x.pyth", theirs, config)
    stride_on = "1x1" if stride_1x1 else "3x3"
    others = {
        "slow": "i3d",
        "i3d": "i3d_nopool",
        "i3d_nopool": "i3d",
        "c2d": "c2d_nopool",
        "c2d_nopool": "c2d",
    }
    with pytest.raises(ValueError, match=f"architecture {others[arch]}, but .* trained with {arch}; set"):
        load_weights(ours(architecture=others[arch], stride_on=stride_on), Weights(path))
    wrong = "3x3" if stride_1x1 else "1x1"
    with pytest.raises(ValueError, match=f"stride_on {wrong}, but .* trained with {stride_on}; set"):
        load_weights(ours(architecture=arch, stride_on=wrong), Weights(path))
    right = ours(architecture=arch, stride_on=stride_on)
    load_weights(right, Weights(path))
    same_logits(theirs, right)


@pytest.mark.parametrize(
    ("config", "new", "said"),
    [
        (
            {"NONLOCAL": {"POOL": [[[2, 2, 2], [2, 2, 2]]] * 4}},
            "blocks",
            r"NONLOCAL.POOL \[2, 2, 2\] in res3, \[2, 2, 2\] in res4.* weights.new: \[blocks\]",
        ),
        (
            {"NONLOCAL": {"POOL": [[[1, 2, 2]]] * 2 + [[[1, 1, 1]]] * 2}},
            "blocks",
            r"NONLOCAL.POOL \[1, 2, 2\] in res3, \[1, 1, 1\] in res4",
        ),
        ({"NONLOCAL": {"GROUP": [[1], [1], [4], [1]]}}, "blocks", "NONLOCAL.GROUP 4 in res4"),
        (
            {"RESNET": {"SPATIAL_DILATIONS": [[1], [1], [1], [2]]}},
            None,
            r"RESNET.SPATIAL_DILATIONS \[1, 1, 1, 2\]",
        ),
        (
            {"RESNET": {"SPATIAL_STRIDES": [[1], [2], [2], [1]], "SPATIAL_DILATIONS": [[1], [1], [1], [2]]}},
            None,
            r"RESNET.SPATIAL_STRIDES \[1, 2, 2, 1\], RESNET.SPATIAL_DILATIONS \[1, 1, 1, 2\], which",
        ),
        ({"DETECTION": {"ENABLE": True}}, "head", r"DETECTION.ENABLE True.*weights.new: \[head\]"),
    ],
)
def test_what_nothing_here_computes_is_refused_by_its_name(config, new, said, tmp_path):
    path = save_pyslowfast(tmp_path / "x.pyth", nonlocal_network(), pyslowfast_config(**config))
    network = ours(blocks=SOFTMAX)
    before = network.blocks[0].conv.weight.clone()
    with pytest.raises(ValueError, match=said):
        load_weights(network, Weights(path))
    assert torch.equal(network.blocks[0].conv.weight, before)
    if new:
        load_weights(network, Weights(path, new=[new]))


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("i3d_strided", {"conv1_stride_t": 2, "pool1_stride_t": 2, "with_pool2": True}),
        ("i3d", {"conv1_stride_t": 1, "pool1_stride_t": 1, "with_pool2": True}),
        ("i3d_nopool", {"conv1_stride_t": 1, "pool1_stride_t": 1, "with_pool2": False}),
        ("i3d", {"conv1_stride_t": 1, "pool1_stride_t": 1, "with_pool2": True, "style": "caffe"}),
    ],
)
def test_an_i3d_of_mmaction2_strides_in_time_as_its_configuration_says(architecture, settings, tmp_path):
    torch.manual_seed(0)
    theirs = randomised(MmactionSlowOnly(7, WIDTH, {}, frames="i3d", **settings))
    words = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    path = save_mmaction2(tmp_path / "i3d.pth", theirs.state_dict(), backbone=words)
    stride_on = "1x1" if settings.get("style") == "caffe" else "3x3"
    for other in {"i3d", "i3d_strided", "i3d_nopool"} - {architecture}:
        with pytest.raises(
            ValueError, match=f"architecture {other}, but .* trained with {architecture}; set"
        ):
            load_weights(ours(architecture=other, stride_on=stride_on), Weights(path))
    if stride_on == "1x1":
        with pytest.raises(ValueError, match=r"stride_on 3x3, but .* trained with 1x1"):
            load_weights(ours(architecture=architecture), Weights(path))
    right = ours(architecture=architecture, stride_on=stride_on)
    load_weights(right, Weights(path))
    same_logits(theirs, right, num_frames=16)


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        (
            "pool1_stride_t=1",
            r"backbone.conv1_stride_t 2, backbone.pool1_stride_t 1, backbone.with_pool2 True",
        ),
        ("temporal_strides=(1, 2, 1, 1)", r"backbone.temporal_strides \(1, 2, 1, 1\)"),
        ("dilations=(1, 1, 1, 2)", r"backbone.dilations \(1, 1, 1, 2\)"),
        ("act_cfg=dict(type='SiLU', inplace=True)", r"backbone.act_cfg.type SiLU"),
    ],
)
def test_strides_of_mmaction2_that_nothing_here_has_are_refused_by_name(backbone, said, tmp_path):
    state = MmactionSlowOnly(7, WIDTH, {}, frames="i3d").state_dict()
    strides = "conv1_stride_t=2, " + ("" if "pool1" in backbone else "pool1_stride_t=2, ")
    save_mmaction2(tmp_path / "x.pth", state, backbone=strides + backbone)
    with pytest.raises(ValueError, match=said):
        load_weights(ours(architecture="i3d_strided"), Weights(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("mode", "use_scale", "sub_sample", "blocks"),
    [
        ("gaussian", False, True, {"instantiation": "gaussian", "subsampling": "conv_then_pool"}),
        ("gaussian", True, False, {"instantiation": "gaussian", "subsampling": "none"}),
        ("dot_product", True, True, {"instantiation": "dot_product", "subsampling": "conv_then_pool"}),
        (
            *("embedded_gaussian", False, True),
            {"instantiation": "embedded_gaussian", "subsampling": "conv_then_pool"},
        ),
    ],
)
def test_blocks_of_mmaction2_in_every_other_residual_block_from_the_first(
    mode, use_scale, sub_sample, blocks, tmp_path
):
    torch.manual_seed(0)
    settings = {"use_scale": use_scale, "sub_sample": sub_sample, "mode": mode}
    strides = {"conv1_stride_t": 2, "pool1_stride_t": 2, "with_pool2": True}
    theirs = randomised(
        MmactionSlowOnly(7, WIDTH, {2: [0, 2], 3: [0, 2, 4]}, frames="i3d", **strides, **settings)
    )
    words = ", ".join(f"{key}={value!r}" for key, value in strides.items())
    words += f", non_local_cfg=dict({', '.join(f'{key}={value!r}' for key, value in settings.items())})"
    path = save_mmaction2(tmp_path / "i3d_nl.pth", theirs.state_dict(), backbone=words)
    elsewhere = {
        "block": partial(NonLocalBlock, **blocks),
        "placement": Placement(res3=[1, 3], res4=[1, 3, 5]),
    }
    with pytest.raises(ValueError, match=r"set placement to the file's {res3: \[0, 2\], res4: \[0, 2, 4\]}"):
        load_weights(ours(architecture="i3d_strided", **elsewhere), Weights(path))
    wrong = "dot_product" if mode != "dot_product" else "embedded_gaussian"
    with pytest.raises(ValueError, match=f"instantiation {wrong}.* trained with {mode}"):
        load_weights(
            ours(architecture="i3d_strided", blocks=blocks | {"instantiation": wrong}), Weights(path)
        )
    right = ours(architecture="i3d_strided", blocks=blocks)
    load_weights(right, Weights(path))
    same_logits(theirs, right, num_frames=16)


@pytest.mark.parametrize("architecture", ["c2d_nopool", "c2d_unpadded"])
def test_a_2d_network_of_mmaction2_for_video_keeps_its_head_where_the_network_does_the_same(
    architecture, tmp_path, caplog
):
    torch.manual_seed(0)
    c2d = architecture == "c2d_unpadded"
    theirs = randomised(MmactionFramewise(7, WIDTH, c2d=c2d))
    words = {"type": "C2D", "head": "I3DHead"} if c2d else {"type": "ResNet", "head": "TSNHead"}
    path = save_mmaction2(tmp_path / "tsn.pth", theirs.state(), **words)
    assert f"MMAction2 naming, {architecture} R50" in str(recognise(read_checkpoint(path)))
    right = ours(architecture=architecture)
    load_weights(right, Weights(path))
    same_logits(theirs, right)
    unsaid = tmp_path / "unsaid.pth"
    torch.save({"state_dict": theirs.state()}, unsaid)
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(ours(architecture=architecture), Weights(unsaid))
    assert f"unsaid.pth leaves open, and is taken to have: architecture {architecture}" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(ours(architecture="slow", num_classes=3), Weights(path))
    assert "2 (head) start fresh; 2 (head) of the file left behind" in caplog.text
    assert f"with architecture {architecture} the network would compute what the file's does" in caplog.text


def test_a_file_without_a_configuration_is_loaded_and_what_is_assumed_is_said(tmp_path, caplog):
    network = nonlocal_network()
    torch.save({"model_state": network.state_dict()}, tmp_path / "nln.pyth")
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(ours(blocks=SOFTMAX), Weights(tmp_path / "nln.pyth"))
    assert (
        "nln.pyth leaves open, and is taken to have: stride_on 3x3, instantiation scaled_embedded_gaussian, "
        "subsampling pool_then_conv"
    ) in caplog.text
    save_pyslowfast(tmp_path / "said.pyth", network, pyslowfast_config())
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(ours(blocks=SOFTMAX), Weights(tmp_path / "said.pyth"))
    assert "leaves open" not in caplog.text


@pytest.mark.parametrize(
    "record",
    [{"cfg": "- a\n- b: ["}, {"meta": {"cfg": "model = dict(("}}, {"cfg": "MODEL: 3"}, {"cfg": "[" * 3000}],
)
def test_a_configuration_that_cannot_be_read_is_said_and_passed_over(record, tmp_path, caplog):
    torch.save({"model_state": nonlocal_network().state_dict(), **record}, tmp_path / "x.pyth")
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        load_weights(ours(blocks=SOFTMAX), Weights(tmp_path / "x.pyth"))
    assert "x.pyth: its configuration cannot be read" in caplog.text
    assert "leaves open" in caplog.text


@pytest.mark.parametrize(
    "values", [{"lr": 0.1, "network": "resnet"}, {"architecture": "resnet50"}, "0.1", [0.1]]
)
def test_hyperparameters_of_other_people_say_nothing(values, tmp_path, caplog):
    content = {"state_dict": nonlocal_network().state_dict(), "hyper_parameters": values}
    torch.save(content, tmp_path / "x.ckpt")
    with caplog.at_level(logging.WARNING, logger="gcvideo"):
        assert len(recognise(read_checkpoint(tmp_path / "x.ckpt")).settings["architecture"]) == 1
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"stride_on": "1x1"}, "stride_on 1x1.* trained with 3x3"),
        (
            {"position": "after_1x1x1"},
            "position after_1x1x1.* trained with after_add; set placement.position",
        ),
        ({"bottleneck_activation": "none"}, "bottleneck_activation none.* trained with relu"),
    ],
)
def test_our_own_checkpoints_are_held_to_their_configuration_too(network, said, tmp_path):
    def built(*, stride_on="3x3", position="after_add", bottleneck_activation="relu") -> VideoResNet:
        return ours(
            stride_on=stride_on,
            block=partial(GlobalContextBlock, bottleneck_activation=bottleneck_activation),
            placement=Placement(res3=[1], position=position),
        )

    arguments = {
        "stride_on": "3x3",
        "block": {"init_args": {"bottleneck_activation": "relu"}},
        "placement": {"position": "after_add"},
    }
    path = tmp_path / "best.ckpt"
    content = {"hyper_parameters": {"network": {"class_path": "VideoResNet", "init_args": arguments}}}
    torch.save(content | {"state_dict": built().state_dict()}, path)
    load_weights(built(), Weights(path))
    with pytest.raises(ValueError, match=said):
        load_weights(built(**network), Weights(path))
