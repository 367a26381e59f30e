"""What all videos of a transcoded data set have in common, and x264's words for it."""

from typing import NamedTuple

PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"),
    "placebo",
)


class EncodingSettings(NamedTuple):
    """What every video of the output has in common."""

    short_side: int = 256
    """Pixels; shorter videos keep their size."""
    gop: int = 16
    """Frames from one key frame to the next."""
    crf: int = 23
    """x264's constant rate factor: 0 lossless .. 51 worst."""
    preset: str = "medium"
    """x264's trade of time for size."""


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
    """Return x264's options: one thread, a key frame every gop frames, no picture referring across one."""
    return {
        "preset": settings.preset,
        "crf": str(settings.crf),
        "g": str(settings.gop),
        "keyint_min": str(settings.gop),
        "sc_threshold": "0",
        "flags": "+cgop",
        "threads": "1",
    }
