"""What a file's configuration says, in our words, whosever it is."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Part = Literal["network", "blocks", "head"]


class Skeleton(NamedTuple):
    """What the tensors show of a network, which its configuration is read beside."""

    architectures: Sequence[str]
    """Those whose kernels look at as many frames."""
    stem_channels: int
    num_blocks: Sequence[int]
    """Residual blocks in res2..res5."""
    places: Sequence[Sequence[int]]
    """Which of them carry a context block, in res2..res5."""
    layers_of_block: int = 3
    """Convolutions one after another in a residual block: 2 in a basic one."""

    @property
    def depth(self) -> int:
        """Return its number of layers: those of the residual blocks, the stem and the head."""
        return self.layers_of_block * sum(self.num_blocks) + 2


UNSEEN = Skeleton((), 0, (), ())
"""What is known of a network before its tensors are looked at."""


class Input(NamedTuple):
    """The clips that a network was trained on, as far as its file says."""

    num_frames: int | None = None
    stride: int | None = None
    mean: tuple[float, ...] | None = None
    """Of red, green and blue, of values in 0..1."""
    std: tuple[float, ...] | None = None
    channels: Literal["RGB", "BGR"] | None = None
    frame_rate: float | None = None
    """Frames a second that strides count in."""


class Foreign(NamedTuple):
    """A setting, in the file's own words, that no network here has."""

    part: Part
    """Which computes otherwise for it."""
    setting: str


class Said(NamedTuple):
    """A configuration in our words."""

    settings: dict[str, str]
    """Arguments of ours that no weight shows."""
    foreign: list[Foreign]
    input: Input
    block: str | None = None
    """The class_path of the context blocks, where the configuration names it."""


NOTHING = Said({}, [], Input())
