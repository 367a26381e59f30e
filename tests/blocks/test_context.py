import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gcvideo.blocks import (
    AttentionPool,
    AveragePool,
    ConcatAffinity,
    DotProductAffinity,
    PairwiseAttention,
    Pointwise,
    SoftmaxAffinity,
    SpatialMaxPool,
)
from tests.blocks import equations
from tests.blocks.inputs import POSITIONS, features, with_random_weights

AFFINITIES = {
    "embedded_gaussian": lambda: SoftmaxAffinity(),
    "scaled_embedded_gaussian": lambda: SoftmaxAffinity(scale=3**-0.5),
    "dot_product": DotProductAffinity,
    "concat": lambda: ConcatAffinity(3),
}


def pairwise(affinity: str, channels: int = 4) -> PairwiseAttention:
    return with_random_weights(
        PairwiseAttention(
            AFFINITIES[affinity](),
            query=Pointwise(channels, 3),
            key=Pointwise(channels, 3),
            value=Pointwise(channels, 2),
        )
    )


def in_words_of_the_paper(affinity: str, part: PairwiseAttention):
    return {
        "embedded_gaussian": equations.gaussian,
        "scaled_embedded_gaussian": equations.scaled_gaussian,
        "dot_product": equations.dot_product,
        "concat": equations.concat(part.affinity.score.weight[0]) if affinity == "concat" else None,
    }[affinity]


@pytest.mark.parametrize("positions", POSITIONS)
def test_average_pool_is_the_mean_over_positions(positions):
    x = features(2, 4, *positions)
    context = AveragePool()(x)
    assert context.shape == (2, 4, *(1 for _ in positions))
    for clip, pooled in zip(x.flatten(2), context.flatten(1), strict=True):
        P = clip.shape[1]
        torch.testing.assert_close(pooled, equations.pooled(clip, [1 / P] * P))


@pytest.mark.parametrize("positions", POSITIONS)
def test_attention_pool_is_the_papers_weighted_sum(positions):
    x = features(2, 4, *positions)
    part = with_random_weights(AttentionPool(4))
    context = part(x)
    assert context.shape == (2, 4, *(1 for _ in positions))
    W_k, b_k = part.key.weight[0], part.key.bias[0]
    for b, clip in enumerate(x.flatten(2)):
        weights = equations.attention_pool_weights(clip, W_k, b_k)
        torch.testing.assert_close(part.attention(x)[b, 0], torch.stack(weights))
        torch.testing.assert_close(context[b].flatten(), equations.pooled(clip, weights))


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_gradient_of_an_attention_pool_is_that_of_its_equation(positions):
    x = features(2, 4, *positions).requires_grad_()
    part = with_random_weights(AttentionPool(4))
    by_context = features(2, 4, seed=1)
    W_k, b_k = part.key.weight, part.key.bias
    contexts = [
        equations.pooled(clip, equations.attention_pool_weights(clip, W_k[0], b_k[0]))
        for clip in x.flatten(2)
    ]
    expected = torch.autograd.grad(torch.stack(contexts), (x, W_k, b_k), by_context)
    found = torch.autograd.grad(part(x).flatten(1), (x, W_k, b_k), by_context)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("needed", [(0,), (1,), (0, 2)])
