"""When each frame of a file is shown, from whatever time stamps the file has."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np


def rise(stamps: Iterable[int]) -> bool:
    """Return whether each stamp is later than the one before."""
    return all(earlier < later for earlier, later in pairwise(stamps))


def mended(
    shown: Sequence[int | None], packets: Sequence[int | None], *, ticks_per_frame: float
) -> list[float] | None:
    """Return rising stamps for frames that were decoded in order, or None where the file does not tell them.

    Args:
        shown: The stamp that each frame carries, if any. Where one is missing or stands twice, frames are
            spread evenly between those around them.
        packets: Those of the file's packets. Where the frames' own fall (an AVI file states one a packet, in
            decoding order), the frames are shown at these, one after the other.
        ticks_per_frame: The distance of frames before the first stamp and behind the last.
    """
    stated = [stamp for stamp in shown if stamp is not None]
    known = {stamp: number for number, stamp in reversed([*enumerate(shown)]) if stamp is not None}
    if len(known) > min(len(shown) - 1, 1) and stated == sorted(stated):
        stamps, numbers, every = sorted(known), sorted(known.values()), np.arange(len(shown))
        outside = np.minimum(every - numbers[0], 0) + np.maximum(every - numbers[-1], 0)
        return (np.interp(every, numbers, stamps) + outside * ticks_per_frame).tolist()
    in_order = sorted(stamp for stamp in packets if stamp is not None)
    if len(in_order) == len(packets) == len(shown) and rise(in_order):
        return [float(stamp) for stamp in in_order]
    return None
