from pathlib import Path

import pytest

from gcvideo.video_files import is_video_name, video_names


@pytest.mark.parametrize("num_workers", [1, 4])
def test_links_to_folders_are_followed_and_no_folder_is_listed_twice(
    tmp_path: Path, num_workers: int
) -> None:
    (tmp_path / "elsewhere/deep").mkdir(parents=True)
    (tmp_path / "elsewhere/deep/b.mp4").touch()
    root = tmp_path / "root"
    (root / "m").mkdir(parents=True)
    (root / "m/a.mp4").touch()
    (root / "again").symlink_to("m")  # the folder itself comes before a link to it
    (root / "m/circle").symlink_to(root)
    (root / "train").symlink_to(tmp_path / "elsewhere")
    (root / "nowhere").symlink_to("gone")
    assert video_names(root, num_workers=num_workers) == ["m/a.mp4", "train/deep/b.mp4"]


def test_everything_named_like_a_video_is_listed_sorted_whatever_it_is(tmp_path: Path) -> None:
    for name in (
        "b.MP4",
        "a/x.avi",
        "c.MTS",
        "d.m2ts",
        "e.3gp",
        "f.ogv",
        "g.vob",
        "h.DivX",
        "notes.txt",
        "i.gif",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.mkv").mkdir()
    (tmp_path / "folder.mkv/inside.mp4").touch()
    shown = ["a/x.avi", "b.MP4", "c.MTS", "d.m2ts", "e.3gp", "f.ogv", "folder.mkv", "g.vob", "h.DivX"]
    assert video_names(tmp_path) == shown
    assert not is_video_name("mp4")


def test_hidden_files_and_folders_hold_no_videos(tmp_path: Path) -> None:
    for name in (
        "a/.b.mp4.partial",
        "a/._x.avi",
        "a/.x.avi",
        "__MACOSX/a/x.avi",
        ".cache/x.avi",
        "a/..x.mp4",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        assert video_names(tmp_path) == []
    root = tmp_path / ".data"  # but whoever names a hidden folder means it
    root.mkdir()
    (root / "x.avi").touch()
    assert video_names(root) == ["x.avi"]


def test_a_root_that_is_no_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        video_names(tmp_path / "nope")
