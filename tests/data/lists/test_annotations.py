import logging
from pathlib import Path

import pytest

from gcvideo.clip import Segment, Verified, VideoRecord
from gcvideo.data.lists.annotations import AnnotationError, largest_label, read_annotations, read_videos

HEADER = "path,label\n"


def written(folder: Path, text: str | bytes, name: str = "list.csv") -> Path:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def paths_of(file: Path, *, root: Path) -> list[Path]:
    return [record.path for record in read_videos(file, root=root)]


def rows(file: Path, num_classes: int = 400) -> list[tuple[str, int]]:
    return [
        (record.video_id, record.label)
        for record in read_annotations(file, root=file.parent, num_classes=num_classes)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na/x.mp4,3\na/y.mp4,0\n",
        "a/x.mp4,3\na/y.mp4,0\n",
        "a/x.mp4 3\na/y.mp4 0\n",
    ],
    ids=["header", "commas", "spaces"],
)
def test_three_forms_say_the_same(tmp_path, text):
    assert rows(written(tmp_path, text)) == [("a/x.mp4", 3), ("a/y.mp4", 0)]


def test_a_record_knows_its_file_below_the_root_its_label_and_its_name_as_written(tmp_path):
    file = written(tmp_path, "a/x.mp4,3\n")
    (record,) = read_annotations(file, root=tmp_path / "videos", num_classes=4)
    assert record == VideoRecord(tmp_path / "videos/a/x.mp4", 3, "a/x.mp4")


@pytest.mark.parametrize(
    "path", ["riding a camel/x y.mp4", "tango (dance)/x.mp4", "café/走.mp4", "a-b_c.d/x.mp4", "x\u2028y.mp4"]
)
@pytest.mark.parametrize("form", [HEADER + "{},7\n", "{},7\n", "{} 7\n"], ids=["header", "commas", "spaces"])
def test_paths_keep_their_spaces_parentheses_and_letters(tmp_path, form, path):
    assert rows(written(tmp_path, form.format(path))) == [(path, 7)]


@pytest.mark.parametrize("form", [HEADER + '"{}",7\n', '"{}",7\n', "{} 7\n"])
def test_a_path_with_commas_stands_in_quotes_or_in_the_form_with_spaces(tmp_path, form):
    path = "walking, running/x, y.mp4"
    assert rows(written(tmp_path, form.format(path))) == [(path, 7)]


@pytest.mark.parametrize("form", ["path,label\nx.mp4,7\n", "x.mp4,7\n", "x.mp4 7\n"])
def test_byte_order_mark_blank_lines_and_line_ends_of_windows_change_nothing(tmp_path, form):
    dressed = "\ufeff\n" + form.replace("\n", "\r\n\r\n  \r\n")
    assert rows(written(tmp_path, dressed)) == [("x.mp4", 7)]


def test_a_header_allows_other_columns_in_any_order(tmp_path):
    text = "label , split,path,fps\n7,train,a b.mp4,25\n3,train,c.mp4,30\n"
    assert rows(written(tmp_path, text)) == [("a b.mp4", 7), ("c.mp4", 3)]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (HEADER + "x.mp4,3\n\ny.mp4,5\n", 4, "label 5 is out of range; expected 0..4"),
        ("x.mp4,-1\n", 1, "label -1 is out of range; expected 0..4"),
        ("x.mp4 3\ny.mp4 5\n", 2, "label 5 is out of range; expected 0..4"),
        (HEADER + "x.mp4,riding camel\n", 2, "label 'riding camel' is not an integer; expected 0..4"),
        ("x.mp4,camel\n", 1, "label 'camel' is not an integer; expected 0..4"),
        ("x.mp4 1\ny.mp4 1.0\n", 2, "label '1.0' is not an integer; expected 0..4"),
        ("x.mp4,1\ny.mp4\n", 2, "'y.mp4' is not a row `path,label`"),
        ("x.mp4 1\ny.mp4\n", 2, "'y.mp4' is not a row `path,label` or `path label`"),
        ("x.mp4,1\n,1\n", 2, "the path is empty; expected a video file below ROOT"),
        ('x.mp4,1\n"y.mp4,1\nz.mp4,1\n', 2, "'\"y.mp4,1' is not CSV"),
        ("label,youtube_id\n1,abc\n", 1, "the header has columns label, youtube_id; expected path and label"),
        ("x.mp4,1\n../y.mp4,1\n", 2, "path '../y.mp4' leads out of ROOT; make it relative to the root"),
        ("x.mp4,1\n/y.mp4,1\n", 2, "path '/y.mp4' leads out of ROOT; make it relative to the root"),
        ("x.mp4,1\na/../../y.mp4,1\n", 2, "path 'a/../../y.mp4' leads out of ROOT; make it relative"),
    ],
)
def test_a_bad_row_ends_in_one_line_with_file_and_line(tmp_path, text, line, message):
    file = written(tmp_path, text)
    with pytest.raises(AnnotationError) as caught:
        rows(file, num_classes=5)
    found = str(caught.value)
    assert found.startswith(f"{file}:{line}: {message.replace('ROOT', str(tmp_path))}")
    assert "\n" not in found


