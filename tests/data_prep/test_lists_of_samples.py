"""Lists of segments, of label sets and of folders of frames through verify, stats and transcode."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from data_prep import stats, transcode, verify
from gcvideo.atomic import read_table
from gcvideo.data import VideoDataModule
from gcvideo.data.decoding import open_record
from tests.data.encoding import h264, numbered_picture, numbers_shown, write_video
from tests.data_prep.test_stats import plots


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of 2.4 and 1.6 seconds, and one that is none."""
    root = tmp_path_factory.mktemp("videos")
    write_video(root / "a.mp4", num_frames=60, options=h264(keyint=12))
    write_video(root / "b.mp4", num_frames=40, options=h264(keyint=250))
    (root / "bad.mp4").write_bytes((root / "a.mp4").read_bytes()[:3000])
    return root


def verified(root: Path, output: Path, *options: str) -> Path:
    arguments = ["--root", str(root), "--output", str(output), "--workers", "1", *options]
    assert verify.main(arguments) == 0
    return output


def listed(folder: Path, text: str, name: str = "train.csv") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


def frames_of(root: Path, lists: Path, **settings: Any) -> list[tuple[str, list[int]]]:
    """What training would read of each row: its name, and the numbers that its frames show."""
    data = VideoDataModule(lists, train=Path("train.csv"), videos=root, num_classes=3, **settings)
    found = []
    for record in data.records("train"):
        with open_record(record) as reader:
            found.append((record.video_id, numbers_shown(reader.frames_at(range(len(reader))).numpy())))
    return found


SEGMENTS = """path,start,end,label
a.mp4,0,1,0
a.mp4,0.5,2.8,1
bad.mp4,0,1,0
a.mp4,0.8,2.91,1
b.mp4,1.2,1.6,2
b.mp4,1.001,1.02,2
a.mp4,2.4,2.5,0
a.mp4,1,1.01,0
a.mp4,0,1,0
"""


