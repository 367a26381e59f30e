"""Every way in which people write a list of videos is read as it is meant, or refused with the line."""

import os
import re
from pathlib import Path

import pytest

from gcvideo.data.lists.annotations import AnnotationError, read_annotations, read_videos

CASES = Path(os.environ.get("GCVIDEO_CASES", Path(__file__).parents[2].parent / "shared" / "cases")) / "lists"
CLASS_NAMES = ["move_left", "move_right", "move_up", "riding a camel", "e", "f", "g", "h"]
LEFT, RIGHT = "train/move_left/0000.mp4", "train/move_right/0000.mp4"
BOTH = [(LEFT, 0), (RIGHT, 1)]


def two(form: str, first: object = 0, second: object = 1) -> str:
    """Two rows, the path as %s and the label as %s."""
    return "".join(form % row + "\n" for row in ((LEFT, first), (RIGHT, second)))


HEADER = "path,label\n"
READ: dict[str, tuple[str | bytes, list[tuple[str, int]]]] = {
    "bom_header": ("\ufeff" + HEADER + two("%s,%s"), BOTH),
    "comma_space": (two("%s, %s"), BOTH),
    "crlf_header": ((HEADER + two("%s,%s")).replace("\n", "\r\n"), BOTH),
    "double_slash": (HEADER + "train//move_left//0000.mp4,0\n", [("train//move_left//0000.mp4", 0)]),
    "dup": (HEADER + f"{LEFT},0\n" + two("%s,%s"), [(LEFT, 0), *BOTH]),
    "empty_lines": (f"\n{LEFT},0\n\n   \n{RIGHT},1\n\n", BOTH),
    "extra_commas": ("path,label,,\n" + two("%s,%s,,"), BOTH),
    "header_caps": ("Path,Label\n" + two("%s,%s"), BOTH),
    "header_filename_class": ("filename,class\n" + two("%s,%s"), BOTH),
    "header_label_first_space": (f"label, path\n0, {LEFT}\n1, {RIGHT}\n", BOTH),
    "header_space_after": ("path, label\n" + two("%s, %s"), BOTH),
    "header_space_sep": ("path label\n" + two("%s %s"), BOTH),
    "header_video_label": ("video,label\n" + two("%s,%s"), BOTH),
    "k_ids": ("-3B32lodo2M 0\n-5KQ66BBWC4 1\n", [("-3B32lodo2M", 0), ("-5KQ66BBWC4", 1)]),
    "label_from1": (HEADER + two("%s,%s", 1, 2), [(LEFT, 1), (RIGHT, 2)]),
    "label_leading0": (HEADER + two("%s,%s", "01", "007"), [(LEFT, 1), (RIGHT, 7)]),
    "lastline_no_nl": ((HEADER + two("%s,%s")).rstrip("\n"), BOTH),
    "leading_dot": (HEADER + two("./%s,%s"), [(f"./{path}", label) for path, label in BOTH]),
    "name_label": (two("%s,%s", "move_left", "move_right"), BOTH),
    "name_label_header": (HEADER + two("%s,%s", "move_left", "move_right"), BOTH),
    "nbsp_sep": (two("%s\xa0%s"), BOTH),
    "pandas_index": (f",path,label\n0,{LEFT},0\n1,{RIGHT},1\n", BOTH),
    "plain_header": (HEADER + two("%s,%s"), BOTH),
    "quoted": (two('"%s","%s"'), BOTH),
    "quoted_space": (two('"%s" %s'), BOTH),
    "semicolon": (two("%s;%s"), BOTH),
    "semicolon_header": ("path;label\n" + two("%s;%s"), BOTH),
    "space_comma": (two("%s ,%s"), BOTH),
    "space_trailing": (two("%s %s "), BOTH),
    "tab": (two("%s\t%s"), BOTH),
    "tab_header": ("path\tlabel\n" + two("%s\t%s"), BOTH),
    "two_spaces": (two("%s  %s"), BOTH),
    "val_missing": (HEADER + "vall/x.mp4,0\nvall/y.mp4,1\n", [("vall/x.mp4", 0), ("vall/y.mp4", 1)]),
    # and others beside the 75
    "names of several words": (two("%s\t%s", "riding a camel", 2), [(LEFT, 3), (RIGHT, 2)]),
    "a quoted path with spaces": ('"a b/x, y.mp4" 3\nz.mp4 1\n', [("a b/x, y.mp4", 3), ("z.mp4", 1)]),
    "start_end": (f"path,start,end,label\n{LEFT},0,5,0\n", [(f"{LEFT}#t=0,5", 0)]),
    "a number in a name": ("clip 3.mp4 0\n7/clip 10.mp4 1\n", [("clip 3.mp4", 0), ("7/clip 10.mp4", 1)]),
    "a quote behind a comma and a space": ('0, "a, b.mp4"\n'.join(["label, path\n", ""]), [("a, b.mp4", 0)]),
}
REFUSED: dict[str, tuple[str | bytes, int | None, str]] = {
    "backslash": (HEADER + r"train\x.mp4,0", 2, r"path 'train.*x.mp4' has backslashes; write / between"),
    "comment_hash": (
        "# my list\n" + two("%s,%s"),
        1,
        "label 'list' is not an integer; .*comments are not read",
    ),
    "comment_mid": (
        f"{LEFT},0\n# bad ones\n{RIGHT},1\n",
        2,
        "'# bad ones' is not a row .*comments are not read",
    ),
    "comment_trailing": (f"{LEFT},0 # ok\n", 1, "label '0 # ok' is not an integer; .*comments are not read"),
    "cr_only_oldmac": (
        (HEADER + two("%s,%s")).replace("\n", "\r"),
        1,
        r"lines end with '\\r' alone, .*again with",
    ),
    "drive": (
        HEADER + r"C:\data\x.mp4,0",
        2,
        r"path 'C:.*x.mp4' names a drive of Windows; write it relative",
    ),
    "dup_conflict": (
        f"{HEADER}{LEFT},0\n{LEFT},1\n",
        3,
        f"'{LEFT}' has label 1, but label 0 on line 2; .*one label",
    ),
    "empty": ("", None, "lists no video; expected rows `path,label`"),
    "envvar": (
        HEADER + "$HOME/x.mp4,0",
        2,
        r"path '\$HOME/x.mp4' names a variable, which is not expanded; write",
    ),
    "float_label": (two("%s,%s", "0.0", "1.0"), 1, "label '0.0' is not an integer; .*write 0"),
    "fullwidth_comma": (two("%s，%s"), 1, r"parted by '\\uff0c' \(FULLWIDTH COMMA\), write a comma"),
    "header_only": (HEADER, None, "lists no video; expected rows `path,label`"),
    "json": (
        '[{"path": "x.mp4", "label": 0}]',
        1,
        "is JSON; expected a header path,label and a row for each",
    ),
    "kinetics_csv": (
        "label,youtube_id,time_start,time_end,split\nabseiling,0347ZoDXyP0,95,105,train\n",
        *(1, "the header has columns label, youtube_id, .*expected path and label .*annotations.py kinetics"),
    ),
    "label_arabic": (
        HEADER + two("%s,%s", "١"),
        2,
        "label '١' is not an integer; expected 0..7 or a class name",
    ),
    "label_big": (HEADER + two("%s,%s", 8), 2, "label 8 is out of range; expected 0..7, counted from 0"),
    "label_empty": (
        HEADER + two("%s,%s", ""),
        2,
        "the label is empty; videos of unknown class are for .*predict",
    ),
    "label_first_noheader": (
        f"0,{LEFT}\n",
        1,
        f"label '{LEFT}' is not .*write `path,label`, or a header label,path",
    ),
    "label_first_space": (
        f"0 {LEFT}\n",
        1,
        f"label '{LEFT}' is not .*write `path,label`, or a header label,path",
    ),
    "label_minus1": (HEADER + two("%s,%s", -1), 2, "label -1 is out of range; .*for `gcvideo predict`"),
    "label_missing_row": (f"{HEADER}{LEFT}\n", 2, f"'{LEFT}' is not a row `path,label`"),
    "label_plus": (HEADER + two("%s,%s", "+1"), 2, r"label '\+1' is not an integer; .*write 1"),
    "label_sci": (HEADER + two("%s,%s", "1e0"), 2, "label '1e0' is not an integer; .*write 1"),
    "latin1": (
        (HEADER + "kü/x.mp4,0\n").encode("latin1"),
        2,
        "is not UTF-8 text .*write the file again as UTF-8",
    ),
    "mmaction_multilabel": (
        f"{LEFT} 0 3\n",
        1,
        f"'{LEFT} 0 3' has more than one number behind the path; .*labels",
    ),
    "multilabel_csv": (
        f'{HEADER}{LEFT},"0,3"\n',
        2,
        "label '0,3' is not an integer; .*several labels .* are read with data.multi_label true",
    ),
    "multilabel_csv2": (
        f"{LEFT},0,3\n{RIGHT},1\n",
        1,
        f"'{LEFT},0,3' has 3 cells; expected 2; several labels .* in one cell",
    ),
    "nul": (
        f"{HEADER}{LEFT}\x00,0\n",
        2,
        r"path '.*mp4\\x00' holds the sign \\x00, which no name can; remove it",
    ),
    "pandas_hdr01": (
        "0,1\n" + two("%s,%s"),
        1,
        "0,1 is the header that pandas writes .*call them path and label",
    ),
    "pandas_index_nohdr": (
        f"0,{LEFT},0\n",
        1,
        "has 3 cells; expected 2; if the first is an index, leave it out",
    ),
    "pipe": (two("%s|%s"), 1, r"is not a row .*parted by '\|', write a comma"),
    "rawframes": (
        "train/move_left/0000 24 0\n",
        1,
        "more than one number behind the path; folders of frames are read with data.source frames",
    ),
    "s3": (HEADER + "s3://bucket/x.mp4,0\n", 2, "path 's3://bucket/x.mp4' is a URL; download the file"),
    "single_quoted": (two("'%s',%s"), 1, "is in single quotes; write double quotes or none"),
    "tilde": (HEADER + "~/x.mp4,0\n", 2, r"path 'HOME/x.mp4' leads out of ROOT; .*set data.videos to .*as /"),
    "two_label_columns": (
        "path,label,label\n",
        1,
        "the header has columns label and label; call the one .*label",
    ),
    "url": (HEADER + "http://127.0.0.1:1/x.mp4,0\n", 2, "path 'http://127.0.0.1:1/x.mp4' is a URL; download"),
    "utf16": ((HEADER + two("%s,%s")).encode("utf-16"), 1, "is UTF-16 text; write the file again as UTF-8"),
    "videomae_frames_label": (two("%s 24 %s"), 1, "more than one number behind the path; folders of frames"),
    "videomaev2_three": (two("%s %s -1"), 1, "more than one number behind the path"),
    "zipmember": (HEADER + "clips.zip/x.mp4,0\n", 2, "path 'clips.zip/x.mp4' lies in an archive; unpack it"),
    "zwsp": (HEADER + two("%s,%s", "0\u200b"), 2, r"label '0\\u200b' is not an integer"),
    # and others beside the 75
    "a misspelt name": (
        HEADER + two("%s,%s", "mvoe_left"),
        2,
        "label 'mvoe_left' .*did you mean 'move_left'",
    ),
    "a header of other words": (
        "clip,category\n",
        1,
        "'clip,category' is no row .*if it is a header, call its columns",
    ),
    "two columns of paths": (
        "file,video,label\n",
        1,
        "columns file and video; call the one that is meant path",
    ),
    "a comma in a path": (f"{HEADER}{LEFT},0\na,1,b.mp4,1\n", 3, "has 4 cells; expected 2; .*double quotes"),
    "several labels further down": (two("%s %s") + "z.mp4 1 2\n", 3, "'z.mp4 1 2' has more than one number"),
    "no label in the header": ("path,fps\n", 1, "the header has columns path, fps; expected path and label"),
    "a sign that cannot be seen in the header": (
        "path,label\u200b\n",
        1,
        r"columns path, 'label\\u200b'; expected",
    ),
    "a header with a bar": (
        "path|label\n",
        1,
        r"'path\|label' is no header; expected path,label parted by a comma",
    ),
    "a line for spreadsheets": (
        "sep=,\npath,label\nx.mp4,0\n",
        1,
        "'sep=,' is for spreadsheets; remove the line",
    ),
    "JSON lines": ('{"path": "x.mp4"}\n', 1, "is JSON"),
}


