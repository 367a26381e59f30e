"""A run on samples of any source: stopped and resumed exactly, checked before, tested, and reported."""

import signal
from pathlib import Path

import pytest

from gcvideo.atomic import read_table
from gcvideo.cli import main
from tests.data.sources import SOURCES
from tests.training.runs import differences, fault, last_checkpoint, run, said, write_config


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_a_run_goes_on_exactly_and_every_command_takes_its_samples(source: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    data = SOURCES[source].make(root)
    data["batch_size"] = len(SOURCES[source].row(0)) * 2  # three steps an epoch
    stop = fault(
        "Signal", number=int(signal.SIGTERM), step=4, moment="step", once=str(tmp_path / "stopped at 4")
    )
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    file = write_config(stopped, root, stop, data={**data, "num_workers": 2})
    run(file)
    assert last_checkpoint(stopped)["global_step"] == 4
    assert run(file, "--resume", "auto") == [0], said(stopped)
    assert run(write_config(whole, root, data=data)) == [0], said(whole)
    assert differences(stopped, whole) == []

    config = str(write_config(tmp_path / "checked", root, data=data))
    with pytest.raises(SystemExit) as ended:
        main(["preflight", "--config", config, "--preflight.measure_seconds=0.1"])
    assert ended.value.code == 0

    run_dir = whole / "run"
    last = str(run_dir / "checkpoints/last.ckpt")
    main(["test", "--config", str(run_dir / "config.yaml"), "--ckpt_path", last])
    names = [row["video"] for row in read_table(run_dir / "predictions.csv")]
    assert len(names) == 3
    main(["report", str(run_dir), "--trust", "tests"])
    assert any(name in (run_dir / "report.html").read_text() for name in names)

    # A video that is not there is named before anything is trained or measured
    listed = (root / "train.csv").read_text()
    (root / "train.csv").write_text(listed.replace("04", "away"))
    with pytest.raises(SystemExit) as ended:
        main(["preflight", "--config", config, "--preflight.measure_seconds=0.1"])
    assert ended.value.code == 1