def test_segments_are_verified_with_their_video_and_those_outside_it_are_named(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = verified(videos, tmp_path / "out", "--lists", listed(tmp_path / "lists", SEGMENTS))
    rows = read_table(out / "train.csv")
    assert list(rows[0])[:5] == ["path", "start", "end", "label", "num_frames"]
    assert [tuple(row.values())[:5] for row in rows] == [
        ("a.mp4", "0", "1", "0", "60"),
        ("a.mp4", "0.5", "2.8", "1", "60"),
        ("b.mp4", "1.2", "1.6", "2", "40"),
        ("a.mp4", "1", "1.01", "0", "60"),
        ("a.mp4", "0", "1", "0", "60"),
    ]
    bad = {row["path"]: row["reason"] for row in read_table(out / "bad.csv")}
    assert list(bad) == ["bad.mp4#t=0,1", "a.mp4#t=0.8,2.91", "b.mp4#t=1.001,1.02", "a.mp4#t=2.4,2.5"]
    assert bad["a.mp4#t=0.8,2.91"] == (
        "line 5: segment t=0.8,2.91 ends behind the video, which ends at 2.400 s; correct the list"
    )
    assert bad["b.mp4#t=1.001,1.02"].startswith("line 7: segment t=1.001,1.02 holds none of its 40 frames")
    assert bad["a.mp4#t=2.4,2.5"].startswith("line 8: segment t=2.4,2.5 holds none of its 60 frames")
    assert "train.csv: 1 segment end less than 0.5 s behind the video" in capsys.readouterr().err
    # What is in the list, training reads: the frames that begin in each segment.
    assert frames_of(videos, out) == [
        ("a.mp4#t=0,1", list(range(25))),
        ("a.mp4#t=0.5,2.8", list(range(13, 60))),
        ("b.mp4#t=1.2,1.6", list(range(30, 40))),
        ("a.mp4#t=1,1.01", [25]),
        ("a.mp4#t=0,1", list(range(25))),
    ]
    # A video is decoded once, however many segments it has, and not again for others.
    journal = out / ".journal/verify.0-of-1.jsonl"
    before = journal.read_text()
    assert len(before.splitlines()) == 3
    verified(videos, out, "--lists", listed(tmp_path / "lists", SEGMENTS + "b.mp4,0,0.5,1\n"))
    assert len(read_table(out / "train.csv")) == 6
    assert journal.read_text() == before


def test_a_video_that_was_verified_whole_is_asked_for_its_times_when_a_list_has_segments(
    videos: Path, tmp_path: Path
) -> None:
    out = verified(videos, tmp_path / "out", "--lists", listed(tmp_path / "l", "path,label\na.mp4,0\n"))
    verified(
        videos, out, "--lists", listed(tmp_path / "l", "path,start,end,label\na.mp4,0,3,0\na.mp4,0,2,0\n")
    )
    assert [row["end"] for row in read_table(out / "train.csv")] == ["2"]


def test_shards_divide_segments_by_their_videos(videos: Path, tmp_path: Path) -> None:
    options = ("--lists", listed(tmp_path / "lists", SEGMENTS))
    found = []
    for shard in "01":
        out = verified(videos, tmp_path / "out", *options, "--shard", shard, "--num-shards", "2")
        found.append([row["path"] for row in read_table(out / f"train.{shard}-of-2.csv")])
    assert found == [["a.mp4", "a.mp4", "b.mp4", "a.mp4", "a.mp4"], []]  # the other shard's is bad.mp4
    verified(videos, tmp_path / "out", *options)
    assert len(read_table(tmp_path / "out/train.csv")) == 5
    assert len(read_table(tmp_path / "out/bad.csv")) == 4


def test_a_list_that_was_verified_is_read_also_where_the_last_frame_is_shown_long(tmp_path: Path) -> None:
    """The duration is by the time stamps; the list knows the number of frames and their rate alone."""
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.mkv", num_frames=20, times_ms=[*(40 * n for n in range(19)), 5000])
    rows = "".join(f"a.mkv,0,{end},0\n" for end in (1, 5, 5.2, 5.4, 5.6, 5.8, 6, 9))
    text = f"path,start,end,label\n{rows}"
    out = verified(tmp_path / "in", tmp_path / "out", "--lists", listed(tmp_path / "lists", text))
    kept = [row["end"] for row in read_table(out / "train.csv")]
    assert kept
    assert len(kept) + len(read_table(out / "bad.csv")) == 8
    assert [name for name, _ in frames_of(tmp_path / "in", out)] == [f"a.mkv#t=0,{end}" for end in kept]


def test_segments_in_frames_are_held_to_the_number_of_frames(videos: Path, tmp_path: Path) -> None:
    text = "path,start_frame,end_frame,label\na.mp4,3,60,0\na.mp4,3,61,0\nb.mp4,5,7,1\n"
    out = verified(videos, tmp_path / "out", "--lists", listed(tmp_path / "lists", text))
    assert frames_of(videos, out) == [
        ("a.mp4#frames=3,60", list(range(3, 60))),
        ("b.mp4#frames=5,7", [5, 6]),
    ]
    (bad,) = read_table(out / "bad.csv")
    assert (bad["path"], bad["list"]) == ("a.mp4#frames=3,61", "train.csv")
    assert bad["reason"] == (
        "line 3: segment frames=3,61 ends behind the video, which has 60 frames, 0..59; correct the list"
    )


@pytest.mark.parametrize(
    "text",
    ["path,label\na.mp4,0;2\nb.mp4,\n", "path,0,1,2\na.mp4,1,0,1\nb.mp4,0,0,0\n"],
    ids=["in one cell", "one column a class"],
)
def test_label_sets_stay_in_whatever_form_they_were(videos: Path, tmp_path: Path, text: str) -> None:
    out = verified(videos, tmp_path / "out", "--lists", listed(tmp_path / "lists", text))
    data = VideoDataModule(out, train=Path("train.csv"), videos=videos, num_classes=3, multi_label=True)
    assert [(record.video_id, record.label) for record in data.records("train")] == [
        ("a.mp4", (0, 2)),
        ("b.mp4", ()),
    ]


def test_lists_of_mmaction2_are_read(videos: Path, tmp_path: Path) -> None:
    out = verified(videos, tmp_path / "out", "--lists", listed(tmp_path / "l", "a.mp4 0 2\nb.mp4 1\n"))
    assert [row["label"] for row in read_table(out / "train.csv")] == ["0;2", "1"]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Folders of 6 and 5 frames, named as MMAction2's rawframes, with pictures beside them that are none."""
    root = tmp_path / "frames"
    for name, count in (("x/v1", 6), ("x/v2", 5)):
        (root / name).mkdir(parents=True)
        for number in range(1, count + 1):
            Image.fromarray(numbered_picture(number)).save(root / name / f"img_{number:05}.jpg")
            Image.new("L", (8, 8)).save(root / name / f"flow_x_{number:05}.jpg")
    return root


TEMPLATE = ("--frames-template", "img_{:05}.jpg")


def test_counts_of_folders_of_frames_are_held_to_the_list(folders: Path, tmp_path: Path) -> None:
    file = listed(tmp_path / "lists", "x/v1 6 0\nx/v2 6 1\nx/v3 4 1\n", "train.txt")
    out = verified(folders, tmp_path / "out", "--lists", file, *TEMPLATE)
    assert [tuple(row.values())[:3] for row in read_table(out / "train.txt")] == [("x/v1", "0", "6")]
    assert {row["path"]: row["reason"] for row in read_table(out / "bad.csv")} == {
        "x/v2": "line 2: its list says 6 frames, and it has 5; correct the list",
        "x/v3": "No such file or directory; expected a video file",
    }


def test_label_sets_and_segments_of_folders_of_frames_are_read(folders: Path, tmp_path: Path) -> None:
    sets = listed(tmp_path / "lists", "x/v1 6 0 2\nx/v2 5 1\n")
    out = verified(folders, tmp_path / "sets", "--lists", sets, *TEMPLATE)
    assert [tuple(row.values())[:3] for row in read_table(out / "train.csv")] == [
        ("x/v1", "0;2", "6"),
        ("x/v2", "1", "5"),
    ]
    seconds = listed(tmp_path / "lists", "path,start,end,label\nx/v1,0.2,0.6,0\nx/v2,0.2,2,0\n")
    options = ("--lists", seconds, *TEMPLATE, "--frames-fps", "10")
    out = verified(folders, tmp_path / "seconds", *options)
    assert [(row["path"], row["fps"]) for row in read_table(out / "train.csv")] == [("x/v1", "10.0")]
    assert [row["path"] for row in read_table(out / "bad.csv")] == ["x/v2#t=0.2,2"]


def test_a_folder_whose_pictures_changed_is_examined_again(folders: Path, tmp_path: Path) -> None:
    file = listed(tmp_path / "lists", "path,label\nx/v1,0\n")
    out = verified(folders, tmp_path / "out", "--lists", file, *TEMPLATE)
    assert read_table(out / "bad.csv") == []
    picture = folders / "x/v1/img_00003.jpg"
    picture.write_bytes(picture.read_bytes()[:-40])  # in place: the folder itself looks the same
    verified(folders, out, "--lists", file, *TEMPLATE)
    (bad,) = read_table(out / "bad.csv")
    assert "img_00003.jpg" in bad["reason"]


def test_frames_that_cannot_be_named_so_are_an_error(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"frames\.template 'img\.jpg' is no name with one number"):
        verified(folders, tmp_path / "out", "--frames-template", "img.jpg")


def test_a_video_is_transcoded_once_and_its_segments_stay_what_they_were(tmp_path: Path) -> None:
    """Of a file of variable rate, and of one that begins in the middle of a second."""
    root = tmp_path / "videos"
    root.mkdir()
    stamps = [0, 1, 2, 3, 9, 10, 11, 20, 21, 22, 23, 24, 25, 40, 41, 42, 43, 44, 45, 46]
    write_video(root / "a.avi.mkv", num_frames=20, times_ms=[40 * n for n in stamps])
    write_video(root / "b.mp4", num_frames=40, times_ms=[1480 + 40 * n for n in range(40)])
    texts = {
        "seconds.csv": "path,start,end,label\na.avi.mkv,0.2,0.9,0\na.avi.mkv,0.9,1.7,1\nb.mp4,0.4,1.0,2\n",
        "frames.csv": "path,start_frame,end_frame,label\na.avi.mkv,3,9,0\nb.mp4,10,25,1\n",
    }
    files = [listed(tmp_path / "lists", text, name) for name, text in texts.items()]
    small = tmp_path / "small"
    arguments = ["--root", str(root), "--output", str(small), "--lists", *files, "--workers", "1"]
    assert transcode.main(arguments) == 0
    assert len(read_table(small / "transcode_report.csv")) == 2
    for name in texts:
        for lists in (tmp_path / "lists", small / "lists"):
            shutil.copy(lists / name, lists / "train.csv")
        before = frames_of(root, tmp_path / "lists")
        after = frames_of(small, small / "lists")
        assert [shown for _, shown in after] == [shown for _, shown in before]
        assert all(shown for _, shown in before)
    assert [row["path"] for row in read_table(small / "lists/frames.csv")] == ["a.avi.mp4", "b.mp4"]


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    (tmp_path / "classes.txt").write_text("walk\nrun\nsit\n")
    (tmp_path / "train.csv").write_text(
        "path,start,end,label,num_frames,fps,width,height,codec,rotation,stream,plain\n"
        "a.mp4,0,4,0;1,250,25.0,340,256,h264,0,0,1\n"
        "a.mp4,4,10.2,0;1;2,250,25.0,340,256,h264,0,0,1\n"
        "b.mp4,1,2,,60,30.0,320,240,h264,0,0,1\n"
    )
    (tmp_path / "split_report.csv").write_text("split,listed,found\ntrain,6,4\n")
    (tmp_path / "annotation_report.csv").write_text(
        "class,split,listed,found,missing,extra\nwalk,train,5,2,3,0\nrun,train,4,2,2,0\nsit,train,1,1,0,0\n"
    )
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"x" * 1_000_000)
    return tmp_path


