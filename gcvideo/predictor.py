"""gcvideo from Python: a trained network on videos and frames, and networks by name."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from gcvideo.attention import (
    TWO_FRAMES_BY_TWO_PLACES,
    Layers,
    Query,
    attention_layers,
    choose_blocks,
    has_map,
    record_inputs,
)
from gcvideo.averaged import WeightsState
from gcvideo.backbones import network_for
from gcvideo.backbones.layout import to_channels_last
from gcvideo.cli.inputs import load as load_classifier
from gcvideo.cli.named_configs import files_of
from gcvideo.cli.untrained import read_configs
from gcvideo.clip import Span, VideoRecord
from gcvideo.complexity import Size, Subject, size_of
from gcvideo.data import EvaluationViews
from gcvideo.data.dataset import TimedVideoDataset
from gcvideo.data.decoding import VideoReader
from gcvideo.data.on_device import OnDevice
from gcvideo.data.sampling import VideoLength
from gcvideo.evaluation import Thresholds
from gcvideo.prediction.features import clip_features
from gcvideo.prediction.in_memory import PATH, FramesReader
from gcvideo.prediction.predictors import classify, told_of
from gcvideo.prediction.timeline import Ranked, likeliest
from gcvideo.training.tasks import MultiLabel

Frames = Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]  # of which a wrong shape or type is explained
Video = str | PathLike[str] | Frames
"""A file, a folder of pictures, or RGB frames in memory."""


class Recognition(NamedTuple):
    """What a network sees in a video."""

    probabilities: Float[Tensor, " K"]
    """Of the classes, in the order of the predictor's class_names."""
    top: list[Ranked]
    """The five likeliest classes, each a name and a probability, the likeliest first."""
    told: list[Ranked] | None = None
    """All classes above their thresholds, of a network of several labels (model.task multi_label)."""


class Features(NamedTuple):
    """What a network's last layer reads of a video."""

    features: Float[Tensor, "clips C"]
    spans: Sequence[Span]
    """Of the clips, in seconds."""


