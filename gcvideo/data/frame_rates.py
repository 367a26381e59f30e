"""How many frames a second videos have, and whether a network was trained on as many.

A clip of so many frames shows half as much time of videos that have twice as many a second.
"""

from collections.abc import Sequence
from statistics import median

import torch

from gcvideo.clip import VideoRecord
from gcvideo.data.decoding import Backend, DecodeError, OpenAny, OpenReader, stated_frame_rate
from gcvideo.data.lists.records import VideoRecords

LOOKED_AT = 16
"""Videos whose heads are read, of a list that does not say their rates."""
MARKED = 1.25
"""Ratio of two rates beyond which they are said to differ; 24 and 30 do not."""


def typical_frame_rate(records: Sequence[VideoRecord], opens: Backend | OpenReader) -> float | None:
    """Return the median rate of some videos; None where none says it.

    It is that of all where a list of data_prep/verify.py has their rates, or else of LOOKED_AT that are
    spread evenly over them, by the heads of their files.
    """
    if isinstance(records, VideoRecords) and len(records.verified) > 1:
        return float(records.verified[1].median())
    rows = torch.linspace(0, len(records) - 1, min(len(records), LOOKED_AT)).long().tolist()
    rates = [rate for row in rows if (rate := _frame_rate(records[row], opens)) is not None]
    return median(rates) if rates else None


def _frame_rate(record: VideoRecord, opens: Backend | OpenReader) -> float | None:
    try:
        if isinstance(opens, OpenAny) and opens.reader is None and record.path.is_file():
            return stated_frame_rate(record.path)
        if isinstance(opens, str):
            return stated_frame_rate(record.path)
        reader = opens(record.path)
        reader.close()
        return reader.fps
    except DecodeError:  # which is said where the video is read
        return None


def said_of_rates(trained: float | None, here: float | None, *, of: str) -> str | None:
    """Return what to warn of where videos have markedly more or fewer frames a second than in training.

    Args:
        trained: In training; None where that is not known.
        here: Of the videos.
        of: What these are.
    """
    if trained is None or here is None or 1 / MARKED <= here / trained <= MARKED:
        return None
    return (
        f"the network was trained at {trained:.4g} frames a second, and {of} have {here:.4g}: a clip, which "
        f"is counted in frames, shows {trained / here:.2g} times as long; data.clip.target_fps {trained:.4g} "
        "counts it in time"
    )