def written(folder: Path, content: str | bytes) -> Path:
    file = folder / "list.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def rows(file: Path, root: Path) -> list[tuple[str, int]]:
    records = read_annotations(file, root=root, num_classes=8, class_names=CLASS_NAMES)
    return [(record.video_id, record.label) for record in records]


@pytest.mark.parametrize("name", READ)
def test_what_can_be_meant_in_one_way_is_read(tmp_path, name):
    content, expected = READ[name]
    file = written(tmp_path, content)
    assert rows(file, tmp_path / "videos") == expected
    names = [os.path.normpath(tmp_path / "videos" / path) for path, _ in expected]
    found = read_videos(file, root=tmp_path / "videos")  # what predict is given is the same
    assert [record.video_id for record in found] == names


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_is_refused_in_one_line_with_the_file_and_the_line(tmp_path, name):
    content, line, message = REFUSED[name]
    file = written(tmp_path, content)
    with pytest.raises(AnnotationError) as caught:
        rows(file, tmp_path / "videos")
    said = str(caught.value).replace(str(Path.home()), "HOME").replace(str(tmp_path / "videos"), "ROOT")
    assert said.startswith(str(file).replace(str(Path.home()), "HOME") + (f":{line}: " if line else ": "))
    assert re.search(message, said)
    assert "\n" not in said


@pytest.mark.skipif(not CASES.is_dir(), reason="the files themselves are not here")
def test_the_tables_name_every_case_and_decide_it_alike():
    for file in CASES.iterdir():
        assert (file.stem in READ) != (file.stem in REFUSED)
        try:
            rows(file, CASES)
        except AnnotationError:
            assert file.stem in REFUSED
        else:
            assert file.stem in READ
