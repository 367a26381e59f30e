"""Lists of videos with several labels: every way to write them, and what they become in a batch."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from gcvideo.clip import Clip
from gcvideo.data.dataset import collate
from gcvideo.data.lists.annotations import AnnotationError, largest_label, read_annotations, read_videos
from gcvideo.data.lists.folds import Folds
from gcvideo.data.lists.forms import labelled_form
from gcvideo.data.lists.frame_folders import frame_folder_form
from gcvideo.data.lists.label_sets import frame_folder_label_set_form, label_set_form
from gcvideo.data.lists.records import VideoRecords, order_digest

NAMES = ["walk", "run", "sit, then stand", "jump"]


def read(folder: Path, text: str, *, form=label_set_form, multi_label: bool = True) -> VideoRecords:
    file = folder / "list.csv"
    file.write_text(text)
    return read_annotations(
        file, root=folder, num_classes=4, class_names=NAMES, form_of_list=form, multi_label=multi_label
    )


SETS = [("a b.mp4", (0, 3)), ("c.mp4", (1,))]


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na b.mp4,0;3\nc.mp4,1\n",
        "path,label\na b.mp4,3;0\nc.mp4,run\n",
        "path,label\na b.mp4,walk; jump\nc.mp4,run\n",
        'path,label\na b.mp4,"0,3"\nc.mp4,1\n',
        "path,label\na b.mp4,0 3\nc.mp4,1\n",
        "label,path\n0;3,a b.mp4\n1,c.mp4\n",
        "a b.mp4,0;3\nc.mp4,1\n",
        "a b.mp4, 0;3\nc.mp4, 1\n",
        "c.mp4,1\na b.mp4,0;3\n",
        "a b.mp4\twalk;jump\nc.mp4\trun\n",
        "a b.mp4 0 3\nc.mp4 1\n",
        "c.mp4 1\na b.mp4 3 0\n",
        "a b.mp4 walk;jump\nc.mp4 1\n",
        'path,jump,walk,run,"sit, then stand"\na b.mp4,1,1,0,0\nc.mp4,0,0,1,0\n',
        "path,0,1,2,3\na b.mp4,1,0,0,1\nc.mp4,0,1,0,0\n",
    ],
)
def test_label_sets_are_read_in_every_form(tmp_path, text):
    records = read(tmp_path, text)
    assert sorted((record.video_id, record.label) for record in records) == SETS
    if ",0,1" not in text and ",jump," not in text:  # of a column for each class, predict needs the classes
        assert sorted(record.path for record in read_videos(tmp_path / "list.csv", root=tmp_path)) == [
            tmp_path / "a b.mp4",
            tmp_path / "c.mp4",
        ]


def test_a_video_may_have_no_label_and_a_segment_several(tmp_path):
    (record,) = read(tmp_path, "path,label\nc.mp4,\n")
    assert record.label == ()
    (record,) = read(tmp_path, "path,walk,run\nc.mp4,0,0\n")
    assert record.label == ()
    (record,) = read(tmp_path, 'path,start,end,label\nc.mp4,1,2.5,"3;sit, then stand"\n')
    assert (record.video_id, record.label) == ("c.mp4#t=1,2.5", (2, 3))
    (record,) = read(tmp_path, "path,start,end,walk,run\nc.mp4,1,2.5,1,1\n")
    assert (record.video_id, record.label) == ("c.mp4#t=1,2.5", (0, 1))


def test_folders_of_frames_have_the_number_of_frames_first_as_in_rawframes(tmp_path):
    (first, second) = read(tmp_path, "a b 24 0 3\nc 30 1\n", form=frame_folder_label_set_form)
    assert [
        (first.video_id, first.num_frames, first.label),
        (second.video_id, second.num_frames, second.label),
    ] == [
        ("a b", 24, (0, 3)),
        ("c", 30, (1,)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("path,label\na.mp4,0;4\n", 2, "label 4 is out of range; expected 0..3"),
        (
            "path,label\na.mp4,0;3\nb.mp4,3;0;3\n",
            3,
            "labels '3;0;3' name class 3 twice; write every label once",
        ),
        ("path,label\na.mp4,3;jump\n", 2, "labels '3;jump' name class 3 twice"),
        ("path,label\na.mp4,walk;jmup\n", 2, "label 'jmup' is not an integer; .*did you mean 'jump'"),
        ("path,label\na.mp4,walk;\n", 2, "the label is empty"),
        (
            "a.mp4,0,3\n",
            1,
            "'a.mp4,0,3' has 3 cells; expected 2; several labels of a video stand in one cell",
        ),
        (
            "path,walk,run,jmup\na.mp4,0,1,0\n",
            1,
            "the header names classes, as 'walk', and 'jmup', which is none",
        ),
        ("path,wlak,rnu\na.mp4,0,1\n", 1, "path and 'wlak', 'rnu'; expected a column label, or one for each"),
        ("path,walk,run\na.mp4,0,2\n", 2, "column 'run' of 'a.mp4' is '2'; expected 0 or 1"),
        (
            "path,label\na.mp4,0;3\na.mp4,1\n",
            3,
            "'a.mp4' has labels 1, but labels 0;3 on line 2; write all of them",
        ),
        ("a.mp4 0 3\nb.mp4\n", 2, "'b.mp4' is not a row"),
    ],
)
def test_what_is_no_label_set_is_refused_with_file_and_line(tmp_path, text, line, message):
    with pytest.raises(AnnotationError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/list.csv:{line}: ")


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.mp4,0;3\n",
        "path,label\na.mp4,walk;jump\n",
        "a.mp4,0;3\nb.mp4,1\n",
        "a.mp4,1\nb.mp4,0;3\n",
        "a.mp4 0 3\n",
        "a.mp4,walk;jump\n",
    ],
)
@pytest.mark.parametrize("form", [labelled_form, frame_folder_form])
def test_where_a_video_has_one_label_sets_are_refused_by_the_name_of_the_setting(tmp_path, text, form):
    if form is frame_folder_form and " 0 3" in text:
        return  # a folder of 0 frames
    with pytest.raises(AnnotationError, match=r"list\.csv:[12]: .*data\.multi_label"):
        read(
            tmp_path,
            text,
            multi_label=False,
            **({} if form is None else {"form": form}) or {"form": labelled()},
        )


def labelled():
    from gcvideo.data.lists.forms import labelled_form

    return labelled_form


def test_classes_are_counted_by_the_largest_label_of_a_set(tmp_path):
    file = tmp_path / "list.csv"
    for text in ("path,label\na.mp4,0;11\nb.mp4,2\n", "a.mp4 11 0\nb.mp4 2\n", "a.mp4,2\nb.mp4,0;11\n"):
        file.write_text(text)
        assert largest_label(file, form_of_list=label_set_form, multi_label=True) == 11


def test_records_with_label_sets_keep_them_when_they_are_chosen_renumbered_and_sent(tmp_path):
    sets = [(0, 3), (), (2,), (1, 2, 3), (0,)]
    rows = "".join(f"{row}.mp4,{';'.join(map(str, one))}\n" for row, one in enumerate(sets))
    records = read(tmp_path, f"path,label\n{rows}")
    assert [record.label for record in pickle.loads(pickle.dumps(records))] == sets
    assert [record.label for record in records.at(np.array([1, 3]))] == [(), (1, 2, 3)]
    assert order_digest(records, seed=0) != order_digest(
        read(tmp_path, f"path,label\n{rows}".replace("0;3", "0")), seed=0
    )
    records.relabel(torch.tensor([3, 0, 1, 2]))
    assert [record.label for record in records] == [(2, 3), (), (1,), (0, 1, 2), (3,)]


def test_a_batch_has_one_for_every_class_of_a_video():
    frames = torch.zeros(1, 2, 4, 4, 3, dtype=torch.uint8)
    batch = collate(
        [Clip(frames, (0, 2), "a"), Clip(frames, (), "b"), Clip(frames, (1,), "c")], num_classes=3
    )
    assert batch.label.tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


def test_folds_spread_every_label_of_the_sets(tmp_path):
    sets = ["0", "0;1", "1", ""] * 6
    records = read(tmp_path, "path,label\n" + "".join(f"{row}.mp4,{one}\n" for row, one in enumerate(sets)))
    folds = Folds(0, num_folds=3).assign(records)
    for fold in range(3):
        inside = [records.labels(row) for row in np.flatnonzero(folds == fold).tolist()]
        assert len(inside) == 8
        assert [sum(label in one for one in inside) for label in (0, 1)] == [4, 4]
