"""Weights to start from beside the data of a run: what the one was trained on, and the other gives."""

import logging
from collections.abc import Iterator, Sequence

import torch

from gcvideo.backbones.checkpoints import Weights, find_network, read_checkpoint, recognise
from gcvideo.backbones.checkpoints.configurations import Input, read_configuration
from gcvideo.backbones.checkpoints.others import other_network
from gcvideo.backbones.checkpoints.recognition import is_residual
from gcvideo.data import VideoDataModule
from gcvideo.data.frame_rates import said_of_rates

log = logging.getLogger(__name__)


def warn_of_other_input(weights: Weights, data: VideoDataModule) -> None:
    """Warn where the data's clips differ from those that, by their file, the weights were trained on."""
    checkpoint = find_network(read_checkpoint(weights.path, state=weights.state))
    if is_residual(checkpoint.state):
        trained_on = recognise(checkpoint, format=weights.format).input
        of = str(weights.path)
    else:
        trained_on, of = read_configuration(checkpoint).input, str(weights.path)
        other = other_network(checkpoint.state)
        if other is not None and trained_on.mean is None:  # of which no file says what it was trained with
            trained_on, of = other.input, f"{of} ({other.title}), if it is what is published,"
    if differences := list(_differences(trained_on, data)):
        log.warning("%s was trained with %s", of, "; ".join(differences))


def _differences(trained_on: Input, data: VideoDataModule) -> Iterator[str]:
    clip = (data.clip.num_frames, data.clip.stride)
    if None not in trained_on[:2] and trained_on[:2] != clip:
        yield (
            f"clips of {trained_on.num_frames} frames at stride {trained_on.stride}, and data.clip has "
            f"{clip[0]} at stride {clip[1]}"
        )
    if trained_on.frame_rate is not None:
        here = data.frame_rate(data.records("train"))
        if said := said_of_rates(trained_on.frame_rate, here, of=f"the videos of {data.lists['train']}"):
            yield said.partition(" was trained at ")[2]
    for name, values in (("mean", trained_on.mean), ("std", trained_on.std)):
        own = getattr(data.normalize, name).flatten() / 255
        if values is not None and not torch.allclose(torch.tensor(values), own, atol=1e-3):
            yield f"{name} {numbers(values)}, and data.{name} is {numbers(own.tolist())}"
    if trained_on.channels == "BGR":
        yield "channels in the order blue, green, red, and the data have red, green, blue"


def numbers(values: Sequence[float]) -> str:
    """Return numbers as a log line has them."""
    return ", ".join(f"{value:.3g}" for value in values)
