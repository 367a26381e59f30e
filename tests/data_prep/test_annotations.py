import csv
import io
import itertools
import json
import random
import time
from pathlib import Path

import pytest

from data_prep import annotations
from data_prep.lists.annotation_formats import kinetics_clips, ssv2_clips
from data_prep.lists.clip_files import match_clips
from data_prep.lists.official import ListedClip, OfficialFileError, OfficialLists, Splits
from gcvideo.atomic import read_table
from gcvideo.data.lists.annotations import read_annotations
from gcvideo.data.lists.class_files import read_class_names

CLIPS = [  # class, identifier, start, end
    ("abseiling", "-3B32lodo2M", 59, 69),
    ("petting animal (not cat)", "--QUuC4vJs_", 7, 17),
    ("abseiling", "0123456789a", 0, 10),
    ("using remote controller (not gaming)", "xxxxxxxxxxx", 1100, 1110),
]
DIALECTS = {
    "DeepMind": ("label,youtube_id,time_start,time_end,split", "{0},{1},{2},{3},train"),
    "with is_cc": ("label,youtube_id,time_start,time_end,split,is_cc", "{0},{1},{2},{3},train,0"),
    "ActivityNet": ("YouTube Identifier,Start time,End time,Class label", "{1},{2},{3},{0}"),
    "ActivityNet, other": ("video-id,start-time,end-time,label-name", "{1},{2}.0,{3}.0,{0}"),
    "quoted": ("label,youtube_id,time_start,time_end,split", '"{0}","{1}","{2}","{3}","train"'),
    "without header": (None, "{0},{1},{2},{3},train"),
    "without header, with is_cc": (None, "{0},{1},{2},{3},train,0"),
    "without header, other order": (None, "{1},train,{3},{2},{0}"),
    "tabs": (None, "{1}\t{2}\t{3}\t{0}"),
    "byte order mark": ("\ufefflabel,youtube_id,time_start,time_end", "{0},{1},{2},{3}"),
}


def written(path: Path, header: str | None, row: str, clips: list[tuple] = CLIPS) -> Path:
    lines = [row.format(*clip) for clip in clips]
    path.write_text("\n".join([*([header] if header else []), *lines, ""]), encoding="utf-8")
    return path


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def run(output: Path, *arguments: object) -> dict[str, list[tuple[str, str]]]:
    assert annotations.main([*map(str, arguments), "--output", str(output)]) == 0
    return {
        split: [(row["path"], row["label"]) for row in read_table(output / f"{split}.csv")]
        for split in ("train", "val", "test")
    }


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_says_the_same_clips(tmp_path: Path, dialect: str) -> None:
    clips = kinetics_clips(written(tmp_path / "train.csv", *DIALECTS[dialect]))
    expected = [(f"{i}_{start:06d}_{end:06d}", i, name) for name, i, start, end in CLIPS]
    assert [(*clip.stems, clip.class_name) for clip in clips] == expected


