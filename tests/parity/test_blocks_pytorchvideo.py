"""The non-local block against pytorchvideo's, made of Conv3d and BatchNorm3d."""

import pytest
import torch
from pytorchvideo.layers.nonlocal_net import NonLocal, create_nonlocal

from gcvideo.blocks import NonLocalBlock
from tests.blocks.inputs import features, with_random_weights


def adopt(block: NonLocalBlock, theirs: NonLocal) -> None:
    """Their weights in our block, every key of both used."""
    layers = {
        "context.query": theirs.conv_theta,
        "context.key": theirs.conv_phi,
        "context.value": theirs.conv_g,
        "transform.0": theirs.conv_out,
        "transform.1": theirs.norm,
    }
    state = {
        f"{ours}.{name}": value.flatten(1) if value.ndim == 5 else value
        for ours, layer in layers.items()
        for name, value in layer.state_dict().items()
    }
    assert len(state) == len(theirs.state_dict())
    block.load_state_dict(state, strict=True)


@pytest.mark.parametrize("inner_channels", [4, 3])
@pytest.mark.parametrize(("subsampling", "pool_size"), [("none", None), ("pool_then_conv", (1, 2, 2))])
@pytest.mark.parametrize(
    ("instantiation", "theirs_is_called"),
    [("scaled_embedded_gaussian", "softmax"), ("dot_product", "dot_product")],
)
def test_the_non_local_block_equals_pytorchvideos(
    instantiation, theirs_is_called, subsampling, pool_size, inner_channels
):
    theirs = with_random_weights(
        create_nonlocal(
            dim_in=8,
            dim_inner=inner_channels,
            pool_size=pool_size,
            instantiation=theirs_is_called,
        )
    )
    block = NonLocalBlock(
        8, instantiation=instantiation, subsampling=subsampling, inner_channels=inner_channels
    ).double()
    adopt(block, theirs)

    for seed in range(2):
        x = features(2, 8, 3, 4, 6, seed=seed)
        torch.testing.assert_close(block(x), theirs(x))
    torch.testing.assert_close(block.transform[1].running_var, theirs.norm.running_var)
    odd = features(2, 8, 3, 5, 7)
    torch.testing.assert_close(block.eval()(odd), theirs.eval()(odd))


def test_the_papers_unscaled_logits_equal_pytorchvideos_with_a_wider_query():
    """softmax(<q, k>) is softmax(<sqrt(E) q, k> / sqrt(E))."""
    theirs = with_random_weights(create_nonlocal(dim_in=8, dim_inner=4)).eval()
    block = NonLocalBlock(8, subsampling="none").double().eval()
    adopt(block, theirs)
    x = features(2, 8, 3, 4, 6)
    assert not torch.allclose(block(x), theirs(x))
    with torch.no_grad():
        theirs.conv_theta.weight.mul_(4**0.5)
        theirs.conv_theta.bias.mul_(4**0.5)
    torch.testing.assert_close(block(x), theirs(x))


def test_gradients_equal_pytorchvideos():
    theirs = with_random_weights(create_nonlocal(dim_in=8, dim_inner=4, pool_size=(1, 2, 2)))
    block = NonLocalBlock(8, instantiation="scaled_embedded_gaussian").double()
    adopt(block, theirs)
    x, towards = features(2, 8, 3, 4, 6), features(2, 8, 3, 4, 6, seed=1)
    for module in (block, theirs):
        (module(x) * towards).sum().backward()
    torch.testing.assert_close(block.context.query.weight.grad, theirs.conv_theta.weight.grad.flatten(1))
    torch.testing.assert_close(block.context.key.weight.grad, theirs.conv_phi.weight.grad.flatten(1))
    torch.testing.assert_close(block.context.value.weight.grad, theirs.conv_g.weight.grad.flatten(1))
    torch.testing.assert_close(block.transform[0].weight.grad, theirs.conv_out.weight.grad.flatten(1))
