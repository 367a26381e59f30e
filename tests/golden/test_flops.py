"""Multiply-adds of published networks.

Networks of full size are counted by torch's own counter on tensors without data; that `count_flops`, which is
fvcore's count, gives the very same number is shown at a size that runs quickly, and marked slow at full size.
"""

from functools import cache, partial

import pytest
import torch
from _pytest.mark import ParameterSet
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import video

from gcvideo.backbones import CSN, S3D, X3D, MViT, R2Plus1D, SlowFast, Swin3D, TorchvisionResNet, VideoResNet
from gcvideo.blocks import GlobalContextBlock, NonLocalBlock
from gcvideo.complexity import count_flops
from gcvideo.complexity.paper import PAPER_ROWS, paper_network

NETWORKS = {
    **{row: partial(paper_network(row), 400) for row in PAPER_ROWS},
    "slow_r50_stride_on_1x1": partial(VideoResNet, 400, stride_on="1x1"),
    "slow_r50_nl5_conv_then_pool": partial(
        VideoResNet,
        400,
        block=partial(NonLocalBlock, subsampling="conv_then_pool"),
        placement={"res3": 2, "res4": 3},
    ),
    "r2plus1d_r50": partial(R2Plus1D, 400),
    "csn_r101": partial(CSN, 400),
    "slowfast_r50": partial(SlowFast, 400),
    **{name: partial(TorchvisionResNet, 400, name=name) for name in ("r3d_18", "mc3_18", "r2plus1d_18")},
    "s3d": partial(S3D, 400),
    "mvit_v2_s": partial(MViT, 400),
    "swin3d_t": partial(Swin3D, 400),
    "x3d_m": partial(X3D, 400),
    "x3d_l": partial(X3D, 400, depth_factor=5.0),
    "image_r18": partial(VideoResNet, 1000, architecture="c2d", depth=18),
    "image_r34": partial(VideoResNet, 1000, architecture="c2d", depth=34),
    "image_r50": partial(VideoResNet, 1000, architecture="c2d", stride_on="1x1"),
    "image_r50_gc": partial(
        VideoResNet,
        1000,
        architecture="c2d",
        stride_on="1x1",
        block=partial(GlobalContextBlock, reduction_ratio=16),
        placement={"res3": "all", "res4": "all", "res5": "all", "position": "after_1x1x1"},
    ),
}