def test_a_withheld_test_set_has_clips_without_class(tmp_path: Path) -> None:
    header = "youtube_id,time_start,time_end,split"
    for name, first in (("header.csv", header), ("none.csv", None)):
        clips = kinetics_clips(written(tmp_path / name, first, "{1},{2},{3},test"))
        assert [clip.class_names for clip in clips] == [()] * 4


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"train\.csv: lists no clip"),
        ("label,youtube_id,time_start,time_end\na,0123456789a,1\n", r"train\.csv:2: 'a,0123456789a,1'"),
        ("label,youtube_id,time_start,time_end\na,0123456789a,x,9\n", r"train\.csv:2: .* is not a row"),
        ("some,words\nin,rows\n", "holds a YouTube identifier and a start and an end, .* 'some,words'"),
        ("clip,category\nabseiling/0123456789a,0\n", "the first line, 'clip,category', is no header"),
        ("a 0123456789a 1 2\nb 0123456789b 3 4\n", "separated by commas or tabs"),
        ("x,0123456789a,7\ny,0123456789b,9\n", "no column holds a start and an end, and"),
        (f"{'word ' * 5000}\n", r"the first line, '(word ){16}\.\.\.', is no header"),
        ("a,b,0123456789a,1,2\nc,d,0123456789b,3,4\n", "csv:1: which is the class, 'a' or 'b', cannot"),
    ],
)
def test_a_file_that_is_no_kinetics_list_is_an_error_with_its_line(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(OfficialFileError, match=problem):
        kinetics_clips(tmp_path / "train.csv")


@pytest.mark.parametrize("cell", ["inf", "-inf", "nan", "1e400", "-1", "9" * 400, "٣", "", "0x10"])
@pytest.mark.parametrize("column", [2, 3])
@pytest.mark.parametrize("dialect", ["DeepMind", "without header", "tabs"])
def test_a_time_that_is_none_is_an_error_with_its_line(
    tmp_path: Path, cell: str, column: int, dialect: str
) -> None:
    clips = [("abseiling", f"0123456789{letter}", number, 99) for number, letter in enumerate("abcdefghijkl")]
    bad: list[object] = list(clips[6])
    bad[column] = cell
    file = written(tmp_path / "train.csv", *DIALECTS[dialect], clips=[*clips[:6], tuple(bad), *clips[7:]])
    line = 7 + (DIALECTS[dialect][0] is not None)
    with pytest.raises(OfficialFileError, match=rf"train\.csv:{line}: .* times are seconds from 0 on"):
        kinetics_clips(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[" * 100_000, "is not JSON"),
        ('[{"id": 1e400, "template": "x"}]', "entry 1, .*Infinity.* is no object with id and template"),
        ('[{"id": "1", "template": "x"}, {"id": "2", "template": null}]', "entry 2,"),
        ('{"id": "1"}', "is not a JSON list of objects"),
        ("[1]", "entry 1, '1', is no object with id and template"),
    ],
)
def test_a_json_that_is_no_list_of_clips_is_an_error_with_its_entry(
    tmp_path: Path, text: str, problem: str
) -> None:
    (tmp_path / "train.json").write_text(text)
    with pytest.raises(OfficialFileError, match=rf"train\.json: {problem}"):
        ssv2_clips(tmp_path / "train.json")


def test_a_cell_of_more_than_a_line_of_text_is_an_error_with_its_line(tmp_path: Path) -> None:
    header, _ = DIALECTS["DeepMind"]
    (tmp_path / "train.csv").write_text(f'{header}\n"{"x" * 200_000}",0123456789a,1,2,train\n')
    with pytest.raises(OfficialFileError, match=r"train\.csv:2: is not CSV \(field larger than"):
        kinetics_clips(tmp_path / "train.csv")


def test_a_class_whose_name_would_be_two_lines_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps([{"id": "1", "template": "one\ntwo"}]))
    videos = touch(tmp_path / "v", "1.webm")
    with pytest.raises(OfficialFileError, match=r"'one.ntwo' has a name with control characters"):
        run(tmp_path / "out", "ssv2", "--train", tmp_path / "train.json", "--videos", videos)


def test_a_file_that_is_no_text_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(random.Random(0).randbytes(1000))
    with pytest.raises(OfficialFileError, match=r"train\.csv: is no text"):
        kinetics_clips(tmp_path / "train.csv")


@pytest.mark.parametrize("has_header", [True, False])
def test_columns_may_stand_in_any_order(tmp_path: Path, has_header: bool) -> None:
    names = ("label", "youtube_id", "time_start", "time_end", "split")
    cells = ("{0}", "{1}", "{2}", "{3}", "train")
    expected = [((f"{i}_{start:06d}_{end:06d}", i), (name,), None) for name, i, start, end in CLIPS]
    for order in itertools.permutations(range(5)):
        header = ",".join(names[place] for place in order) if has_header else None
        file = written(tmp_path / "train.csv", header, ",".join(cells[place] for place in order))
        assert kinetics_clips(file) == expected, order


