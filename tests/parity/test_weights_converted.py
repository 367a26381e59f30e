"""Weights converted to other codebases' names by the command: the same function there, or refused by name."""

from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.checkpoints import Weights, load_weights, read_checkpoint, recognise
from gcvideo.blocks import GlobalContextBlock, NonLocalBlock, SqueezeExcitationBlock
from gcvideo.cli import main
from tests.parity.foreign import MmactionSlowOnly, SlowFastSlow
from tests.parity.test_weights_namings import randomised
from tests.parity.test_weights_settings import WIDTH, same_logits, save_pyslowfast

PLACES = Placement(res3=[0, 2], res4=[0, 2, 4])


def saved(path: Path, network: VideoResNet, **settings: str) -> Path:
    """As `gcvideo fit` leaves it, with the configuration of its network."""
    arguments = {"architecture": network.architecture, "stride_on": network.stride_on}
    arguments |= {"placement": {"position": "after_add"}, "block": {"init_args": settings}}
    content = {"hyper_parameters": {"network": {"init_args": arguments}}, "state_dict": network.state_dict()}
    torch.save(content, path)
    return path


def ours(architecture: str = "slow", *, stride_on: str = "3x3", **blocks: str) -> VideoResNet:
    torch.manual_seed(0)
    block = partial(NonLocalBlock, **blocks)
    settings = {"block": block, "placement": PLACES} if blocks else {}
    network = randomised(
        VideoResNet(7, width=WIDTH / 64, architecture=architecture, stride_on=stride_on, **settings)
    )
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
    return network


def convert(path: Path, out: Path, to: str) -> dict:
    main(["weights", "convert", str(path), str(out), "--to", to])
    return torch.load(out, weights_only=True)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gcvideo weights: ")]
    return line


@pytest.mark.parametrize(
    "instantiation", ["scaled_embedded_gaussian", "embedded_gaussian", "dot_product", "gaussian"]
)
@pytest.mark.parametrize("subsampling", ["conv_then_pool", "none"])
def test_blocks_written_for_mmaction2_compute_there_what_its_configuration_in_the_file_says(
    instantiation, subsampling, tmp_path
):
    network = ours(instantiation=instantiation, subsampling=subsampling)
    path = saved(tmp_path / "x.ckpt", network, instantiation=instantiation, subsampling=subsampling)
    written = convert(path, tmp_path / "x.pth", "mmaction2")
    use_scale, sub_sample = instantiation.startswith("scaled"), subsampling != "none"
    mode = instantiation.removeprefix("scaled_")
    theirs = MmactionSlowOnly(
        7, WIDTH, {2: [0, 2], 3: [0, 2, 4]}, use_scale=use_scale, sub_sample=sub_sample, mode=mode
    ).eval()
    theirs.load_state_dict(written["state_dict"], strict=True)
    same_logits(theirs, network)
    said = eval(written["meta"]["cfg"].removeprefix("model = "), {"dict": dict})["backbone"]
    assert said["non_local_cfg"] == {
        "sub_sample": sub_sample,
        "use_scale": use_scale,
        "norm_cfg": {"type": "BN3d", "requires_grad": True},
        "mode": mode,
    }
    assert said["non_local"] == ((0, 0, 0), (1, 0, 1, 0), (1, 0, 1, 0, 1, 0), (0, 0, 0))
    assert (said["conv1_stride_t"], said["pool1_stride_t"], said["with_pool2"]) == (1, 1, False)
    again = recognise(read_checkpoint(tmp_path / "x.pth"))
    assert again.settings["instantiation"] == (instantiation,)
    assert again.settings["subsampling"] == (subsampling,)


