import pytest
import torch
from torch import nn

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.blocks import GlobalContextBlock
from gcvideo.evaluation import video_probabilities, view_logits


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    network = VideoResNet(
        5, width=0.0625, block=GlobalContextBlock, placement=Placement(res4="all", position="after_1x1x1")
    ).double()
    for name, parameter in network.named_parameters():
        if ".context." in name or "proj" in name:  # which start at or near zero
            nn.init.normal_(parameter, std=0.5)
    return network.eval()


@torch.no_grad()
def test_thirty_view_probabilities_are_the_mean_of_thirty_separate_ones(network):
    views = torch.randn(2, 30, 3, 2, 32, 32, dtype=torch.float64)
    found = video_probabilities(view_logits(network, views, views_per_forward=30))
    expected = torch.zeros(2, 5)
    for video in range(2):
        for view in range(30):
            logits = network(views[video, view][None])[0]
            expected[video] += (logits.exp() / logits.exp().sum()).float() / 30
    assert expected.std(0).min() > 1e-4  # videos differ
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("views_per_forward", [1, 2, 5, 7, 100])
def test_the_chunk_size_changes_nothing(network, views_per_forward):
    views = torch.randn(2, 6, 3, 2, 32, 32, dtype=torch.float64)
    whole = view_logits(network, views, views_per_forward=12)
    assert whole.shape == (2, 6, 5)
    found = view_logits(network, views, views_per_forward=views_per_forward)
    torch.testing.assert_close(found, whole)


def test_no_forward_pass_has_more_views_than_stated():
    sizes = []

    class Counting(nn.Module):
        def forward(self, clip):
            sizes.append(len(clip))
            return clip.flatten(1)[:, :4]

    views = torch.randn(3, 5, 3, 1, 2, 2)
    logits = view_logits(Counting(), views, views_per_forward=4)
    assert sizes == [4, 4, 4, 3]
    assert torch.equal(logits, views.flatten(2)[..., :4])


def test_probabilities_are_averaged_and_not_logits():
    logits = torch.tensor([[[20.0, 0.0], [0.0, 2.0]]])  # one sure view, one unsure
    found = video_probabilities(logits)
    first = (1 + 1 / (1 + torch.tensor(2.0).exp())) / 2
    torch.testing.assert_close(found, torch.stack([first, 1 - first])[None], rtol=1e-5, atol=1e-6)


def test_probabilities_of_half_precision_logits_sum_to_one():
    found = video_probabilities(torch.randn(3, 30, 400).bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.sum(1), torch.ones(3))