@pytest.mark.parametrize("text", ["", "\n \n", HEADER])
def test_a_list_without_a_video_is_refused(tmp_path, text):
    file = written(tmp_path, text)
    with pytest.raises(AnnotationError, match="lists no video; expected rows `path,label`") as caught:
        rows(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_missing_list_is_named(tmp_path):
    file = tmp_path / "none.csv"
    for read in (rows, largest_label):
        with pytest.raises(AnnotationError, match="no such file") as caught:
            read(file)
        assert str(caught.value).startswith(f"{file}: ")


def test_a_list_that_is_not_text_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"list\.csv:1: is not UTF-8 text"):
        rows(written(tmp_path, b"caf\xe9.mp4,1\n"))


def test_absolute_paths_are_read_where_the_root_holds_them(tmp_path):
    file = written(tmp_path, f"{tmp_path}/a/x.mp4 1\n")
    (record,) = read_annotations(file, root=Path("/"), num_classes=2)
    assert record.path == tmp_path / "a/x.mp4"
    assert rows(file) == [(f"{tmp_path}/a/x.mp4", 1)]


def test_a_link_inside_the_root_may_point_anywhere(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "videos").symlink_to(elsewhere)
    assert rows(written(root, "videos/x.mp4,0\n")) == [("videos/x.mp4", 0)]


def test_the_largest_label_is_found_in_every_form(tmp_path):
    for text in ("path,label\nx,3\ny,11\nz,5\n", "x,3\ny,11\nz,5\n", "x 3\ny 11\nz 5\n"):
        assert largest_label(written(tmp_path, text)) == 11
    with pytest.raises(
        AnnotationError, match=r"no video with an integer label, only names as 'camel'; write them"
    ):
        largest_label(written(tmp_path, "x.mp4,camel\n"))


def test_labels_that_are_counted_from_1_are_pointed_out_where_classes_are_numbered(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        assert largest_label(written(tmp_path, "x.mp4,1\ny.mp4,2\n")) == 2
    assert "list.csv: the smallest label is 1, but labels are counted from 0" in caplog.text


def test_rows_that_are_there_twice_are_counted_in_the_log(tmp_path, caplog):
    file = written(tmp_path, "path,label\na/x.mp4,1\n\nb/y.mp4,2\n./a//x.mp4,1\na/x.mp4,1\n")
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        assert rows(file) == [("a/x.mp4", 1), ("b/y.mp4", 2), ("./a//x.mp4", 1), ("a/x.mp4", 1)]
    assert (
        "2 of 4 rows list a video again, which counts as often: 'a/x.mp4' stands on lines 2 and 5"
        in caplog.text
    )


@pytest.mark.parametrize("other", ["a/x.mp4", "./a/x.mp4", "a//x.mp4", "b/../a/x.mp4", "ROOT/a/x.mp4"])
def test_one_video_under_two_labels_is_refused_however_its_path_is_written(tmp_path, other):
    file = written(tmp_path, f"path,label\na/x.mp4,1\n\n{other.replace('ROOT', str(tmp_path))},2\n")
    with pytest.raises(AnnotationError, match=r"list\.csv:4: .* has label 2, but label 1 on line 2"):
        rows(file)


@pytest.mark.parametrize("path", ["a\\b.mp4", "'a b'", "$x/y.mp4", "a.zip/x.mp4"])
def test_a_strange_path_is_read_where_there_is_such_a_file(tmp_path, path):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).touch()
    assert rows(written(tmp_path, f"{path},0\n")) == [(path, 0)]