@pytest.mark.parametrize(
    ("architecture", "stride_on"),
    [("i3d_strided", "3x3"), ("i3d", "1x1"), ("i3d_nopool", "3x3"), ("c2d", "3x3")],
)
def test_a_network_written_for_mmaction2_strides_in_time_as_the_file_says(architecture, stride_on, tmp_path):
    network = ours(architecture, stride_on=stride_on)
    written = convert(saved(tmp_path / "x.ckpt", network), tmp_path / "x.pth", "mmaction2")
    said = eval(written["meta"]["cfg"].removeprefix("model = "), {"dict": dict})["backbone"]
    assert (said["type"], said["depth"], said["base_channels"]) == ("ResNet3d", 50, WIDTH)
    kernels = [
        written["state_dict"][f"backbone.layer{n}.{i}.conv1.conv.weight"]
        for n in (1, 2, 3, 4)
        for i in (0, 1)
    ]
    assert [kernel.shape[2] == 3 for kernel in kernels] == [
        bool(s[i]) for s in said["inflate"] for i in (0, 1)
    ]
    strides = {key: said[key] for key in ("conv1_stride_t", "pool1_stride_t", "with_pool2", "style")}
    theirs = MmactionSlowOnly(7, WIDTH, {}, frames=architecture[:3], **strides).eval()
    theirs.load_state_dict(written["state_dict"], strict=True)
    same_logits(theirs, network, num_frames=16)
    again = VideoResNet(7, width=WIDTH / 64, architecture=architecture, stride_on=stride_on).eval()
    load_weights(again, Weights(tmp_path / "x.pth"))
    same_logits(theirs, again, num_frames=16)


@pytest.mark.parametrize(
    ("architecture", "instantiation", "subsampling"),
    [
        ("slow", "scaled_embedded_gaussian", "pool_then_conv"),
        ("i3d_nopool", "dot_product", "none"),
        ("c2d", "scaled_embedded_gaussian", "none"),
    ],
)
def test_a_file_for_pyslowfast_has_the_state_that_its_loader_reads_and_its_settings(
    architecture, instantiation, subsampling, tmp_path
):
    network = ours(architecture, instantiation=instantiation, subsampling=subsampling)
    path = saved(tmp_path / "x.ckpt", network, instantiation=instantiation, subsampling=subsampling)
    written = convert(path, tmp_path / "x.pyth", "pyslowfast")
    said = yaml.safe_load(written["cfg"])
    assert said["MODEL"] == {"ARCH": architecture, "MODEL_NAME": "ResNet"}
    assert said["NONLOCAL"]["LOCATION"] == [[[]], [[0, 2]], [[0, 2, 4]], [[]]]
    theirs = SlowFastSlow(
        *(7, said["RESNET"]["WIDTH_PER_GROUP"], {3: [0, 2], 4: [0, 2, 4]}),
        arch=architecture,
        pool=tuple(said["NONLOCAL"]["POOL"][1][0]),
        instantiation=said["NONLOCAL"]["INSTANTIATION"],
    ).eval()
    theirs.load_state_dict(written["model_state"], strict=True)
    same_logits(theirs, network)
    load_weights(
        ours(architecture, instantiation=instantiation, subsampling=subsampling), Weights(tmp_path / "x.pyth")
    )


def test_blocks_that_pool_before_the_convolution_are_refused_for_mmaction2(tmp_path, capsys):
    state = SlowFastSlow(7, WIDTH, {3: [1, 3]}).state_dict()
    torch.save({"model_state": state}, tmp_path / "SLOW_NLN.pyth")
    command = [
        "weights",
        "convert",
        str(tmp_path / "SLOW_NLN.pyth"),
        str(tmp_path / "x.pth"),
        "--to",
        "mmaction2",
    ]
    said = complaint(command, capsys)
    assert "it has subsampling pool_then_conv, and MMAction2 has conv_then_pool or none only" in said
    assert not (tmp_path / "x.pth").exists()


@pytest.mark.parametrize(
    ("architecture", "to", "said"),
    [
        (
            "i3d_strided",
            "pyslowfast",
            "it has architecture i3d_strided, and PySlowFast has slow or i3d or c2d",
        ),
        ("c2d_unpadded", "pyslowfast", "it has architecture c2d_unpadded, and PySlowFast has slow"),
        (
            "slow",
            "torchvision",
            "it has architecture slow, and torchvision / timm has c2d_nopool or c2d only",
        ),
        ("c2d_unpadded", "mmaction2", "it has architecture c2d_unpadded, and MMAction2 has slow"),
    ],
)
def test_an_architecture_that_the_target_cannot_build_is_refused_by_name(
    architecture, to, said, tmp_path, capsys
):
    path = saved(tmp_path / "x.ckpt", ours(architecture))
    assert said in complaint(["weights", "convert", str(path), str(tmp_path / "y.pth"), "--to", to], capsys)


