"""Inflation: image weights that become video weights."""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Size, Tensor

from gcvideo.words import Inflation


def inflate_mean(kernel: Float[Tensor, "O I H W"], num_frames: int) -> Float[Tensor, "O I T H W"]:
    """Spread a kernel over time: w_t = w / T (I3D, arXiv:1705.07750).

    A clip that stands still has the activations of its image.
    """
    return kernel.unsqueeze(2).repeat(1, 1, num_frames, 1, 1) / num_frames


def inflate_centre(kernel: Float[Tensor, "O I H W"], num_frames: int) -> Float[Tensor, "O I T H W"]:
    """Put a kernel in the middle frame: w_t = w there and 0 elsewhere.

    Every frame has the activations of its image. Arnab et al., ViViT, arXiv:2103.15691, section 3.4, "central
    frame initialisation".
    """
    inflated = kernel.new_zeros(*kernel.shape[:2], num_frames, *kernel.shape[2:])
    inflated[:, :, num_frames // 2] = kernel
    return inflated


INFLATIONS: dict[Inflation, Callable[[Tensor, int], Tensor]] = {
    "mean": inflate_mean,
    "centre": inflate_centre,
}


def inflate(
    state: Mapping[str, Tensor], shapes: Mapping[str, Size], *, inflation: Inflation
) -> dict[str, Tensor]:
    """Make every 2-D kernel as long in time as the kernel of its name in `shapes`; all else stays."""
    return {
        key: INFLATIONS[inflation](tensor, shapes[key][2])
        if tensor.ndim == 4 and key in shapes and len(shapes[key]) == 5
        else tensor
        for key, tensor in state.items()
    }
