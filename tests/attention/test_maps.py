"""Attention maps at the size of the frames: the right query's, in the right place."""

import pytest
import torch

from gcvideo.attention import Query, attention_layers, channel_weights, has_map, over_frames
from gcvideo.blocks import GlobalContextBlock, NonLocalBlock, SqueezeExcitationBlock
from tests.blocks.inputs import features, with_random_weights

SIZE = (2, 3, 4)


@pytest.mark.parametrize("instantiation", ["embedded_gaussian", "dot_product"])
def test_a_layer_is_the_attention_row_of_its_query(instantiation: str) -> None:
    block = with_random_weights(NonLocalBlock(4, instantiation=instantiation, subsampling="none"))
    x = features(1, 4, *SIZE)
    queries = [Query(0.9, 0.1, 0.6), Query(0, 1, 1)]
    found = attention_layers(block.context, x, queries, clip_size=SIZE)
    rows = block.context.attention(x)[0].view(*SIZE, *SIZE)
    for layer, cell in zip(found.layers, [(1, 0, 2), (0, 2, 3)], strict=True):
        torch.testing.assert_close(layer.values.double(), 24 * rows[cell], rtol=1e-5, atol=1e-5)
        assert layer.point is not None
        assert layer.point.cell(SIZE) == cell
    assert found.legend == {"dot_product": "f(x_i, x_j)"}.get(
        instantiation, "attention weight relative to a uniform one"
    )


def test_a_shared_map_is_drawn_once_and_is_one_on_average() -> None:
    block = with_random_weights(GlobalContextBlock(4, reduction_ratio=2))
    x = features(1, 4, *SIZE)
    (layer,) = attention_layers(block.context, x, [Query(0, 0, 0)] * 3, clip_size=SIZE).layers
    assert layer.point is None
    torch.testing.assert_close(layer.values.flatten() / 24, block.context.attention(x)[0, 0].float())
    assert layer.values.mean().item() == pytest.approx(1)


@pytest.mark.parametrize("subsampling", ["pool_then_conv", "conv_then_pool"])
def test_subsampled_keys_lie_over_the_cells_that_they_were_pooled_from(subsampling: str) -> None:
    """A clip that is bright in one corner cell of an odd map: attention to it must be drawn there."""
    block = NonLocalBlock(1, inner_channels=1, subsampling=subsampling).eval()
    with torch.no_grad():
        block.context.query.weight.fill_(1)
        block.context.key.weight.fill_(1)
    x = torch.full((1, 1, 2, 7, 7), 1.0)
    x[0, 0, 1, 4, 3] = 9.0
    (layer,) = attention_layers(block.context, x, [Query(0, 0, 0)], clip_size=(2, 70, 70)).layers
    frame, row, column = torch.unravel_index(layer.values.argmax(), layer.values.shape)
    assert frame == 1
    assert 40 <= row < 60  # rows 4 and 5 of the map are one key
    assert 20 <= column < 40
    assert (layer.values[:, 60:] == 0).all()  # row and column 6 are no key's
    assert (layer.values[:, :, 60:] == 0).all()


@pytest.mark.parametrize(("cells", "keys"), [(8, 8), (8, 4), (7, 3)])
def test_keys_stand_at_the_middle_of_what_they_cover(cells: int, keys: int) -> None:
    pixels, pool = 112, cells // keys
    middles = (torch.arange(keys) * pool + pool / 2) * pixels / cells - 0.5  # of each key, in pixels
    ramp = middles.view(1, 1, 1, keys).expand(1, 1, keys, keys)
    values = over_frames(ramp, map_size=(1, cells, cells), clip_size=(1, pixels, pixels))[0, 0, 0]
    between = torch.arange(pixels)[
        (torch.arange(pixels) >= middles[0]) & (torch.arange(pixels) <= middles[-1])
    ]
    # Linear interpolation gives a linear function back.
    torch.testing.assert_close(values[between], between.float(), atol=1e-3, rtol=0)


def test_fewer_frames_on_the_map_than_in_the_clip_are_spread_over_it() -> None:
    values = over_frames(torch.tensor([0.0, 1]).view(1, 2, 1, 1), map_size=(2, 1, 1), clip_size=(8, 2, 2))
    assert values[0, :, 0, 0].diff().ge(0).all()
    assert values[0, :, 0, 0].tolist() == [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1]


def test_squeeze_excitation_has_channel_weights_and_no_map() -> None:
    block = with_random_weights(SqueezeExcitationBlock(4, reduction_ratio=2))
    x = features(1, 4, *SIZE)
    assert not has_map(block)
    weights = channel_weights(block, x)
    assert weights is not None
    torch.testing.assert_close(weights[:, None].expand(4, 24), (block(x) / x)[0].flatten(1))


def test_an_additive_block_has_a_map_and_no_channel_weights() -> None:
    block = GlobalContextBlock(4, reduction_ratio=2)
    assert has_map(block)
    assert channel_weights(block, torch.zeros(1, 4, *SIZE)) is None


def test_the_ends_of_a_clip_are_its_first_and_last_cells() -> None:
    assert Query.parse("0,0,0").cell((8, 7, 5)) == (0, 0, 0)
    assert Query.parse("1,1,1").cell((8, 7, 5)) == (7, 6, 4)
    assert Query.parse("0.5, 0.5, 0.5").cell((8, 7, 5)) == (4, 3, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5,0.5", "query '0.5,0.5' is not three numbers; expected T,Y,X"),
        ("a,0,0", "is not three numbers"),
        ("0.5,1.2,0", "query '0.5,1.2,0': y is 1.2; expected 0..1"),
        ("-0.1,0,0", "time is -0.1; expected 0..1"),
        ("nan,0,0", "time is nan; expected 0..1"),
    ],
)
def test_a_query_that_is_no_point_of_the_clip_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Query.parse(text)