def test_files_are_found_under_any_name_and_folder_the_copies_have(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", *DIALECTS["DeepMind"])
    videos = touch(
        tmp_path / "videos",
        "train/a/b/c/d/e/f/-3B32lodo2M_000059_000069.mp4",
        "train/petting_animal_(not_cat)/--QUuC4vJs_.mkv",
        "using remote controller (not gaming)/xxxxxxxxxxx_001100_001110.webm",
        "0123456789a_000099_000109.mp4",
        "notes.txt",
        "train/._xxxxxxxxxxx_001100_001110.mp4",
    )
    rows = run(tmp_path / "out", "kinetics", "--train", train, "--videos", videos)
    assert rows["train"] == [
        ("train/a/b/c/d/e/f/-3B32lodo2M_000059_000069.mp4", "0"),
        ("train/petting_animal_(not_cat)/--QUuC4vJs_.mkv", "1"),
        ("using remote controller (not gaming)/xxxxxxxxxxx_001100_001110.webm", "2"),
    ]
    assert read_table(tmp_path / "out/missing.csv") == [
        {"split": "train", "clip": "0123456789a_000000_000010", "class": "abseiling"}
    ]
    assert read_table(tmp_path / "out/extra.csv") == [{"path": "0123456789a_000099_000109.mp4"}]


def test_labels_are_positions_in_the_sorted_classes_of_all_splits(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", *DIALECTS["DeepMind"])
    other = [("Zumba", "zzzzzzzzzzz", 1, 2), ("aaa", "yyyyyyyyyyy", 1, 2)]
    val = written(tmp_path / "val.csv", *DIALECTS["ActivityNet"], clips=other)
    videos = touch(tmp_path / "v", "zzzzzzzzzzz.mp4", "yyyyyyyyyyy.mp4", "xxxxxxxxxxx.mp4")
    rows = run(tmp_path / "out", "kinetics", "--train", train, "--val", val, "--videos", videos)
    names = read_class_names(tmp_path / "out/classes.txt")
    assert names == [
        *("Zumba", "aaa", "abseiling", "petting animal (not cat)"),
        "using remote controller (not gaming)",
    ]
    assert rows["val"] == [("zzzzzzzzzzz.mp4", "0"), ("yyyyyyyyyyy.mp4", "1")]
    assert rows["train"] == [("xxxxxxxxxxx.mp4", "4")]


def test_the_lists_are_what_training_reads(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", *DIALECTS["DeepMind"])
    videos = touch(tmp_path / "v", "-3B32lodo2M.mp4", 'a, "b"/--QUuC4vJs_.mp4', "ü 視/xxxxxxxxxxx.mp4")
    rows = run(tmp_path / "out", "kinetics", "--train", train, "--videos", videos)["train"]
    records = read_annotations(tmp_path / "out/train.csv", root=videos, num_classes=3)
    assert [(record.video_id, str(record.label)) for record in records] == rows
    assert all(record.path.exists() for record in records)


def test_found_missing_and_extra_are_counted_per_class_and_split(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", *DIALECTS["DeepMind"])
    val = written(tmp_path / "val.csv", *DIALECTS["DeepMind"], clips=CLIPS[:1])
    videos = touch(
        tmp_path / "v",
        "train/abseiling/0123456789a.mp4",
        "train/abseiling/unknown1.mp4",
        "validate/Petting_Animal_(not_cat)/unknown2.mp4",
        "unknown3.mp4",
    )
    run(tmp_path / "out", "kinetics", "--train", train, "--val", val, "--videos", videos)
    assert (tmp_path / "out/annotation_report.csv").read_text().splitlines() == [
        "class,split,listed,found,missing,extra",
        ",,0,0,0,1",
        "abseiling,train,2,1,1,1",
        "abseiling,val,1,0,1,0",
        "petting animal (not cat),train,1,0,1,0",
        "petting animal (not cat),val,0,0,0,1",
        "using remote controller (not gaming),train,1,0,1,0",
    ]


def test_of_two_files_of_one_name_the_one_in_the_split_and_class_folder_is_taken() -> None:
    clip = ListedClip(("abc_000001_000011", "abc"), ("juggling balls",))
    paths = [
        "a/abc_000001_000011.mp4",
        "train/other/abc_000001_000011.mp4",
        "val/juggling_balls/abc_000001_000011.mp4",
        "val/other/abc_000001_000011.mp4",
    ]
    result = match_clips(Splits([clip], [clip], []), paths)
    assert result.rows["train"] == [(paths[1], clip)]
    assert result.rows["val"] == [(paths[2], clip)]
    assert result.extra == [paths[0], paths[3]]


def test_one_file_without_times_stands_for_one_clip_only() -> None:
    clips = [ListedClip((f"abc_{n:06d}_{n + 10:06d}", "abc"), ("x",)) for n in (1, 50)]
    result = match_clips(Splits(clips, [], []), ["abc.mp4"])
    assert result.rows["train"] == [("abc.mp4", clips[0])]
    assert result.missing["train"] == clips[1:]


def test_a_clip_listed_twice_is_counted_and_one_of_two_classes_keeps_both() -> None:
    one, two = (ListedClip(("a_000001_000002", "a"), (name,)) for name in ("x", "y"))
    result = match_clips(Splits([one, one, two], [], []), ["a_000001_000002.mp4"])
    assert [clip.class_names for _, clip in result.rows["train"]] == [("x",), ("y",)]
    assert result.repeated["train"] == 1


def test_a_clip_under_several_classes_is_named_and_keeps_all_its_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = written(tmp_path / "train.csv", *DIALECTS["DeepMind"], clips=[*CLIPS, ("archery", *CLIPS[0][1:])])
    val = written(tmp_path / "val.csv", *DIALECTS["DeepMind"], clips=[CLIPS[0], ("bowling", *CLIPS[1][1:])])
    videos = touch(tmp_path / "v", "abseiling/-3B32lodo2M.mp4", "archery/-3B32lodo2M.mp4")
    rows = run(tmp_path / "out", "kinetics", "--train", train, "--val", val, "--videos", videos)
    assert rows["train"] == [("abseiling/-3B32lodo2M.mp4", "0"), ("archery/-3B32lodo2M.mp4", "1")]
    assert [tuple(row.values()) for row in read_table(tmp_path / "out/several_classes.csv")] == [
        ("-3B32lodo2M_000059_000069", "train", "abseiling"),
        ("-3B32lodo2M_000059_000069", "train", "archery"),
        ("-3B32lodo2M_000059_000069", "val", "abseiling"),
        ("--QUuC4vJs__000007_000017", "train", "petting animal (not cat)"),
        ("--QUuC4vJs__000007_000017", "val", "bowling"),
    ]
    assert "2 clips stand under several classes, as -3B32lodo2M_000059_000069 under 'abseiling' and" in (
        capsys.readouterr().err
    )


def test_a_withheld_test_set_gets_empty_labels(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", *DIALECTS["DeepMind"])
    test = written(tmp_path / "test.csv", "youtube_id,time_start,time_end,split", "{1},{2},{3},test")
    videos = touch(tmp_path / "v", "-3B32lodo2M.mp4")
    rows = run(tmp_path / "out", "kinetics", "--train", train, "--test", test, "--videos", videos)
    assert rows["test"] == [("-3B32lodo2M.mp4", "")]
    assert "" not in read_class_names(tmp_path / "out/classes.txt")


def test_ucf101_split_files(tmp_path: Path) -> None:
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "trainlist02.txt").write_text(
        "YoYo/v_YoYo_g08_c01.avi 101\r\nArchery/v_Archery_g08_c02.avi 3\r\n"
    )
    (lists / "testlist02.txt").write_text("Archery/v_Archery_g01_c01.avi\n")
    videos = touch(
        tmp_path / "UCF-101",
        *("YoYo/v_YoYo_g08_c01.avi", "Archery/v_Archery_g08_c02.avi"),
        "Archery/v_Archery_g01_c01.avi",
    )
    rows = run(tmp_path / "out", "ucf101", "--lists", lists, "--split", 2, "--videos", videos)
    assert rows["train"] == [("YoYo/v_YoYo_g08_c01.avi", "1"), ("Archery/v_Archery_g08_c02.avi", "0")]
    assert rows["val"] == rows["test"] == [("Archery/v_Archery_g01_c01.avi", "0")]


def test_hmdb51_split_files(tmp_path: Path) -> None:
    lists = tmp_path / "splits"
    lists.mkdir()
    (lists / "brush_hair_test_split1.txt").write_text("a_b.avi 1 \nc (1).avi 2 \nd.avi 0 \n")
    (lists / "cartwheel_test_split1.txt").write_text("e.avi 1 \n")
    videos = touch(
        tmp_path / "v", "brush_hair/a_b.avi", "brush_hair/c (1).avi", "brush_hair/d.avi", "cartwheel/e.avi"
    )
    rows = run(tmp_path / "out", "hmdb51", "--lists", lists, "--videos", videos)
    assert rows["train"] == [("brush_hair/a_b.avi", "0"), ("cartwheel/e.avi", "1")]
    assert rows["test"] == [("brush_hair/c (1).avi", "0")]
    assert read_table(tmp_path / "out/extra.csv") == [{"path": "brush_hair/d.avi"}]


def test_something_something_v2_json(tmp_path: Path) -> None:
    train = tmp_path / "train.json"
    entries = [
        {"id": "78687", "label": "holding potato", "template": "Holding [something]"},
        {"id": 42326, "label": "x", "template": "Bending [something] so that it deforms"},
    ]
    train.write_text(json.dumps(entries))
    (tmp_path / "test.json").write_text(json.dumps([{"id": "1420"}]))
    videos = touch(tmp_path / "v", "78687.webm", "42326.webm", "1420.webm")
    rows = run(
        tmp_path / "out",
        *("ssv2", "--train", train, "--test", tmp_path / "test.json", "--videos", videos),
    )
    assert rows["train"] == [("78687.webm", "1"), ("42326.webm", "0")]
    assert rows["test"] == [("1420.webm", "")]
    assert read_class_names(tmp_path / "out/classes.txt") == [
        "Bending something so that it deforms",
        "Holding something",
    ]


def test_a_tree_of_splits_and_class_folders(tmp_path: Path) -> None:
    videos = touch(tmp_path / "v", "train/run/a.mp4", "train/jump/x/b.mp4", "val/run/c.mp4")
    rows = run(tmp_path / "out", "folder", "--videos", videos)
    assert rows["train"] == [("train/jump/x/b.mp4", "0"), ("train/run/a.mp4", "1")]
    assert rows["val"] == [("val/run/c.mp4", "1")]


def test_a_tree_of_class_folders_is_divided_the_same_way_each_time(tmp_path: Path) -> None:
    names = [f"{name}/{n}.mp4" for name in ("run", "jump") for n in range(10)]
    videos = touch(tmp_path / "v", *names)
    common = ("folder", "--videos", videos, "--val-fraction", 0.2, "--test-fraction", 0.1)
    rows = run(tmp_path / "out", *common)
    assert [len(rows[split]) for split in ("train", "val", "test")] == [14, 4, 2]
    assert sorted(path for split in rows.values() for path, _ in split) == sorted(names)
    assert {path.split("/")[0] for path, _ in rows["val"]} == {"run", "jump"}
    assert run(tmp_path / "again", *common) == rows
    assert run(tmp_path / "other", *common, "--seed", 1) != rows
    touch(videos, "swim/0.mp4")
    assert set(rows["val"]) <= set(run(tmp_path / "more", *common)["val"])


def test_no_match_at_all_is_an_error_that_shows_a_name_that_would_do(tmp_path: Path) -> None:
    train = written(tmp_path / "train.csv", *DIALECTS["DeepMind"])
    videos = touch(tmp_path / "v", "other.mp4")
    with pytest.raises(OfficialFileError, match=r"-3B32lodo2M_000059_000069\.mp4 or -3B32lodo2M\.mp4"):
        run(tmp_path / "out", "kinetics", "--train", train, "--videos", videos)
    assert not (tmp_path / "out").exists()


def test_names_that_no_list_can_hold_are_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = touch(tmp_path / "v", "run/a.mp4", "run/b\n.mp4", "run/\udcff.mp4")
    rows = run(tmp_path / "out", "folder", "--videos", videos, "--val-fraction", 0)
    assert rows["train"] == [("run/a.mp4", "0")]
    assert "2 files have names that no list can hold" in capsys.readouterr().err


@pytest.mark.parametrize("fractions", [("1.5", "0"), ("0.5", "0.5"), ("-0.1", "0")])
def test_fractions_that_leave_nothing_to_train_on_are_an_error(
    tmp_path: Path, fractions: tuple[str, str]
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.mp4").touch()
    arguments = ["folder", "--videos", str(tmp_path), "--output", str(tmp_path / "out")]
    with pytest.raises(ValueError, match="expected fractions whose sum is less than 1"):
        annotations.main([*arguments, "--val-fraction", fractions[0], "--test-fraction", fractions[1]])


def test_a_dry_run_and_a_later_shard_write_nothing(tmp_path: Path) -> None:
    videos = touch(tmp_path / "v", "run/a.mp4")
    for options in (["--dry-run"], ["--shard", "1", "--num-shards", "2"]):
        arguments = ["folder", "--videos", str(videos), "--output", str(tmp_path / "out"), *options]
        assert annotations.main(arguments) == 0
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_240_000_rows_match_240_000_names_in_ten_seconds(tmp_path: Path) -> None:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    draw = random.Random(0)
    clips = [
        (f"class number {draw.randrange(400)} (of 400)", "".join(draw.choices(letters, k=11)), n)
        for n in range(240_000)
    ]
    text = io.StringIO()
    csv.writer(text).writerows((name, i, n, n + 10, "train") for name, i, n in clips)
    (tmp_path / "train.csv").write_text(text.getvalue())
    names = [f"train/{name}/{i}_{n:06d}_{n + 10:06d}.mp4" for name, i, n in clips[::-1]]
    start = time.process_time()  # one thread: what the clock shows when nothing else runs
    splits = Splits(kinetics_clips(tmp_path / "train.csv"), [], [])
    result = match_clips(splits, names)
    annotations.write_annotations(OfficialLists(splits), result, output=tmp_path / "out")
    seconds = time.process_time() - start
    assert len(result.rows["train"]) == 240_000
    assert [path for path, _ in result.rows["train"]] == names[::-1]
    assert seconds < 10