def test_the_home_folder_is_meant_by_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    file = written(tmp_path, "path,label\n~/x.mp4,0\n")
    assert rows(file) == [(f"{tmp_path}/home/x.mp4", 0)]
    assert paths_of(file, root=Path("/elsewhere")) == [tmp_path / "home/x.mp4"]


@pytest.mark.parametrize(
    "text",
    [
        "a b.mp4\nc, d.mp4\ne 3.mp4\n",
        'path\na b.mp4\n"c, d.mp4"\ne 3.mp4\n',
        '"a b.mp4"\n"c, d.mp4"\ne 3.mp4',
    ],
)
def test_a_list_without_labels_has_one_path_a_line(tmp_path, text):
    expected = [tmp_path / name for name in ("a b.mp4", "c, d.mp4", "e 3.mp4")]
    assert paths_of(written(tmp_path, text), root=tmp_path) == expected


def test_a_list_without_labels_may_name_segments(tmp_path):
    (first, second) = read_videos(
        written(tmp_path, "path,start,end\na.mp4,0,3\na.mp4,3,4.5\n"), root=tmp_path
    )
    assert (first.path, first.segment) == (tmp_path / "a.mp4", Segment(0, 3, False))
    assert second.video_id == f"{tmp_path}/a.mp4#t=3,4.5"
    with pytest.raises(AnnotationError, match=r"list\.csv:2: segment t=3,3 is empty"):
        read_videos(written(tmp_path, "path,start,end\na.mp4,3,3\n"), root=tmp_path)


@pytest.mark.parametrize("form", ["{},run\n", "{};run\n", "{}\trun\n", "{} run\n", "path,label\n{},run\n"])
def test_a_list_with_names_is_read_where_no_names_are_known(tmp_path, form):
    assert paths_of(written(tmp_path, form.format("a b.mp4")), root=tmp_path) == [tmp_path / "a b.mp4"]


VERIFIED = "path,label,num_frames,fps,width,height,codec,rotation,stream,plain\n"


def test_a_verified_list_says_how_many_frames_a_video_has_and_whether_it_is_plain(tmp_path):
    rows = "a.mp4,1,250,25.0,340,256,h264,0,0,1\nb.avi,2,31,29.97,64,48,mpeg4,0,0,0\n"
    records = read_annotations(written(tmp_path, VERIFIED + rows), root=tmp_path, num_classes=3)
    assert [record.verified for record in records] == [
        Verified(num_frames=250, fps=25.0, width=340, height=256, plain=True),
        Verified(num_frames=31, fps=29.97, width=64, height=48, plain=False),
    ]
    rows = "a.mp4,1,250,25.0,340,256,h264,0,0,1,3134140088\n"
    checked = written(tmp_path, VERIFIED.replace("plain", "plain,crc32") + rows)
    (record,) = read_annotations(checked, root=tmp_path, num_classes=3)
    assert record.verified == Verified(250, 25.0, 340, 256, plain=True, crc32=3134140088)
    some_columns = read_annotations(
        written(tmp_path, "path,label,num_frames,plain\na.mp4,1,250,1\n"), root=tmp_path, num_classes=3
    )
    assert some_columns[0].verified is None


def test_what_a_verified_list_says_must_be_numbers(tmp_path):
    file = written(tmp_path, VERIFIED + "a.mp4,1,many,25.0,340,256,h264,0,0,1\n")
    with pytest.raises(
        AnnotationError, match=r"list\.csv:2: num_frames, fps, .* are many, 25\.0, .*verify\.py"
    ):
        read_annotations(file, root=tmp_path, num_classes=3)