def test_an_attention_pool_has_the_gradients_that_are_asked_for(needed):
    given = [features(2, 4, 3, 1, 4), *with_random_weights(AttentionPool(4)).parameters()]

    def pool(x, weight, bias):
        part = AttentionPool(4).double()
        return torch.func.functional_call(part, {"key.weight": weight, "key.bias": bias}, (x,)).flatten(1)

    arguments = [tensor.detach().requires_grad_(number in needed) for number, tensor in enumerate(given)]
    assert torch.autograd.gradcheck(pool, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_an_attention_pool_has_the_dtype_and_memory_format_of_its_features(dtype):
    """Also under mixed precision, and as near to float64 as a rounding of the features is."""
    part = with_random_weights(AttentionPool(8)).float()
    x = features(2, 8, 3, 4, 4)
    by_context = features(2, 8, 1, 1, 1, seed=1)
    expected = torch.autograd.grad(part.double()(x.requires_grad_()), x, by_context)[0]
    part.float()
    for memory_format in (torch.contiguous_format, torch.channels_last_3d):
        given = x.detach().to(dtype).to(memory_format=memory_format).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            context = part(given)
        (gradient,) = torch.autograd.grad(context, given, by_context.to(context.dtype))
        assert (context.dtype, gradient.dtype) == (dtype, dtype)
        assert gradient.is_contiguous(memory_format=memory_format)
        assert (gradient.double() - expected).norm() < 2 * torch.finfo(dtype).eps * expected.norm()


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("affinity", AFFINITIES)
def test_pairwise_attention_is_the_papers_sum_over_pairs(affinity, positions):
    x = features(2, 4, *positions)
    part = pairwise(affinity)
    context, weights = part(x), part.attention(x)
    assert context.shape == (2, 2, *positions)
    for b, clip in enumerate(x.flatten(2)):
        queries, keys, values = (
            [layer.weight @ clip[:, i] + layer.bias for i in range(clip.shape[1])]
            for layer in (part.query, part.key, part.value)
        )
        expected, expected_weights = equations.non_local(
            queries, keys, values, in_words_of_the_paper(affinity, part)
        )
        torch.testing.assert_close(context[b].flatten(1).mT, expected)
        torch.testing.assert_close(weights[b], expected_weights)


def test_gaussian_attention_compares_the_features_themselves():
    x = features(1, 3, 2, 3)
    part = PairwiseAttention(
        SoftmaxAffinity(),
        query=torch.nn.Identity(),
        key=torch.nn.Identity(),
        value=torch.nn.Identity(),
    )
    rows = list(x.flatten(2)[0].mT)
    expected, weights = equations.non_local(rows, rows, rows, equations.gaussian)
    torch.testing.assert_close(part(x)[0].flatten(1).mT, expected)
    torch.testing.assert_close(part.attention(x)[0], weights)


@pytest.mark.parametrize("order", ["pool_then_conv", "conv_then_pool"])
def test_subsampled_positions_are_the_maxima_of_1x2x2_cells(order):
    x = features(1, 4, 2, 4, 6)
    pools = {"pool_then_conv": "pool_input", "conv_then_pool": "pool_output"}
    full = pairwise("embedded_gaussian")
    part = PairwiseAttention(
        full.affinity,
        query=full.query,
        key=full.key,
        value=full.value,
        **{pools[order]: SpatialMaxPool()},
    )

    def linear(layer, clip):  # C T H W -> D T H W
        rows = [layer.weight @ column + layer.bias for column in clip.flatten(1).mT]
        return torch.stack(rows, dim=1).unflatten(1, clip.shape[1:])

    def reference(layer):
        if order == "pool_then_conv":
            y = linear(layer, equations.max_pool_1x2x2(x[0]))
        else:
            y = equations.max_pool_1x2x2(linear(layer, x[0]))
        return list(y.flatten(1).mT)

    expected, weights = equations.non_local(
        list(linear(part.query, x[0]).flatten(1).mT),
        reference(part.key),
        reference(part.value),
        equations.gaussian,
    )
    torch.testing.assert_close(part(x)[0].flatten(1).mT, expected)
    torch.testing.assert_close(part.attention(x)[0], weights)
    assert weights.shape == (2 * 4 * 6, 2 * 2 * 3)


def test_the_two_orders_of_pooling_are_different_functions():
    x = features(1, 4, 2, 4, 6)
    full = pairwise("embedded_gaussian")
    parts = {"query": full.query, "key": full.key, "value": full.value}
    before = PairwiseAttention(full.affinity, **parts, pool_input=SpatialMaxPool())
    after = PairwiseAttention(full.affinity, **parts, pool_output=SpatialMaxPool())
    assert not torch.allclose(before(x), after(x))


@settings(max_examples=15, deadline=None)
@given(
    positions=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    num_clips=st.integers(1, 3),
    magnitude=st.sampled_from([0.1, 1.0, 300.0]),
)
def test_attention_rows_sum_to_one_where_the_affinity_is_normalised(positions, num_clips, magnitude):
    x = magnitude * features(num_clips, 4, *positions)
    parts = [
        AveragePool(),
        with_random_weights(AttentionPool(4)),
        pairwise("embedded_gaussian"),
        pairwise("scaled_embedded_gaussian"),
    ]
    for part in parts:
        weights = part.attention(x)
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones_like(weights[..., 0]))


def test_attention_of_an_average_is_one_over_the_number_of_positions():
    weights = AveragePool().attention(features(2, 4, 3, 2, 4))
    torch.testing.assert_close(weights, torch.full((2, 1, 24), 1 / 24, dtype=torch.float64))


def test_large_logits_overflow_nothing_under_mixed_precision():
    x = 200 * features(1, 8, 2, 4, 4).float()
    for part in (AttentionPool(8), pairwise("embedded_gaussian", channels=8).float()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            weights, context = part.attention(x), part(x)
        assert context.isfinite().all()
        # One rounding to bfloat16 is 1 part in 256.
        torch.testing.assert_close(
            weights.float().sum(-1), torch.ones_like(weights[..., 0]).float(), atol=0.01, rtol=0
        )


def test_spatial_pooling_of_a_sequence_says_what_it_takes():
    with pytest.raises(ValueError, match=r"shape \(2, 4, 6\).*\[B C H W\]"):
        SpatialMaxPool()(features(2, 4, 6))


def test_spatial_pooling_of_a_single_cell_says_what_it_takes():
    with pytest.raises(ValueError, match=r"H, W >= 2"):
        SpatialMaxPool()(features(2, 4, 3, 1, 2))


def test_spatial_pooling_takes_images_as_it_takes_the_frames_of_a_clip():
    clip = features(2, 4, 3, 5, 6)
    frames = torch.stack([SpatialMaxPool()(clip[:, :, t]) for t in range(3)], dim=2)
    torch.testing.assert_close(SpatialMaxPool()(clip), frames)
    torch.testing.assert_close(SpatialMaxPool()(clip)[0], equations.max_pool_1x2x2(clip[0]))
