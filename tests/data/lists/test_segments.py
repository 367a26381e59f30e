"""Lists of segments: what their columns say, and what no segment of a video can be."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcvideo.clip import Segment
from gcvideo.data.lists.annotations import AnnotationError, read_annotations
from gcvideo.data.lists.records import VideoRecords, order_digest


def read(folder: Path, text: str, num_classes: int = 5) -> VideoRecords:
    file = folder / "list.csv"
    file.write_text(text)
    return read_annotations(file, root=folder, num_classes=num_classes)


@pytest.mark.parametrize(
    "header",
    [
        "path,start,end,label",
        "path,time_start,time_end,label",
        "video,t_start,t_end,class",
        "file,start_s,end_s,label",
    ],
)
def test_a_row_is_a_segment_in_seconds_under_the_usual_names(tmp_path, header):
    (first, second) = read(tmp_path, f"{header}\na/x.mp4,12.5,20,3\na/x.mp4,20,1e2,1\n")
    assert (first.path, first.written, first.label) == (tmp_path / "a/x.mp4", "a/x.mp4", 3)
    assert first.segment == Segment(12.5, 20.0, in_frames=False)
    assert [first.video_id, second.video_id] == ["a/x.mp4#t=12.5,20", "a/x.mp4#t=20,100"]


@pytest.mark.parametrize(
    "header",
    [
        "path,start_frame,end_frame,label",
        "path,frame_start,frame_end,label",
        "path,start_frame,stop_frame,label",
    ],
)
def test_or_in_numbers_of_frames(tmp_path, header):
    (record,) = read(tmp_path, f"{header}\nx.mp4,300,450,3\n")
    assert record.segment == Segment(300, 450, in_frames=True)
    assert record.video_id == "x.mp4#frames=300,450"


@given(st.floats(0, 1e5), st.floats(0.001, 1e5), st.booleans())
def test_a_name_says_the_segment(start, length, in_frames):
    segment = (
        Segment(float(round(start)), float(round(start + length) + 1), True)
        if in_frames
        else Segment(start, start + length, False)
    )
    assert Segment.of_name(f"a/b#t=c.mp4#{segment}") == ("a/b#t=c.mp4", segment)
    assert Segment.of_name("a/b.mp4") == ("a/b.mp4", None)


SECONDS, FRAMES = "path,start,end,label\nx.mp4,0,1,0\n", "path,start_frame,end_frame,label\nx.mp4,0,1,0\n"
LISTED = "path,start,end,label,num_frames,fps,width,height,plain\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (SECONDS + "x.mp4,5,5,0\n", 3, "segment t=5,5 is empty; expected an end behind the start"),
        (SECONDS + "x.mp4,9,5.5,0\n", 3, "segment t=9,5.5 ends before it starts"),
        (SECONDS + "x.mp4,-1,5,0\n", 3, "segment bound '-1' is no time; expected seconds from 0, as 83.5"),
        (SECONDS + "x.mp4,,5,0\n", 3, "segment bound '' is no time"),
        (SECONDS + "x.mp4,0,0:05,0\n", 3, "segment bound '0:05' is no time"),
        (SECONDS + "x.mp4,0,nan,0\n", 3, "segment bound 'nan' is no time"),
        (SECONDS + "x.mp4,0,inf,0\n", 3, "segment bound 'inf' is no time"),
        (SECONDS + "x.mp4,0,1_0,0\n", 3, "segment bound '1_0' is no time"),
        (SECONDS + "x.mp4,0,5,7\n", 3, "label 7 is out of range; expected 0..4"),
        (FRAMES + "x.mp4,0,1.5,0\n", 3, "segment bound '1.5' is no number of a frame; expected 0, 1, 2, ..."),
        (FRAMES + "x.mp4,-1,5,0\n", 3, "segment bound '-1' is no number of a frame"),
        (FRAMES + "x.mp4,5,5,0\n", 3, "segment frames=5,5 is empty"),
        (
            LISTED + "x.mp4,0,10.5,0,250,25,64,64,1\nx.mp4,5,10.6,0,250,25,64,64,1\n",
            3,
            "segment t=5,10.6 ends behind the video, which ends at 10.000 s; correct the list",
        ),
        (
            LISTED.replace("start,end", "start_frame,end_frame") + "x.mp4,0,251,0,250,25,64,64,1\n",
            2,
            "segment frames=0,251 ends behind the video, which has 250 frames, 0..249; correct the list",
        ),
        ("path,start,label\nx.mp4,0,0\n", 1, "the header has columns start; expected one start and one end"),
        (
            "path,start,end,start_frame,end_frame,label\nx.mp4,0,1,0,25,0\n",
            1,
            "the header has columns start, end, start_frame, end_frame; expected one start and one end",
        ),
        ("path,start_frame,end,label\nx.mp4,0,1,0\n", 1, "the header has columns start_frame, end; expected"),
        ("x.mp4,0,5,0\n", 1, "'x.mp4,0,5,0' may be a segment; name its columns in a header"),
    ],
)
def test_what_is_no_segment_is_refused_with_file_and_line(tmp_path, text, line, message):
    with pytest.raises(AnnotationError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/list.csv:{line}: {message}")
    assert "\n" not in str(caught.value)


def test_a_segment_twice_is_one_video_again_and_others_of_its_video_are_not(tmp_path, caplog):
    rows = "x.mp4,0,1,0\nx.mp4,1,2,1\n./x.mp4,0,1.0,0\n"
    with caplog.at_level(logging.INFO, logger="gcvideo"):
        assert len(read(tmp_path, SECONDS.partition("\n")[0] + "\n" + rows)) == 3
    assert (
        "1 of 3 rows list a video again, which counts as often: 'x.mp4#t=0,1' stands on lines 2 and 4"
        in caplog.text
    )
    with pytest.raises(
        AnnotationError, match=r"list\.csv:5: 'x\.mp4#t=1,2' has label 2, but label 1 on line 3"
    ):
        read(tmp_path, SECONDS.partition("\n")[0] + f"\n{rows}x.mp4,1,2,2\n")


def test_records_of_segments_keep_them_when_they_are_chosen_and_sent(tmp_path):
    rows = "".join(f"{row % 3}.mp4,{row},{row + 2.5},{row % 5}\n" for row in range(20))
    records = read(tmp_path, f"path,start,end,label\n{rows}")
    assert [record.segment for record in pickle.loads(pickle.dumps(records))] == [
        Segment(row, row + 2.5, False) for row in range(20)
    ]
    chosen = np.array([3, 4, 19])
    assert list(records.at(chosen)) == [records[row] for row in chosen.tolist()]


def test_the_digest_of_an_order_knows_segments(tmp_path):
    digests = {
        order_digest(read(tmp_path, text), seed=0)
        for text in (
            "path,label\nx.mp4,0\n",
            "path,start,end,label\nx.mp4,0,1,0\n",
            "path,start,end,label\nx.mp4,0,2,0\n",
            "path,start_frame,end_frame,label\nx.mp4,0,1,0\n",
        )
    }
    assert len(digests) == 4