def test_settings_that_nothing_here_has_and_files_that_others_do_not_read_are_refused(tmp_path, capsys):
    network = SlowFastSlow(7, WIDTH, {3: [1]})
    save_pyslowfast(tmp_path / "x.pyth", network, {"NONLOCAL": {"GROUP": [[1], [4], [1], [1]]}})
    said = complaint(["weights", "convert", str(tmp_path / "x.pyth"), str(tmp_path / "y.pth")], capsys)
    assert "trained with NONLOCAL.GROUP 4 in res3, which nothing here has" in said
    command = ["weights", "convert", str(tmp_path / "x.pyth"), str(tmp_path / "y.safetensors")]
    assert "MMAction2 reads no safetensors" in complaint([*command, "--to", "mmaction2"], capsys)


def test_strides_on_the_1x1_convolutions_are_refused_for_torchvision(tmp_path, capsys):
    path = saved(tmp_path / "x.ckpt", ours("c2d_nopool", stride_on="1x1"))
    said = complaint(
        ["weights", "convert", str(path), str(tmp_path / "y.pth"), "--to", "torchvision"], capsys
    )
    assert "it has stride_on 1x1, and torchvision / timm has 3x3 only" in said


def test_a_converted_safetensors_file_keeps_what_no_tensor_shows(tmp_path, capsys):
    network = ours("i3d_strided", instantiation="dot_product", subsampling="none")
    path = saved(tmp_path / "x.ckpt", network, instantiation="dot_product", subsampling="none")
    record = torch.load(path, weights_only=True) | {
        "datamodule_hyper_parameters": {
            "clip": {"num_frames": 32, "stride": 2},
            "mean": [0.5] * 3,
            "std": [0.25] * 3,
        }
    }
    record["hyper_parameters"]["class_names"] = list("abcdefg")
    torch.save(record, path)
    main(["weights", "convert", str(path), str(tmp_path / "x.safetensors")])
    first, again = recognise(read_checkpoint(path)), recognise(read_checkpoint(tmp_path / "x.safetensors"))
    assert again.settings == first.settings
    assert again.input == first.input
    main(["weights", "inspect", str(tmp_path / "x.safetensors")])
    assert "trained with mean 0.5, 0.5, 0.5, std 0.25, 0.25, 0.25" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"architecture i3d, but .* trained with i3d_strided"):
        load_weights(
            ours("i3d", instantiation="dot_product", subsampling="none"), Weights(tmp_path / "x.safetensors")
        )
    load_weights(network, Weights(tmp_path / "x.safetensors"), class_names=list("abcdefg"))
    with pytest.raises(ValueError, match="the same classes in another order"):
        load_weights(network, Weights(tmp_path / "x.safetensors"), class_names=list("bacdefg"))


def image_checkpoint(path: Path, block: type, *, position: str, **settings: str) -> Path:
    """Our network of frames with one block, as a run leaves it."""
    network = VideoResNet(
        *(7,),
        width=WIDTH / 64,
        architecture="c2d_nopool",
        block=partial(block, **settings),
        placement=Placement(res3=[1], position=position),
    )
    arguments = {"architecture": "c2d_nopool", "stride_on": "3x3", "placement": {"position": position}}
    arguments["block"] = {"init_args": settings}
    content = {"hyper_parameters": {"network": {"init_args": arguments}}, "state_dict": network.state_dict()}
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("block", "fusion", "name"),
    [
        (GlobalContextBlock, "add", "layer2.1.context_block.channel_add_conv.3.bias"),
        (GlobalContextBlock, "scale", "layer2.1.context_block.channel_mul_conv.3.bias"),
        (SqueezeExcitationBlock, None, "layer2.1.se.fc2.bias"),
    ],
)
def test_a_block_is_written_for_images_as_it_fuses_and_where_it_stands_there(
    block, fusion, name, tmp_path, capsys
):
    settings = {"fusion": fusion} if fusion else {"reduction_ratio": 4}
    right = image_checkpoint(tmp_path / "right.ckpt", block, position="after_1x1x1", **settings)
    assert name in convert(right, tmp_path / "y.pth", "torchvision")
    wrong = image_checkpoint(tmp_path / "wrong.ckpt", block, position="after_add", **settings)
    said = complaint(
        ["weights", "convert", str(wrong), str(tmp_path / "z.pth"), "--to", "torchvision"], capsys
    )
    assert "it has position after_add, and torchvision / timm has after_1x1x1 only" in said
