"""One draw for a whole clip, whatever augments it."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF


class FramesOfClip(tv_tensors.Video):
    """Frames of which torchvision's transforms know that they are of one clip.

    AugMix mixes the frames of a plain tensor each by its own weights. Grayscale leaves a `tv_tensors.Video`
    in colour, without a word, and not these.
    """


@TF.register_kernel(TF.rgb_to_grayscale, FramesOfClip)
def _grayscale(frames: FramesOfClip, num_output_channels: int = 1) -> Tensor:
    return FramesOfClip(TF.rgb_to_grayscale(frames.as_subclass(Tensor), num_output_channels))


class ClipAugmentation(nn.Module):
    """Augmentations of a clip of uint8 frames, one after the other, each with one draw for all frames.

    Args:
        steps: Modules from frames [T 3 H W] to frames of the same size: transforms of torchvision, ours, or
            one's own.
    """

    def __init__(self, steps: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.steps = nn.ModuleList(steps)

    def forward(self, clip: UInt8[Tensor, "T 3 H W"]) -> UInt8[Tensor, "T 3 H W"]:
        """Return the augmented clip.

        Raises:
            ValueError: A step gives frames of another size or type.
        """
        for step in self.steps:
            augmented = step(FramesOfClip(clip))
            if not isinstance(augmented, Tensor) or _described(augmented) != _described(clip):
                raise ValueError(
                    f"{type(step).__name__} makes {_described(augmented)} of {_described(clip)}; "
                    "an augmentation keeps size and type (sizes are data.train_transform's)"
                )
            clip = augmented.as_subclass(Tensor)
        return clip

    def require_possible(self, clip: UInt8[Tensor, "T 3 H W"], *, key: str) -> None:
        """Try every step on a clip, without drawing from the random state.

        Args:
            clip: Of the size of those to come.
            key: The setting that names the steps, for messages.

        Raises:
            ValueError: A step cannot augment it.
        """
        for step in self.steps:
            with torch.random.fork_rng(devices=[]):
                try:
                    ClipAugmentation([step])(clip)
                except (ValueError, TypeError, RuntimeError) as error:
                    reason = " ".join(str(error).split())
                    raise ValueError(
                        f"{key}: {type(step).__name__} cannot augment a clip of {_described(clip)}: {reason}"
                    ) from error


def _described(clip: object) -> str:
    if not isinstance(clip, Tensor):
        return f"a {type(clip).__name__}"
    return f"{str(clip.dtype).removeprefix('torch.')} {list(clip.shape)}"
