import pytest

from gcvideo.evaluation.figures import result_table, rounded

FIGURES = {
    "test/loss": 1.23456789,
    "test/mean_class": 0.6,
    "test/top1": 2 / 3,
    "test/top1_unreadable_wrong": 0.5,
    "test/top5": 1.0,
    "test/top5_unreadable_wrong": 0.75,
    "test/unreadable": 1.0,
    "test/videos": 4.0,
}


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("val/top1", 2 / 3, "66.67 %"),
        ("val/top5", 1.0, "100.00 %"),
        ("val/mean_class", 0.0004, "0.04 %"),
        ("val/loss", 1.23456789, "1.235"),
        ("val/loss", float("nan"), "nan"),
        ("test/videos", 19881.0, "19881"),
        ("lr", 1.25e-05, "1.25e-05"),
    ],
)
def test_shares_are_shown_as_per_cents_and_other_figures_to_four_digits(name, value, shown):
    assert rounded(name, value) == shown


def test_a_table_has_the_figures_in_the_fields_order():
    table = result_table(FIGURES, num_classes=400)
    assert [line[:31].strip() for line in table.splitlines()] == [
        "top-1",
        "top-5",
        "mean over classes",
        "loss",
        "videos",
        "unreadable videos",
        "top-1, those counted as wrong",
        "top-5, those counted as wrong",
    ]
    assert [line[31:].strip() for line in table.splitlines()] == [
        *("66.67 %", "100.00 %", "60.00 %", "1.235", "4", "1", "50.00 %", "75.00 %")
    ]


def test_nothing_is_said_of_unreadable_videos_where_all_were_read():
    assert "wrong" not in result_table({**FIGURES, "test/unreadable": 0.0}, num_classes=400)
    assert "unreadable" not in result_table({**FIGURES, "test/unreadable": 0.0}, num_classes=400)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_top5_of_up_to_five_classes_is_left_out(num_classes):
    assert "top-5" not in result_table(FIGURES, num_classes=num_classes)
    assert "top-5" in result_table(FIGURES, num_classes=6)


def test_figures_of_ones_own_are_shown_behind_the_others():
    assert result_table({"test/fps": 29.97, "test/top1": 0.5}, num_classes=9).split() == [
        *("top-1", "50.00", "%", "fps", "29.97")
    ]