class Predictor:
    """A trained network with all that its checkpoint knows: class names, clips, views, normalisation.

    Frames are sampled, resized, cropped and normalised as in the tests of its training, whatever their number
    and size, and probabilities are pooled over the views.

        predict = gcvideo.load("runs/my_clips/checkpoints/best.ckpt")
        predict("match.mp4").top[0].name
        predict(frames).probabilities                # uint8 [T H W 3], of numpy or torch
        [found.top[0] for found in predict.many(clips)]      # files, or uint8 [N T H W 3]
        predict.features("match.mp4").features       # a row a clip
        predict.attention("match.mp4")["res4.5"]     # maps at the size of the clip

    Args:
        checkpoint: Of `gcvideo fit`.
        device: Where to compute; a GPU where there is one.
        num_clips: Clips of a video, in place of the checkpoint's.
        num_crops: Crops of a clip, in place of the checkpoint's.
        state: Which weights, of a training that averaged them.

    Raises:
        ValueError: The file is no such checkpoint, or torch cannot use the device.
    """

    def __init__(
        self,
        checkpoint: str | PathLike[str],
        *,
        device: str | None = None,
        num_clips: int | None = None,
        num_crops: int | None = None,
        state: WeightsState | None = None,
    ) -> None:
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.data = load_classifier(Path(checkpoint), device=place, state=state)
        views = self.data.test_views
        self.views = replace(
            views, num_clips=num_clips or views.num_clips, num_crops=num_crops or views.num_crops
        )
        self.on_device = OnDevice(self.data, self.model.device)
        several = isinstance(self.model.task, MultiLabel)
        self.thresholds = Thresholds.even(len(self.class_names)) if several else None
        """Of several labels those above which a class is told; evaluation.Thresholds.read reads a file's."""

    @property
    def network(self) -> nn.Module:
        """The network: clips [B 3 T H W] to logits [B K]."""
        return self.model.network

    @property
    def class_names(self) -> list[str]:
        """The K class names."""
        return self.model.class_names

    def __call__(self, video: Video, *, fps: float | None = None) -> Recognition:
        """Return what is seen in a video.

        Args:
            video: A file, a folder of pictures, or RGB frames.
            fps: Frames a second of frames in memory; needed where the checkpoint counts time
                (data.clip.target_fps).

        Raises:
            DecodeError: The file cannot be read.
            ValueError: Frames are not uint8 [T H W 3], or their fps is needed.
        """
        frames, _ = self._read(video, self.views, fps)
        probabilities = classify(self.model, self.on_device, frames)[0]
        told = told_of(probabilities, self.model, self.thresholds)
        return Recognition(probabilities, likeliest(probabilities, self.class_names), told)

    def many(self, videos: Iterable[Video], *, fps: float | None = None) -> list[Recognition]:
        """Return what is seen in each of some videos, or in [N T H W 3]; arguments as of a call."""
        return [self(video, fps=fps) for video in videos]

    def features(self, video: Video, *, fps: float | None = None) -> Features:
        """Return the pooled features of every clip, the mean over its crops; arguments as of a call."""
        frames, spans = self._read(video, self.views, fps)
        features = clip_features(
            self.network,
            self.on_device.views(frames)[0],
            num_crops=self.views.num_crops,
            views_per_forward=self.model.views_per_forward,
        )
        return Features(features, spans)

    def attention(
        self,
        video: Video,
        *,
        blocks: Sequence[str] | None = None,
        queries: Sequence[Query] = TWO_FRAMES_BY_TWO_PLACES,
        fps: float | None = None,
    ) -> dict[str, Layers]:
        """Return what context blocks attend to in the middle clip of a video, at the size of its frames.

        Args:
            video: A file, a folder of pictures, or RGB frames.
            blocks: Which, as res4.3; by default all that weigh positions.
            queries: Points at which a non-local block is asked; the others have one map for all.
            fps: As of a call.

        Raises:
            ValueError: The network has no such block.
        """
        frames, _ = self._read(video, replace(self.views, num_clips=1, num_crops=1), fps)
        chosen = {
            name: block for name, block in choose_blocks(self.network, blocks).items() if has_map(block)
        }
        clip = self.on_device.views(frames)[0]
        with torch.inference_mode(), record_inputs(chosen) as inputs:
            self.network(clip)
        _, _, num_frames, height, width = clip.shape
        return {
            name: attention_layers(
                block.context, inputs[name], queries, clip_size=(num_frames, height, width)
            )
            for name, block in chosen.items()
        }

    def complexity(self) -> Size:
        """Return parameters, multiply-adds and memory of one view."""
        side = self.views.crop_size
        return size_of(Subject(self.network, (self.data.clip.num_frames, side, side)))

    def _read(
        self, video: Video, views: EvaluationViews, fps: float | None
    ) -> tuple[UInt8[Tensor, "1 V T H W 3"], Sequence[Span]]:
        if isinstance(video, str | PathLike):
            path = Path(video)
            reader: VideoReader = self.data.open_any(path)
        else:
            path, reader = PATH, self._in_memory(video, fps)
        record = VideoRecord(path, 0, str(path))
        dataset = TimedVideoDataset([record], clips=views.clips(self.data.clip), crops=views.crops())
        with reader:
            indices = dataset.clips(VideoLength(len(reader), reader.fps))
            clip = dataset.clip_of(record, reader, indices)
        return clip.frames[None], clip.spans

    def _in_memory(self, frames: Frames, fps: float | None) -> FramesReader:
        tensor = torch.as_tensor(frames)
        if tensor.dtype != torch.uint8 or tensor.ndim != 4 or tensor.shape[3] != 3 or not len(tensor):
            found = f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
            several = "; several videos are for .many" if tensor.ndim == 5 else ""
            raise ValueError(
                f"frames are {found}; expected RGB, uint8 [T H W 3], with one frame or more{several}"
            )
        if fps is None and self.data.clip.target_fps is not None:
            raise ValueError(
                f"the checkpoint counts frames at {self.data.clip.target_fps:g} a second; say how many these "
                "have: fps=25"
            )
        return FramesReader(tensor, fps=fps or 30.0)


def load(
    checkpoint: str | PathLike[str],
    *,
    device: str | None = None,
    num_clips: int | None = None,
    num_crops: int | None = None,
    state: WeightsState | None = None,
) -> Predictor:
    """Return the predictor of a checkpoint; arguments as of Predictor."""
    return Predictor(checkpoint, device=device, num_clips=num_clips, num_crops=num_crops, state=state)


def create(name: str, *, num_classes: int) -> nn.Module:
    """Return an untrained network, clips [B 3 T H W] to logits [B K], by the names of its configurations.

        gcvideo.create("slow_r50_gc_all", num_classes=400)
        gcvideo.create("x3d_m+gc_all", num_classes=10)

    Args:
        name: A model, or a model and its blocks, as `gcvideo configs ls` names them; a path will do.
        num_classes: K.

    Raises:
        ValueError: There is no such configuration, or it names no network.
    """
    files = list(files_of(fspath(name)))
    configured = read_configs("gcvideo.create", files, [])
    network = network_for(configured.network, num_classes)
    if configured.channels_last:
        to_channels_last(network)
    return network
