import math
import re
from collections.abc import Callable
from functools import partial

import jaxtyping
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from torch import nn

from gcvideo import blocks
from gcvideo.blocks import (
    GlobalContextBlock,
    NonLocalBlock,
    SimplifiedNonLocalBlock,
    SqueezeExcitationBlock,
)
from tests.blocks import equations
from tests.blocks.inputs import POSITIONS, features, with_random_weights

INSTANTIATIONS = [
    "gaussian",
    "embedded_gaussian",
    "scaled_embedded_gaussian",
    "dot_product",
    "concat",
]
ADDITIVE = {
    **{
        f"non_local-{instantiation}-{subsampling}": partial(
            NonLocalBlock, instantiation=instantiation, subsampling=subsampling
        )
        for instantiation in INSTANTIATIONS
        for subsampling in ("none", "pool_then_conv", "conv_then_pool")
    },
    "simplified": SimplifiedNonLocalBlock,
    "simplified-first-form": partial(SimplifiedNonLocalBlock, order="transform_then_pool"),
    "global_context": GlobalContextBlock,
    "global_context-average": partial(GlobalContextBlock, pooling="average"),
    "global_context-plain": partial(GlobalContextBlock, bottleneck_norm="none", bottleneck_activation="none"),
}
SCALING = {
    "squeeze_excitation": partial(SqueezeExcitationBlock, reduction_ratio=2),
    "global_context-scale": partial(GlobalContextBlock, fusion="scale"),
    "global_context-both": partial(GlobalContextBlock, fusion="both"),
}
ALL = {**ADDITIVE, **SCALING}
UNORDERED = {name: build for name, build in ALL.items() if "pool_" not in name and "_pool" not in name}


def every(instances: dict[str, Callable[[int], nn.Module]]):
    return pytest.mark.parametrize("build", instances.values(), ids=instances.keys())


def num_parameters(*instances: nn.Module) -> int:
    return sum(parameter.numel() for block in instances for parameter in block.parameters())


# Equations


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("bottleneck_norm", ["layer", "none"])
@pytest.mark.parametrize("bottleneck_activation", ["relu", "none"])
def test_the_global_context_block_is_the_papers_equation(bottleneck_activation, bottleneck_norm, positions):
    x = features(2, 8, *positions)
    block = with_random_weights(
        GlobalContextBlock(
            8,
            reduction_ratio=4,
            bottleneck_norm=bottleneck_norm,
            bottleneck_activation=bottleneck_activation,
        )
    )
    reduce, norm, expand = block.transform.reduce, block.transform.norm, block.transform.expand
    for clip, z in zip(x.flatten(2), block(x).flatten(2), strict=True):
        key = block.context.key
        weights = equations.attention_pool_weights(clip, key.weight[0], key.bias[0])
        hidden = reduce.weight @ equations.pooled(clip, weights) + reduce.bias
        if bottleneck_norm == "layer":
            hidden = equations.layer_norm(hidden, norm.weight, norm.bias)
        if bottleneck_activation == "relu":
            hidden = equations.relu(hidden)
        y = expand.weight @ hidden + expand.bias
        for i in range(clip.shape[1]):
            torch.testing.assert_close(z[:, i], clip[:, i] + y)


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_squeeze_excitation_block_is_the_papers_equation(positions):
    x = features(2, 8, *positions)
    block = with_random_weights(SqueezeExcitationBlock(8, reduction_ratio=2))
    reduce, expand = block.transform.reduce, block.transform.expand
    for clip, z in zip(x.flatten(2), block(x).flatten(2), strict=True):
        P = clip.shape[1]
        hidden = equations.relu(reduce.weight @ equations.pooled(clip, [1 / P] * P) + reduce.bias)
        gate = equations.sigmoid(expand.weight @ hidden + expand.bias)
        for i in range(P):
            torch.testing.assert_close(z[:, i], clip[:, i] * gate)


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_simplified_non_local_block_is_the_papers_first_form(positions):
    """Against sum_j a_j W_v x_j, which the block's second form never computes."""
    x = features(2, 4, *positions)
    block = with_random_weights(SimplifiedNonLocalBlock(4))
    W_v, b_v = block.transform.weight, block.transform.bias
    for clip, z in zip(x.flatten(2), block(x).flatten(2), strict=True):
        key = block.context.key
        weights = equations.attention_pool_weights(clip, key.weight[0], key.bias[0])
        y = sum(a * (W_v @ clip[:, j] + b_v) for j, a in enumerate(weights))
        for i in range(clip.shape[1]):
            torch.testing.assert_close(z[:, i], clip[:, i] + y)


