from pathlib import Path

import pandas as pd
import torch

from gcvideo.clip import Unreadable, VideoRecord
from gcvideo.evaluation import MultiLabelTable, PredictionTable, Thresholds

NAMES = ["riding a camel", "tango (dance)", "cooking, eggs", "d", "e", "f", "g"]


def probabilities(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows)


def test_a_row_names_the_video_its_label_and_its_five_likeliest_classes(tmp_path):
    table = PredictionTable(NAMES)
    table.add(["a b.mp4"], probabilities([0.02, 0.3, 0.4, 0.08, 0.05, 0.05, 0.1]), labels=[1])
    table.write(tmp_path / "predictions.csv")
    (row,) = pd.read_csv(tmp_path / "predictions.csv").to_dict("records")
    assert row.pop("video") == "a b.mp4"
    assert row.pop("label") == "tango (dance)"
    assert row.pop("prediction") == "cooking, eggs"
    assert row.pop("probability") == 0.4
    top = [(row[f"top{rank}"], row[f"top{rank}_probability"]) for rank in range(1, 5)]
    assert top == [("cooking, eggs", 0.4), ("tango (dance)", 0.3), ("g", 0.1), ("d", 0.08)]
    assert row["top5_probability"] == 0.05
    assert len(row) == 10


def test_there_are_as_many_likeliest_classes_as_classes_below_five():
    table = PredictionTable(["a", "b"])
    table.add(["x"], probabilities([0.25, 0.75]))
    assert list(table.rows[0]) == [
        "video",
        "prediction",
        "probability",
        "top1",
        "top1_probability",
        "top2",
        "top2_probability",
    ]


def test_the_file_is_sorted_by_video_and_keeps_the_order_of_equal_ones(tmp_path):
    table = PredictionTable(["a", "b"])
    videos = [f"{number % 3}.mp4" for number in range(30)]
    chances = [number / 100 for number in range(30)]
    for video, chance in zip(videos, chances, strict=True):
        table.add([video], probabilities([1 - chance, chance]))
    table.write(tmp_path / "p.csv")
    frame = pd.read_csv(tmp_path / "p.csv")
    expected = sorted(zip(videos, chances, strict=True))
    assert [tuple(row) for row in zip(frame.video, frame.top2_probability, strict=True)] == expected


def test_rows_gathered_elsewhere_can_be_written(tmp_path):
    first, second = PredictionTable(["a", "b"]), PredictionTable(["a", "b"])
    first.add(["y", "x"], probabilities([0.9, 0.1], [0.2, 0.8]), labels=[0, 0])
    second.add(["w"], probabilities([0.6, 0.4]), labels=[1])
    first.write(tmp_path / "new" / "p.csv", [*first.rows, *second.rows])
    frame = pd.read_csv(tmp_path / "new" / "p.csv")
    assert frame[["video", "label", "prediction"]].to_numpy().tolist() == [
        ["w", "b", "a"],
        ["x", "a", "b"],
        ["y", "a", "a"],
    ]


def test_writing_replaces_the_old_file_whole_and_leaves_nothing_else(tmp_path):
    file = tmp_path / "p.csv"
    file.write_text("old\n" * 100)
    table = PredictionTable(["a"])
    table.add(["x"], probabilities([1.0]))
    table.write(file)
    assert file.read_text() == "video,prediction,probability,top1,top1_probability\nx,a,1.0,a,1.0\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_video_that_could_not_be_read_is_a_row_with_the_reason(tmp_path):
    table = PredictionTable(NAMES)
    table.add_unreadable([Unreadable(VideoRecord(Path("/v/a.mp4"), 1, "a.mp4"), "is empty; fetch it, again")])
    table.add(["b.mp4"], probabilities([0.02, 0.3, 0.4, 0.08, 0.05, 0.05, 0.1]), labels=[1])
    table.write(tmp_path / "p.csv")
    frame = pd.read_csv(tmp_path / "p.csv")
    assert list(frame)[:3] == ["video", "label", "prediction"]
    assert list(frame)[-1] == "unreadable"
    assert frame["video"].tolist() == ["a.mp4", "b.mp4"]
    assert frame["label"].tolist() == ["tango (dance)"] * 2
    unread, read = frame.to_dict("records")
    assert unread["unreadable"] == "is empty; fetch it, again"
    assert frame.iloc[0].drop(["video", "label", "unreadable"]).isna().all()
    assert pd.isna(read["unreadable"])
    assert read["prediction"] == "cooking, eggs"


def test_several_labels_and_predictions_stand_in_one_cell_the_most_probable_first(tmp_path):
    table = MultiLabelTable(["walk", "run", "red, or so", "d"])
    table.add(
        ["b.mp4", "a.mp4"],
        probabilities([0.7, 0.1, 0.9, 0.5], [0.2, 0.4, 0.1, 0.3]),
        labels=[[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
    )
    table.add_unreadable([Unreadable(VideoRecord(Path("/v/c.mp4"), (0, 3), "c.mp4"), "is empty")])
    table.write(tmp_path / "p.csv")
    rows = pd.read_csv(tmp_path / "p.csv", keep_default_na=False).to_dict("records")
    assert [row["video"] for row in rows] == ["a.mp4", "b.mp4", "c.mp4"]
    assert [row["label"] for row in rows] == ["", "walk;red, or so", "walk;d"]
    assert [row["label_probability"] for row in rows] == ["", "0.700000;0.900000", ""]
    assert [row["prediction"] for row in rows] == ["", "red, or so;walk", ""]
    assert [row["probability"] for row in rows] == ["", "0.900000;0.700000", ""]
    assert [row["top2"] for row in rows] == ["d", "walk", ""]
    assert rows[2]["unreadable"] == "is empty"


def test_a_table_of_predictions_alone_has_the_classes_above_their_own_thresholds():
    table = MultiLabelTable(["a", "b", "c"], Thresholds(torch.tensor([0.5, 0.2, 0.9])))
    table.add(["x"], probabilities([0.6, 0.3, 0.8]))
    assert (table.rows[0]["prediction"], table.rows[0]["probability"]) == ("a;b", "0.600000;0.300000")
    assert "label" not in table.rows[0]


def test_segments_are_sorted_by_time_and_have_columns_of_their_bounds(tmp_path):
    table = PredictionTable(["a", "b"])
    for video in ("b.mp4#t=10,12.5", "b.mp4#t=9.5,10", "a.mp4", "b.mp4#frames=3,8", "a.mp4#t=0,2"):
        table.add([video], probabilities([0.25, 0.75]))
    table.write(tmp_path / "predictions.csv")
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert [line.rpartition(",b,0.75,b,0.75,a,0.25")[0] for line in lines[1:]] == [
        "a.mp4,,,,",
        "a.mp4#t=0,2,,,0.0,2.0".replace("a.mp4#t=0,2", '"a.mp4#t=0,2"'),
        '"b.mp4#frames=3,8",3,8,,',
        '"b.mp4#t=9.5,10",,,9.5,10.0',
        '"b.mp4#t=10,12.5",,,10.0,12.5',
    ]
    assert lines[0].startswith("video,start_frame,end_frame,start,end,prediction,")