@cache
def gflops(name: str, *, frames: int = 8, side: int = 224, **settings: float) -> float:
    """Counted by torch, which counts a multiply-add as two."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        NETWORKS[name](**settings).eval()(torch.zeros(1, 3, frames, side, side))
    return counter.get_total_flops() / 2 / 1e9


def slowly(name: str) -> ParameterSet:
    """Take a case only where there is time."""
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name",
    [
        "slow_r50_gc_all",
        *map(slowly, ["slow_r50_nl5", "slow_r50_snl5", "r2plus1d_r50", "csn_r101", "slowfast_r50"]),
    ],
)
def test_our_count_is_torchs(name):
    counted, _ = count_flops(NETWORKS[name](width=0.25).eval(), torch.zeros(1, 3, 4, 32, 32))
    assert counted == round(gflops(name, frames=4, side=32, width=0.25) * 1e9)


def test_slow_r50_costs_what_is_published():
    assert 41.7 <= gflops("slow_r50") <= 42.0  # arXiv:1812.03982, version 1: 41.9
    assert gflops("slow_r50_stride_on_1x1") == pytest.approx(37.42, abs=0.01)
    assert gflops("slow_r50", side=256) == pytest.approx(54.52, abs=0.01)  # pytorchvideo's model zoo


@pytest.mark.parametrize(
    ("name", "frames", "published", "per_norm"),
    [("slowfast_r50", 32, 65.71, 0), ("r2plus1d_r50", 16, 76.45, 5), ("csn_r101", 32, 75.62, 5)],
)
def test_other_families_cost_what_pytorchvideos_zoo_says(name, frames, published, per_norm):
    """At 256 x 256; of the last two the zoo counts 5 for every number that a batch norm reads."""
    total = gflops(name, frames=frames, side=256)
    if per_norm:
        total += per_norm * giganumbers_of_norms(name, frames=frames, side=256)
    assert total == pytest.approx(published, abs=0.005)


def giganumbers_of_norms(name: str, *, frames: int, side: int) -> float:
    """How many numbers batch norms read."""
    with torch.device("meta"):
        network = NETWORKS[name]().eval()
        read: list[int] = []
        for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm3d)):
            norm.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].numel()))
        network(torch.zeros(1, 3, frames, side, side))
    return sum(read) / 1e9


@pytest.mark.parametrize(
    ("name", "frames", "side", "pyslowfast", "larger_side", "windows", "pytorchvideo"),
    [
        ("x3d_m", 4, 160, 0.60, 182, 4, 0.91),
        ("x3d_m", 13, 160, 1.96, 182, 4, 2.96),
        ("x3d_m", 16, 224, 4.73, 256, 4, 6.72),
        pytest.param("x3d_l", 16, 312, 18.37, 356, 9, 26.64, marks=pytest.mark.slow),
    ],
    ids=["xs", "s", "m", "l"],
)
def test_x3d_costs_what_both_zoos_say(name, frames, side, pyslowfast, larger_side, windows, pytorchvideo):
    """PySlowFast's on the crops of training, pytorchvideo's on those of testing.

    On these its head, whose pool has the size of the former, works on several windows.
    """
    assert gflops(name, frames=frames, side=side) == pytest.approx(pyslowfast, abs=0.006)
    total = gflops(name, frames=frames, side=larger_side)
    total += 5 * giganumbers_of_norms(name, frames=frames, side=larger_side)
    total += (windows - 1) * (432 * 2048 + 2048 * 400) / 1e9
    assert total == pytest.approx(pytorchvideo, abs=0.005)


@pytest.mark.parametrize(
    ("name", "side", "weights"),
    [
        ("r3d_18", 112, video.R3D_18_Weights),
        ("mc3_18", 112, video.MC3_18_Weights),
        ("r2plus1d_18", 112, video.R2Plus1D_18_Weights),
        ("s3d", 224, video.S3D_Weights),
        ("mvit_v2_s", 224, video.MViT_V2_S_Weights),
        ("swin3d_t", 224, video.Swin3D_T_Weights),
    ],
)
def test_torchvisions_networks_cost_what_it_publishes(name, side, weights):
    published = weights.KINETICS400_V1.meta["_ops"]
    assert gflops(name, frames=16, side=side) == pytest.approx(published, abs=6e-4)


@pytest.mark.parametrize(
    ("row", "added"), [("slow_r50_snl5", 0.03), ("slow_r50_gc5", 0.02), ("slow_r50_gc_all", 0.06)]
)
def test_shared_contexts_add_what_the_paper_says_they_add(row, added):
    """arXiv:1904.11492, table 5: 39.32, 39.31 and 39.35 over 39.29 GFLOPs."""
    ours = gflops(row) - gflops("slow_r50")
    assert ours == pytest.approx(added, abs=0.005)
    assert ours == pytest.approx(PAPER_ROWS[row].gflops - PAPER_ROWS["slow_r50"].gflops, abs=0.005)


def test_non_local_blocks_add_a_thousand_times_as_much():
    assert gflops("slow_r50_nl5") - gflops("slow_r50") == pytest.approx(22.23, abs=0.01)
    assert gflops("slow_r50_nl5_conv_then_pool") - gflops("slow_r50") == pytest.approx(28.40, abs=0.01)


def test_gc_resnet_50_on_one_image_costs_what_the_paper_says():
    """arXiv:1904.11492, ImageNet: 3.86 and 3.87 GFLOPs."""
    assert gflops("image_r50", frames=1) == pytest.approx(3.86, abs=0.005)
    assert gflops("image_r50_gc", frames=1) == pytest.approx(3.87, abs=0.005)


def test_networks_of_basic_blocks_cost_on_one_image_what_torchvision_says():
    assert gflops("image_r18", frames=1) == pytest.approx(1.814, abs=5e-4)
    assert gflops("image_r34", frames=1) == pytest.approx(3.664, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["slow_r50", "slow_r50_nl5", "slow_r50_gc_all"])
def test_our_count_is_torchs_at_full_size(name):
    counted, _ = count_flops(NETWORKS[name]().eval(), torch.zeros(1, 3, 8, 224, 224))
    assert counted == round(gflops(name) * 1e9)
