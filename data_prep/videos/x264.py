"""What all videos of a transcoded data set have in common, and x264's words for it."""

from typing import Literal, NamedTuple

Purpose = Literal["training", "general"]

PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
    "placebo",
)


LONGEST_STRIDE = 17
"""x264 puts at most 16 B-frames in a row."""


class EncodingSettings(NamedTuple):
    """What every video of the output has in common."""

    short_side: int = 256
    """Pixels; shorter videos keep their size."""
    gop: int = 32
    """Frames from one key frame to the next."""
    crf: int = 21
    """x264's constant rate factor: 0 lossless .. 51 worst."""
    preset: str = "medium"
    """x264's trade of time for size."""
    stride: int | None = 8
    """Frames from one that others refer to, to the next: those between can be left out by who reads every
    stride-th frame. None leaves it to x264."""


DEFAULTS: dict[Purpose, EncodingSettings] = {
    "training": EncodingSettings(),
    "general": EncodingSettings(gop=16, crf=23, stride=None),
}
"""Both of the same quality, by PSNR and SSIM."""


def gop_for(stride: int) -> int:
    """Return the multiple of a stride that is nearest 32, or the stride if it is larger."""
    return stride * max(1, round(DEFAULTS["training"].gop / stride))


def target_size(width: int, height: int, *, short_side: int) -> tuple[int, int]:
    """Return width and height with the short side at most short_side, both even, never larger than given.

    The long side is rounded to the nearest even number.
    """
    short, long = sorted((width, height))
    if short <= short_side:
        return max(2, width - width % 2), max(2, height - height % 2)
    long = 2 * round(long * short_side / short / 2)
    return (short_side, long) if width < height else (long, short_side)


def x264_options(settings: EncodingSettings) -> dict[str, str]:
    """Return x264's options: one thread, a key frame every gop frames, no picture referring across one.

    A cut in the scene gets no key frame of its own. With a stride, so many B-frames less one stand between
    two P-frames whatever the pictures show, nothing refers to them, and the bitstream is one that decodes
    fast: CAVLC in place of CABAC, no loop filter, no weighted prediction.
    """
    options = {
        "preset": settings.preset,
        "crf": str(settings.crf),
        "g": str(settings.gop),
        "keyint_min": str(settings.gop),
        "sc_threshold": "0",
        "flags": "+cgop",
        "threads": "1",
    }
    if settings.stride is not None:
        options |= {
            "tune": "fastdecode",
            "bf": str(settings.stride - 1),
            "b_strategy": "0",
            "b-pyramid": "none",
        }
    return options
