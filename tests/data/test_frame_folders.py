"""Videos that lie as numbered pictures in folders, and the lists of them."""

import random
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from gcvideo.data import VideoDataModule
from gcvideo.data.decoding import DecodeError, FrameFolderReader, FrameNames, OpenAny, open_video
from gcvideo.data.lists.annotations import AnnotationError
from tests.data.encoding import numbered_picture, numbers_shown

NUM_FRAMES = 24


def pictures(
    folder: Path, *, name: str = "img_{:05}.jpg", first: int = 1, num_frames: int = NUM_FRAMES
) -> Path:
    """A folder of pictures of which frame i shows the number i."""
    folder.mkdir(parents=True)
    for number in range(num_frames):
        Image.fromarray(numbered_picture(number, height=48, width=64)).save(
            folder / name.format(number + first)
        )
    return folder


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("img_{:05}.jpg", FrameNames("img_{:05}.jpg")),
        ("img_{:05}.jpg", FrameNames()),
        ("{}.png", FrameNames()),  # 10.png stands before 2.png in the alphabet
        ("frame{:03}_rgb.PNG", FrameNames()),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_frame_i_is_the_ith_picture(tmp_path, name, names, first):
    folder = pictures(tmp_path / "v", name=name, first=first)
    (folder / "notes.txt").write_text("no picture")
    (folder / "._img_00001.jpg").write_text("of macOS")
    with FrameFolderReader(folder, names) as reader:
        assert len(reader) == NUM_FRAMES
        wanted = random.Random(0).choices(range(NUM_FRAMES), k=40)
        assert numbers_shown(reader.frames_at(wanted)) == wanted
        assert torch.equal(reader.boundaries(), torch.arange(NUM_FRAMES + 1, dtype=torch.float64) / 30)


def test_only_the_pictures_asked_for_are_read(tmp_path):
    folder = pictures(tmp_path / "v")
    for number in (1, 5, 9):
        (folder / f"img_{number + 1:05}.jpg").write_bytes(b"no picture at all")
    with FrameFolderReader(folder) as reader:
        assert numbers_shown(reader.frames_at([0, 4, 8, 4])) == [0, 4, 8, 4]
        with pytest.raises(DecodeError, match=rf"{folder}: frame 5 \(img_00006.jpg\) cannot be decoded \("):
            reader.frames_at([4, 5])


def test_of_the_first_picture_the_size_alone_is_read_until_it_is_asked_for(tmp_path):
    folder = pictures(tmp_path / "v")
    file = folder / "img_00001.jpg"
    file.write_bytes(file.read_bytes()[:-40])
    with FrameFolderReader(folder) as reader:
        assert numbers_shown(reader.frames_at([3, 8])) == [3, 8]
        with pytest.raises(DecodeError, match=rf"{folder}: frame 0 \(img_00001.jpg\) cannot be decoded"):
            reader.frames_at([0])


def test_pngs_give_the_frames_of_a_lossless_video_to_the_bit(tmp_path):
    folder, generator = tmp_path / "v", np.random.default_rng(0)
    folder.mkdir()
    frames = generator.integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        for number, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"{number}.png")
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0"))
            )
        container.mux(stream.encode())
    for name, row in {"files": "v.mkv,0", "folders": "v,0"}.items():
        (tmp_path / f"{name}.csv").write_text(f"path,label\n{row}\n")
    clips = []
    for source, name in {"videos": "files", "frames": "folders"}.items():
        data = VideoDataModule(
            tmp_path, train=Path(f"{name}.csv"), num_classes=1, source=source, num_workers=0
        )
        data.train_transform.short_sides = 224, 320
        dataset = data.training_dataset(data.records("train"))
        clips.append([dataset[epoch, 0].frames for epoch in range(3)])
    assert all(map(torch.equal, *clips))
    assert not torch.equal(clips[0][0], clips[0][1])
    opened = [OpenAny()(tmp_path / name) for name in ("v", "v.mkv")]
    assert torch.equal(*(reader.frames_at(range(12)) for reader in opened))


def lose(folder: Path, number: int) -> None:
    (folder / f"img_{number:05}.jpg").unlink()


def cut(folder: Path) -> None:
    file = folder / "img_00003.jpg"
    file.write_bytes(file.read_bytes()[:-40])


def shrink(folder: Path) -> None:
    Image.fromarray(numbered_picture(2, height=40, width=64)).save(folder / "img_00003.jpg")


