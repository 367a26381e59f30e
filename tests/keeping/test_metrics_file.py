import csv

import pandas as pd
import pytest

from gcvideo.keeping import MetricsFile


@pytest.fixture
def metrics(tmp_path):
    file = MetricsFile(tmp_path / "metrics" / "metrics.csv")
    file.continue_after(0, step=0)
    return file


def test_every_row_is_in_the_file_at_once_under_all_names(metrics):
    metrics.log_metrics({"loss": 2.5}, step=0)
    assert metrics.file.read_text() == "loss,step\n2.5,0\n"
    metrics.log_metrics({"val/top1": 0.5, "loss": 2.0}, step=1)
    metrics.log_metrics({"loss": 1.5}, step=2)
    table = pd.read_csv(metrics.file)
    assert table.columns.tolist() == ["loss", "step", "val/top1"]
    assert table["loss"].tolist() == [2.5, 2.0, 1.5]
    assert table["val/top1"].notna().tolist() == [False, True, False]


def test_a_number_keeps_all_its_digits(metrics):
    metrics.log_metrics({"loss": 1 / 3}, step=0)
    metrics.log_metrics({"rate": 1e-17}, step=1)
    rows = list(csv.DictReader(metrics.file.read_text().splitlines()))
    assert (float(rows[0]["loss"]), float(rows[1]["rate"])) == (1 / 3, 1e-17)


def test_a_resumed_run_continues_after_the_rows_of_its_checkpoint(metrics):
    for step in range(5):
        metrics.log_metrics({"loss": float(step)}, step=step)
    metrics.log_metrics({"val/top1": 0.5}, step=4)
    again = MetricsFile(metrics.file)
    again.continue_after(4, step=3)
    again.log_metrics({"loss": 3.0}, step=3)
    assert metrics.file.read_text() == "loss,step\n0.0,0\n1.0,1\n2.0,2\n3.0,3\n"
    assert again.num_rows == 4


def test_a_run_that_begins_anew_leaves_nothing_of_the_one_before(metrics):
    metrics.log_metrics({"old": 1.0}, step=7)
    again = MetricsFile(metrics.file)
    again.continue_after(0, step=0)
    again.log_metrics({"new": 2.0}, step=0)
    assert metrics.file.read_text() == "new,step\n2.0,0\n"
