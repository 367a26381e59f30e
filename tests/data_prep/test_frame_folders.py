"""Folders of pictures in place of video files."""

from pathlib import Path

import pytest
from PIL import Image

from data_prep import stats, verify
from gcvideo.atomic import read_table
from gcvideo.data import VideoDataModule
from gcvideo.data.decoding import DecodeError
from tests.data.encoding import numbered_picture


def test_folders_of_pictures_are_verified_and_counted(tmp_path: Path) -> None:
    """verify.py's list trains on them; a folder that has changed since, or a broken picture, is named."""
    root = tmp_path / "frames"
    for name in ("x/a", "x/b", "c"):
        (root / name).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(numbered_picture(number)).save(root / name / f"{number}.jpg")
    broken = root / "c/3.jpg"
    broken.write_bytes(broken.read_bytes()[:-50])
    output = tmp_path / "verified"
    assert verify.main(["--root", str(root), "--output", str(output)]) == 0
    (bad,) = read_table(output / "bad.csv")
    assert bad["path"] == "c"
    assert bad["reason"].startswith("frame 3 (3.jpg) cannot be decoded (image file is truncated")
    found = read_table(output / "videos.csv")
    assert [(row["path"], row["num_frames"], row["codec"], row["plain"]) for row in found] == [
        ("x/a", "6", "jpg", "0"),
        ("x/b", "6", "jpg", "0"),
    ]
    assert stats.main(["--manifests", str(output), "--root", str(root), "--output", str(output)]) == 0

    (output / "videos.csv").write_text((output / "videos.csv").read_text().replace(",,", ",0,"))
    data = VideoDataModule(output, train=Path("videos.csv"), videos=root, num_classes=1, source="frames")
    dataset = data.training_dataset(data.records("train"))
    assert len(dataset[0, 0].frames) == 1
    (root / "x/a/2.jpg").write_bytes((root / "x/a/3.jpg").read_bytes() + b"\0")
    with pytest.raises(DecodeError, match=r"its checksum is .*: it is damaged or replaced"):
        dataset[0, 0]
