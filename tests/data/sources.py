"""The same few videos as every source of samples: files, folders of frames, segments, label sets."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from tests.data.annotated import CLASS_NAMES
from tests.data.encoding import h264, numbered_picture, write_video

NUM_VIDEOS, NUM_FRAMES = 6, 16
TEMPLATE = "img_{:02}.png"
FRAMES: Mapping[str, Any] = {"source": "frames", "frames": {"template": TEMPLATE, "fps": 25.0}}


class Source(NamedTuple):
    """One way to have samples."""

    write: Callable[[Path], None]
    """Writes video i to a path without ending, or in a folder of that name."""
    header: str
    row: Callable[[int], list[str]]
    """The rows of the list that video i has: {} stands for its path."""
    settings: Mapping[str, Any] = {}
    """Of the data module."""
    ending: str = ".mp4"

    def make(self, root: Path) -> dict[str, Any]:
        """Write videos, lists and class names, and return the settings of the data module."""
        root.mkdir(parents=True)
        rows = []
        for number in range(NUM_VIDEOS):
            self.write(root / f"{number:02}")
            rows += [row.replace("{}", f"{number:02}{self.ending}") for row in self.row(number)]
        for split, some in {"train": rows, "val": rows[:3], "test": rows[-3:]}.items():
            (root / f"{split}.csv").write_text("\n".join([*filter(None, [self.header]), *some, ""]))
        (root / "classes.txt").write_text("\n".join([*CLASS_NAMES, ""]))
        return dict(self.settings)


def file(path: Path) -> None:
    write_video(path.with_suffix(".mp4"), num_frames=NUM_FRAMES, options=h264(keyint=6))


def folder(path: Path) -> None:
    path.mkdir()
    for number in range(NUM_FRAMES):
        picture = numbered_picture(number, height=40, width=48)
        Image.fromarray(picture).save(path / TEMPLATE.format(number))


SOURCES = {
    "files": Source(file, "path,label", lambda i: [f"{{}},{i % 3}"]),
    "frames": Source(folder, "", lambda i: [f"{{}} {NUM_FRAMES} {i % 3}"], FRAMES, ""),
    "segments": Source(
        file, "path,start,end,label", lambda i: [f"{{}},0,0.24,{i % 3}", f"{{}},0.2,0.64,{(i + 1) % 3}"]
    ),
    "segments of frames": Source(
        *(folder, "path,start_frame,end_frame,label"),
        *(lambda i: [f"{{}},0,6,{i % 3}", f"{{}},5,16,{(i + 1) % 3}"], FRAMES, ""),
    ),
    "label sets": Source(
        file, "path,label", lambda i: [f"{{}},{('0;2', '1', '')[i % 3]}"], {"multi_label": True}
    ),
    "label sets of segments": Source(
        *(file, "path,start,end,label"),
        *(lambda i: [f"{{}},0,0.24,{('0;2', '1', '')[i % 3]}", "{},0.2,0.64,1;2"], {"multi_label": True}),
    ),
}