@pytest.mark.parametrize("positions", POSITIONS)
def test_both_forms_of_the_simplified_non_local_block_are_one_function(positions):
    x = features(2, 4, *positions)
    second = with_random_weights(SimplifiedNonLocalBlock(4))
    first = SimplifiedNonLocalBlock(4, order="transform_then_pool").double()
    first.context.key.load_state_dict(second.context.key.state_dict())
    first.context.value.load_state_dict(second.transform.state_dict())
    torch.testing.assert_close(first(x), second(x))


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("instantiation", INSTANTIATIONS)
def test_the_non_local_block_is_the_papers_equation(instantiation, positions):
    """In train mode: the batch's own statistics normalise W_z y."""
    x = features(2, 4, *positions)
    block = with_random_weights(NonLocalBlock(4, instantiation=instantiation, subsampling="none"))
    parts = block.context
    affinity = {
        "gaussian": lambda: equations.gaussian,
        "embedded_gaussian": lambda: equations.gaussian,
        "scaled_embedded_gaussian": lambda: equations.scaled_gaussian,
        "dot_product": lambda: equations.dot_product,
        "concat": lambda: equations.concat(parts.affinity.score.weight[0]),
    }[instantiation]()
    W_z, norm = block.transform
    rows = []
    for clip in x.flatten(2):
        x_rows = list(clip.mT)
        values = [parts.value.weight @ x_i + parts.value.bias for x_i in x_rows]
        queries, keys = x_rows, x_rows
        if instantiation != "gaussian":
            queries = [parts.query.weight @ x_i + parts.query.bias for x_i in x_rows]
            keys = [parts.key.weight @ x_i + parts.key.bias for x_i in x_rows]
        y, _ = equations.non_local(queries, keys, values, affinity)
        rows += [W_z.weight @ y_i + W_z.bias for y_i in y]
    normed = equations.batch_norm(torch.stack(rows), norm.weight, norm.bias)
    expected = x.flatten(2) + normed.unflatten(0, (2, -1)).mT
    torch.testing.assert_close(block(x).flatten(2), expected)


# Properties


@every(ADDITIVE)
def test_an_additive_block_is_the_identity_at_initialisation(build):
    torch.manual_seed(0)
    block = build(8)
    for positions in ((4, 6), (3, 4, 6)):
        x = features(2, 8, *positions).float()
        assert torch.equal(block.train()(x), x)
        assert torch.equal(block.eval()(x), x)


@every(ADDITIVE)
def test_an_additive_block_leaves_the_identity_after_one_step(build):
    torch.manual_seed(0)
    block = build(8)
    x = features(2, 8, 3, 4, 6).float()
    optimizer = torch.optim.SGD(block.parameters(), lr=1.0)
    (block(x) * features(*x.shape, seed=1)).sum().backward()
    optimizer.step()
    assert not torch.allclose(block(x), x)


@every(ALL)
def test_every_parameter_and_the_input_receive_a_gradient(build):
    block = with_random_weights(build(8)).eval()
    x = features(2, 8, 2, 4, 4).requires_grad_()
    (block(x) * features(*x.shape, seed=1)).sum().backward()
    assert x.grad.any()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        # A softmax takes no notice of a constant added to all its logits.
        assert parameter.grad.abs().max() > 1e-12 or name == "context.key.bias", name


@every(ALL)
def test_gradients_are_those_of_finite_differences(build):
    block = with_random_weights(build(4)).eval()
    x = features(1, 4, 1, 2, 4).requires_grad_()
    parameters = list(block.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: block(x), (x, *parameters), fast_mode=True)


@every(ALL)
def test_clips_of_a_batch_do_not_see_each_other(build):
    block = with_random_weights(build(8)).eval()
    x = features(3, 8, 2, 4, 4)
    alone = torch.cat([block(clip[None]) for clip in x])
    torch.testing.assert_close(block(x), alone)


