"""A residual network that reads the differences of neighbouring frames."""

import pytest
import torch

from gcvideo.backbones import FrameDifferenceResNet, VideoResNet

SMALL = {"depth": 18, "width": 0.0625}


def networks() -> tuple[FrameDifferenceResNet, VideoResNet]:
    """Both kinds, with the same weights."""
    torch.manual_seed(0)
    differences, frames = FrameDifferenceResNet(3, **SMALL), VideoResNet(3, **SMALL)
    frames.load_state_dict(differences.state_dict())
    return differences.double().eval(), frames.double().eval()


def test_it_is_the_network_of_frames_on_what_a_loop_over_frames_subtracts() -> None:
    differences, frames = networks()
    clip = torch.randn(2, 3, 4, 32, 32, dtype=torch.float64)
    subtracted = torch.empty(2, 3, 3, 32, 32, dtype=torch.float64)
    for t in range(3):
        subtracted[:, :, t] = clip[:, :, t + 1] - clip[:, :, t]
    with torch.inference_mode():
        torch.testing.assert_close(differences(clip), frames(subtracted))
        torch.testing.assert_close(differences.features(clip), frames.features(subtracted))
        assert not torch.allclose(differences(clip), frames(clip))


def test_what_stands_still_is_not_seen() -> None:
    differences, frames = networks()
    clip, scene = torch.randn(1, 3, 4, 32, 32).double(), torch.randn(1, 3, 1, 32, 32).double()
    with torch.inference_mode():
        torch.testing.assert_close(differences(clip + scene), differences(clip))
        assert not torch.allclose(frames(clip + scene), frames(clip), atol=1e-3)


def test_a_clip_of_one_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="1 frame; expected 2 or more"):
        FrameDifferenceResNet(3, **SMALL)(torch.zeros(1, 3, 1, 32, 32))