def test_stats_count_segments_their_lengths_and_the_classes_that_occur_together(
    manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(manifest)
    arguments = ["--manifests", folder, "--annotations", folder, "--root", folder, "--output", folder]
    assert stats.main(arguments) == 0
    data = stats.read_prepared(manifest, manifest, manifest, num_workers=2)
    (row,) = stats.sample_summary(data)
    assert dict(zip(stats.SAMPLE_COLUMNS, row, strict=True)) == {
        **{"split": "train", "samples": 3, "videos": 2, "samples a video": "1.50", "without label": 1},
        **{"shortest s": "1.00", "median s": "4.00", "longest s": "6.00"},  # 10.2 is behind the video's end
        **{"labels a sample": "1.67", "most labels": 3},
    }
    (row,) = stats.summary(data)
    found = dict(zip(stats.SUMMARY_COLUMNS, row, strict=True))
    assert (found["listed"], found["found"], found["missing %"], found["GB"]) == (6, 4, "50.00", "0.002")
    assert read_table(manifest / "label_pairs.csv") == [
        {"class": "walk", "and class": "run", "samples": "2"},
        {"class": "walk", "and class": "sit", "samples": "1"},
        {"class": "run", "and class": "sit", "samples": "1"},
    ]
    assert "segments and labels" in capsys.readouterr().err
    page = (manifest / "stats.html").read_text()
    assert "Classes that occur together" in page
    bars = plots(page)
    assert sum(bars["plot-duration"]["y"]) == 2  # a video once
    assert sum(bars["plot-lengthofsegments"]["y"]) == 3
    labels = bars["plot-labelsofasample"]
    assert dict(zip(labels["y"], labels["x"], strict=True)) == {"0 labels": 1, "2 labels": 1, "3 labels": 1}


def test_segments_in_frames_have_their_lengths_by_the_frame_rate(manifest: Path) -> None:
    text = (manifest / "train.csv").read_text().replace("start,end", "start_frame,end_frame")
    (manifest / "train.csv").write_text(text)
    data = stats.read_prepared(manifest, None, None, num_workers=2)
    assert [round(video.seconds, 3) for video in data.videos["train"]] == [0.16, 0.248, 0.033]


def test_bounds_that_are_no_numbers_are_an_error_with_their_line(manifest: Path) -> None:
    file = manifest / "train.csv"
    file.write_text(file.read_text().replace("a.mp4,4,", "a.mp4,x,"))
    with pytest.raises(ValueError, match=r"csv:3: start and end are 'x' and '10\.2'; expected numbers"):
        stats.read_prepared(manifest, None, None, num_workers=2)
