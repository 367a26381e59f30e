import pytest
import torch
from torch import nn

from gcvideo.blocks import BatchNorm, Bottleneck, Branches, Pointwise, start_at_zero
from tests.blocks import equations
from tests.blocks.inputs import POSITIONS, features, with_random_weights


@pytest.mark.parametrize("positions", POSITIONS)
def test_pointwise_is_one_linear_map_at_every_position(positions):
    x = features(2, 4, *positions)
    layer = with_random_weights(Pointwise(4, 3))
    y = layer(x)
    assert y.shape == (2, 3, *positions)
    for clip, mapped in zip(x.flatten(2), y.flatten(2), strict=True):
        for i in range(clip.shape[1]):
            torch.testing.assert_close(mapped[:, i], layer.weight @ clip[:, i] + layer.bias)


@pytest.mark.parametrize(
    ("conv", "positions"),
    [(nn.Conv1d, (5,)), (nn.Conv2d, (2, 4)), (nn.Conv3d, (3, 2, 4))],
)
def test_pointwise_is_the_convolution_of_size_one_whose_weight_it_holds(conv, positions):
    x = features(2, 4, *positions)
    conv = conv(4, 3, kernel_size=1).double()
    layer = Pointwise(4, 3).double()
    layer.load_state_dict({"weight": conv.weight.flatten(1), "bias": conv.bias})
    torch.testing.assert_close(layer(x), conv(x))


@pytest.mark.parametrize(
    ("torch_norm", "positions"),
    [(nn.BatchNorm1d, (5,)), (nn.BatchNorm2d, (2, 4)), (nn.BatchNorm3d, (3, 2, 4))],
)
def test_batch_norm_is_torchs_for_that_number_of_axes(torch_norm, positions):
    ours = with_random_weights(BatchNorm(4))
    theirs = with_random_weights(torch_norm(4))
    for seed in range(2):
        x = features(2, 4, *positions, seed=seed)
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_batch_norm_becomes_synchronised_like_any_other():
    block = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(BatchNorm(4)))
    assert isinstance(block[0], nn.SyncBatchNorm)


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("norm", [nn.LayerNorm(2), nn.Identity()], ids=["layer", "none"])
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.Identity()], ids=["relu", "none"])
def test_bottleneck_is_the_papers_two_layers(norm, activation, positions):
    part = with_random_weights(Bottleneck(4, hidden_channels=2, norm=norm, activation=activation), seed=3)
    context = features(2, 4, *positions)
    y = part(context)
    assert y.shape == context.shape
    for before, after in zip(context.flatten(2), y.flatten(2), strict=True):
        for i in range(before.shape[1]):
            hidden = part.reduce.weight @ before[:, i] + part.reduce.bias
            if isinstance(norm, nn.LayerNorm):
                hidden = equations.layer_norm(hidden, norm.weight, norm.bias)
            if isinstance(activation, nn.ReLU):
                hidden = equations.relu(hidden)
            torch.testing.assert_close(after[:, i], part.expand.weight @ hidden + part.expand.bias)


def test_branches_give_one_context_to_every_transform():
    context = features(2, 4, 1, 1, 1)
    first, second = (with_random_weights(Pointwise(4, 4), seed=seed) for seed in (1, 2))
    y = Branches(first, second)(context)
    torch.testing.assert_close(y, (first(context), second(context)))
    assert not torch.allclose(*y)


@pytest.mark.parametrize(
    "transform",
    [
        Pointwise(4, 4),
        Bottleneck(4, hidden_channels=2, norm=nn.LayerNorm(2), activation=nn.ReLU()),
        nn.Sequential(Pointwise(4, 4), BatchNorm(4)),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_a_transform_that_starts_at_zero_returns_exact_zeros_and_still_learns(transform):
    start_at_zero(transform)
    y = transform(features(3, 4, 2, 3).float())
    assert not y.any()
    y.backward(torch.randn_like(y))
    assert any(parameter.grad.any() for parameter in transform.parameters())


def test_only_the_last_layer_starts_at_zero():
    transform = Bottleneck(4, hidden_channels=2, norm=nn.LayerNorm(2), activation=nn.ReLU())
    start_at_zero(transform)
    assert not transform.expand.weight.any()
    assert not transform.expand.bias.any()
    assert transform.reduce.weight.all()
    assert transform.norm.weight.all()
