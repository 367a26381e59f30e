import logging
from pathlib import Path

import pytest

from gcvideo.cli.inputs import find_videos, unique_names


def touched(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def paths_of(given: list[Path], root: Path | None = None) -> list[Path]:
    return [video.path for video in find_videos(given, root=root)]


def test_a_folder_gives_its_videos_and_the_log_names_what_else_is_in_it(tmp_path, caplog):
    root = touched(tmp_path, "b.MP4", "a/x.mts", "._b.mp4", "__MACOSX/b.mp4", "noext", "pictures.gif")
    (tmp_path / "linked").symlink_to(touched(tmp_path / "a/../.elsewhere", "y.vob"))
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        found = paths_of([root])
    assert found == [root / "a/x.mts", root / "b.MP4", root / "linked/y.vob"]
    assert "left out 2 files that are not named like videos: noext, pictures.gif" in caplog.text


def test_lists_folders_and_files_may_stand_together(tmp_path):
    root = touched(tmp_path, "a/x.mp4", "noext")
    (root / "list.txt").write_text("a/y.mp4 0\na/z.mp4 1\n")
    given = [root / "noext", root / "a", root / "list.txt"]
    assert paths_of(given) == [root / name for name in ("noext", "a/x.mp4", "a/y.mp4", "a/z.mp4")]
    assert paths_of(given[2:], root=Path("/v")) == [Path("/v/a/y.mp4"), Path("/v/a/z.mp4")]


@pytest.mark.parametrize(
    ("name", "message"), [("none", "no such file or folder"), ("", "no video in this folder")]
)
def test_what_holds_no_video_is_named(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        list(find_videos([tmp_path / name]))


def test_segments_of_a_list_are_videos_with_names_of_their_own(tmp_path):
    file = tmp_path / "list.csv"
    file.write_text("path,start,end\na.mp4,0,2.5\na.mp4,2.5,4\nb/a.mp4,0,2.5\n")
    videos = list(find_videos([file]))
    assert [video.video_id.removeprefix(f"{tmp_path}/") for video in videos] == [
        "a.mp4#t=0,2.5",
        "a.mp4#t=2.5,4",
        "b/a.mp4#t=0,2.5",
    ]
    assert list(unique_names(videos).values()) == ["a_t_0-2.5", "a_t_2.5-4", "a_t_0-2.5-2"]