@pytest.mark.parametrize(
    ("harm", "names", "message"),
    [
        (lambda folder: lose(folder, 7), FrameNames(), "pictures are missing: number 7 of 1..24; extract"),
        (
            lambda folder: lose(folder, 7),
            FrameNames("img_{:05}.jpg"),
            "pictures are missing: number 7 of 1..24",
        ),
        (
            lambda folder: lose(folder, 1),
            FrameNames("img_{:05}.jpg"),
            "its first picture is 'img_00002.jpg'; expected number 0 or 1",
        ),
        (
            lambda folder: lose(folder, 1),
            FrameNames(first=1),
            "its first picture is 'img_00002.jpg'; expected number 1",
        ),
        (
            lambda folder: None,
            FrameNames("image_{:04}.jpg"),
            "holds 24 pictures, such as 'img_00001.jpg'; expected image_0001.jpg",
        ),
        (
            cut,
            FrameNames(),
            r"frame 2 \(img_00003.jpg\) cannot be decoded \(image file is truncated",
        ),
        (shrink, FrameNames(), r"frame 2 \(img_00003.jpg\) has 64x40 pixels, and the first 64x48; extract"),
        (shutil.rmtree, FrameNames(), "No such file or directory; expected a folder of pictures"),
        (
            lambda folder: [file.unlink() for file in folder.iterdir()],
            FrameNames(),
            "is a folder that holds no picture; expected .jpg",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(tmp_path, harm, names, message):
    folder = pictures(tmp_path / "v")
    harm(folder)
    with (
        pytest.raises(DecodeError, match=f"^{folder}: {message}"),
        FrameFolderReader(folder, names) as reader,
    ):
        reader.frames_at(range(len(reader)))


def test_a_picture_with_more_than_8_bits_is_refused(tmp_path):
    folder = pictures(tmp_path / "v", name="{}.png", num_frames=1)
    Image.fromarray(np.zeros((48, 64), dtype=np.uint16)).save(folder / "1.png")
    with pytest.raises(DecodeError, match=r"frame 0 \(1.png\) has more than 8 bits a colour; expected 8"):
        FrameFolderReader(folder)


@pytest.mark.parametrize("template", ["img.jpg", "img_{}_{}.jpg", "img_{:05", "{x}.jpg", "{}/1.jpg"])
def test_a_template_without_one_number_is_refused(template):
    with pytest.raises(ValueError, match="is no name with one number; expected one such as img_"):
        FrameNames(template)


def test_lists_of_three_forms_are_read(tmp_path):
    """The rawframes form counts frames; a folder that has another number is an error by name."""
    for name in ("a", "b c/d"):
        pictures(tmp_path / name)
    lists = {
        "counted": f"a {NUM_FRAMES} 1\nb c/d {NUM_FRAMES} 0\n",
        "spaced": "a 1\nb c/d 0\n",
        "commas": "path,label\na,1\nb c/d,0\n",
    }
    for name, text in lists.items():
        (tmp_path / f"{name}.txt").write_text(text)
        data = VideoDataModule(tmp_path, train=Path(f"{name}.txt"), num_classes=2, source="frames")
        records = list(data.records("train"))
        assert [(record.video_id, record.label) for record in records] == [("a", 1), ("b c/d", 0)]
        assert {record.num_frames for record in records} == {NUM_FRAMES if name == "counted" else None}
        assert data.split_lists.look_for_videos(["train"], max_training_share=0.0) == []
    record = records[0]._replace(num_frames=NUM_FRAMES + 1)
    with pytest.raises(DecodeError, match="a: has 24 frames, and its list says 25; correct the list"):
        open_video(record.path, FrameFolderReader, num_frames=record.num_frames)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 24 1\nb 0\n", r":2: 'b 0' is not a row `folder num_frames label`, as the first line is"),
        ("a 24 1\nb 0 1\n", r":2: 'b 0 1' counts 0 frames; expected 1 or more"),
        ("a 24 7\n", r":1: label 7 is out of range; expected 0..1"),
    ],
)
def test_what_is_wrong_with_a_list_is_named(tmp_path, text, message):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(AnnotationError, match=message):
        VideoDataModule(tmp_path, num_classes=2, source="frames").records("train")


def test_folders_that_are_not_there_are_found_before_a_run(tmp_path):
    pictures(tmp_path / "x/a")
    (tmp_path / "c").write_text("a file")
    (tmp_path / "link").symlink_to(tmp_path / "x/a")
    (tmp_path / "train.csv").write_text("path,label\nc,0\nx/a,0\nx/b,0\nlink,0\n")
    with pytest.raises(
        ValueError,
        match=r"2 of 4 videos are not there: 'c', 'x/b' below .*\('c' is a file; .*data.source videos\)",
    ):
        VideoDataModule(tmp_path, val=Path("train.csv"), num_classes=1, source="frames").setup("fit")


def test_a_decoder_of_files_is_refused_for_folders(tmp_path):
    with pytest.raises(
        ValueError, match=r"data\.backend decord reads files; leave it out with data.source frames"
    ):
        VideoDataModule(tmp_path, source="frames", backend="decord")