@every(ALL)
def test_a_channels_last_clip_gives_the_same_and_stays_channels_last(build):
    block = with_random_weights(build(8))
    x = features(2, 8, 3, 4, 6)
    block(x)  # running statistics once, so that train mode has moved them before eval
    channels_last = x.to(memory_format=torch.channels_last_3d)
    block.eval()
    z = block(channels_last)
    torch.testing.assert_close(z, block(x))
    assert z.is_contiguous(memory_format=torch.channels_last_3d)
    assert block(x).is_contiguous()


@settings(max_examples=20, deadline=None)
@given(
    build=st.sampled_from(list(UNORDERED.values())),
    positions=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    seed=st.integers(0, 100),
)
def test_permuting_positions_permutes_the_output_alike(build, positions, seed):
    block = with_random_weights(build(4)).eval()
    x = features(2, 4, *positions, seed=seed).flatten(2)
    order = torch.randperm(math.prod(positions), generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(block(x[:, :, order]), block(x)[:, :, order])


@settings(max_examples=20, deadline=None)
@given(
    build=st.sampled_from(list(UNORDERED.values())),
    positions=st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_the_arrangement_of_positions_in_axes_does_not_matter(build, positions):
    block = with_random_weights(build(4)).eval()
    x = features(2, 4, *positions)
    torch.testing.assert_close(block(x).flatten(2), block(x.flatten(2)))


@pytest.mark.parametrize(
    "build",
    [
        SimplifiedNonLocalBlock,
        GlobalContextBlock,
        partial(SqueezeExcitationBlock, reduction_ratio=2),
    ],
)
def test_a_shared_context_ignores_the_order_of_positions(build):
    context = with_random_weights(build(4)).context
    x = features(2, 4, 3, 2, 4)
    torch.testing.assert_close(context(x.flip(2, 3, 4)), context(x))
    assert context(x).shape == (2, 4, 1, 1, 1)


def test_the_embeddings_of_a_non_local_block_start_small():
    torch.manual_seed(0)
    parts = NonLocalBlock(256).context
    for layer in (parts.query, parts.key, parts.value):
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03)
        assert not layer.bias.any()


def test_a_context_of_its_own_differs_between_positions():
    context = with_random_weights(NonLocalBlock(4, subsampling="none")).context(features(1, 4, 6))
    assert context.std(dim=2).min() > 1e-3


@every(ALL)
def test_a_half_precision_clip_keeps_its_type(build):
    x = features(2, 8, 2, 4, 4).bfloat16()
    z = with_random_weights(build(8)).bfloat16().eval()(x)
    assert z.dtype == torch.bfloat16
    assert z.isfinite().all()


# The published parameter counts, in millions. Five blocks stand in res3 (twice, 512 channels) and
# res4 (three times, 1024); "all" is 4, 6 and 3 blocks of res3, res4 and res5 (2048).


@pytest.mark.parametrize(
    ("build", "baseline_millions", "with_blocks_millions"),
    [
        (NonLocalBlock, 32.454, 39.813),
        (SimplifiedNonLocalBlock, 32.454, 36.132),
        (GlobalContextBlock, 32.454, 34.300),
    ],
    ids=["NL", "SNL", "GC"],
)
def test_five_blocks_have_the_published_parameters(build, baseline_millions, with_blocks_millions):
    added = num_parameters(*(build(channels) for channels in [512] * 2 + [1024] * 3))
    assert baseline_millions + added / 1e6 == pytest.approx(with_blocks_millions, abs=0.001)


@pytest.mark.parametrize(
    ("reduction_ratio", "baseline_millions", "with_blocks_millions"),
    [(4, 32.454, 42.455), (16, 25.56, 28.08)],
    ids=["video-r4", "image-r16"],
)
def test_thirteen_global_context_blocks_have_the_published_parameters(
    reduction_ratio, baseline_millions, with_blocks_millions
):
    widths = [512] * 4 + [1024] * 6 + [2048] * 3
    with torch.device("meta"):
        added = num_parameters(
            *(GlobalContextBlock(width, reduction_ratio=reduction_ratio) for width in widths)
        )
    assert baseline_millions + added / 1e6 == pytest.approx(with_blocks_millions, abs=0.01)


# Errors and configs


@pytest.fixture
def without_type_checks():
    """As in production, where no type checker stands before the block's own errors."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("without_type_checks")
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: GlobalContextBlock(64, reduction_ratio=6),
            "reduction_ratio 6 does not divide 64 channels; expected a divisor",
        ),
        (
            lambda: SqueezeExcitationBlock(8),
            "reduction_ratio 16 does not divide 8 channels; expected a divisor",
        ),
        (
            lambda: GlobalContextBlock(8, reduction_ratio=0),
            "reduction_ratio 0 does not divide 8 channels; expected a divisor",
        ),
        (
            lambda: GlobalContextBlock(8, pooling="max"),
            "pooling 'max' is unknown; expected one of attention, average",
        ),
        (
            lambda: GlobalContextBlock(8, fusion="sum"),
            "fusion 'sum' is unknown; expected one of add, scale, both",
        ),
        (
            lambda: GlobalContextBlock(8, bottleneck_norm="batch"),
            "bottleneck_norm 'batch' is unknown; expected one of layer, none",
        ),
        (
            lambda: GlobalContextBlock(8, bottleneck_activation="gelu"),
            "bottleneck_activation 'gelu' is unknown; expected one of relu, none",
        ),
        (
            lambda: SimplifiedNonLocalBlock(8, order="second"),
            "order 'second' is unknown; expected one of pool_then_transform, transform_then_pool",
        ),
        (
            lambda: NonLocalBlock(8, instantiation="softmax"),
            f"instantiation 'softmax' is unknown; expected one of {', '.join(INSTANTIATIONS)}",
        ),
        (
            lambda: NonLocalBlock(8, subsampling="average"),
            "subsampling 'average' is unknown; expected one of none, pool_then_conv, conv_then_pool",
        ),
        (
            lambda: NonLocalBlock(8, inner_channels=0),
            "inner_channels is 0 for 8 channels; expected 1 or more",
        ),
    ],
)
def test_an_impossible_block_says_what_would_do(build, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the whole message is compared
        build()
    assert str(error.value) == message


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # jsonargparse's own renaming
@pytest.mark.parametrize(
    ("class_name", "init_args", "num_parameters_at_16"),
    [
        ("GlobalContextBlock", {"reduction_ratio": 4}, 17 + (16 * 4 + 4) + 8 + (4 * 16 + 16)),
        ("SimplifiedNonLocalBlock", {}, 17 + 16 * 16 + 16),
        ("NonLocalBlock", {"inner_channels": 2}, 3 * (16 * 2 + 2) + (2 * 16 + 16) + 32),
        ("SqueezeExcitationBlock", {"reduction_ratio": 8}, (16 * 2 + 2) + (2 * 16 + 16)),
    ],
)
def test_a_config_binds_a_block_and_leaves_the_channels_open(class_name, init_args, num_parameters_at_16):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--block", type=Callable[[int], nn.Module])
    config = parser.parse_object(
        {"block": {"class_path": f"gcvideo.blocks.{class_name}", "init_args": init_args}}
    )
    block = parser.instantiate_classes(config).block(16)
    assert type(block) is getattr(blocks, class_name)
    assert num_parameters(block) == num_parameters_at_16


@every(ALL)
@pytest.mark.parametrize(
    ("shape", "remedy"),
    [
        ((2, 4, 3, 6, 6), ""),  # of another stage
        ((2, 196, 8), "; call it with x.mT"),  # tokens
        ((8, 3, 6, 6), ""),  # a clip without a batch
        ((2, 8), ""),
    ],
)
def test_a_map_of_another_shape_is_refused_in_words_of_the_block(build, shape, remedy):
    block = build(8)
    expected = f"expected 8 channels in dim 1 and position axes behind it, found a map of shape {list(shape)}"
    with pytest.raises(ValueError, match=re.escape(f"{type(block).__name__}: {expected}{remedy}") + "$"):
        block(torch.zeros(shape))


def test_a_block_of_ones_own_may_leave_its_channels_open():
    block = blocks.ContextBlock(blocks.AveragePool(), nn.Identity(), blocks.Add())
    x = features(2, 8, 3)
    torch.testing.assert_close(block(x), x + x.mean(dim=2, keepdim=True))
    with pytest.raises(ValueError, match="ContextBlock: expected C channels in dim 1 and position axes"):
        block(features(2, 8))
