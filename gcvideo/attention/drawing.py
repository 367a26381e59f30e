"""The pictures of one view: every block's attention, and Grad-CAM of stages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from gcvideo.attention.blocks import context_name
from gcvideo.attention.gradcam import grad_cam_layers
from gcvideo.attention.maps import Layers, Query, attention_layers, channel_weights, has_map
from gcvideo.attention.pictures import draw_channels, draw_grid, film, write_gif, write_mp4
from gcvideo.attention.recorded_views import RecordedView
from gcvideo.blocks import ContextBlock
from gcvideo.training import VideoClassifier


class Drawing:
    """Writes pictures of maps to a folder.

    They are map_VIDEO_BLOCK.png, channels_VIDEO_BLOCK.png and gradcam_VIDEO_STAGE.png, and the maps as
    films/*.mp4 and films/*.gif.
    """

    def __init__(self, model: VideoClassifier, out: Path) -> None:
        self.model = model
        self.out = out
        self.films = out / "films"

    def draw_attention(
        self, view: RecordedView, video: str, blocks: Mapping[str, ContextBlock], queries: Sequence[Query]
    ) -> None:
        """Draw the attention map of every block that has one, and the channel weights of those that scale."""
        for name, block in blocks.items():
            x = view.inputs[name]
            title = f"{_short(view)}   {name}: {context_name(block.context)}"
            if has_map(block):
                clip_size = view.frames.shape[0], view.frames.shape[1], view.frames.shape[2]
                layers = attention_layers(block.context, x, queries, clip_size=clip_size)
                self._draw(view, layers, f"map_{video}_{name}", title=title)
            weights = channel_weights(block, x)
            if weights is not None:
                file = self.out / f"channels_{video}_{name}.png"
                no_map = "" if has_map(block) else "; all positions weigh the same, so there is no map"
                draw_channels(weights, file, title=f"{title}: channel weights{no_map}")

    def draw_grad_cam(self, view: RecordedView, video: str, stages: Mapping[str, nn.Module]) -> None:
        """Draw Grad-CAM of the likeliest class at each stage."""
        for name, stage in stages.items():
            layers = grad_cam_layers(self.model.network, stage, view.clip, self.model.task)
            title = f"{_short(view)}   Grad-CAM of {name}"
            self._draw(view, layers, f"gradcam_{video}_{name}", title=title)

    def _draw(self, view: RecordedView, layers: Layers, file: str, *, title: str) -> None:
        draw_grid(view.frames, layers, self.out / f"{file}.png", title=title)
        pictures = film(view.frames, layers)
        self.films.mkdir(exist_ok=True)
        write_mp4(pictures, self.films / f"{file}.mp4")
        write_gif(pictures, self.films / f"{file}.gif")


def _short(view: RecordedView) -> str:
    """Return the video's file and the folder that it is in, which may be its class."""
    return "/".join(Path(view.record.video_id).parts[-2:])
