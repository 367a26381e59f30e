"""The study by its command: what it runs, what it leaves out, and how it goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import study
from studying.plan import DataSet, Job, Settings
from studying.records import Records
from studying.running import Study

from gcvideo.data.synthetic import write_synthetic

STAND_IN = """
import sys
from pathlib import Path
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
out = Path(given["--out"])
out.mkdir(parents=True)
columns = "block,measured,distance,pairs,mean,std,num_clips"
(out / "distances.csv").write_text(f"{columns}\\nres3.1,input,cosine,all,{given['--seed']},0,2\\n")
"""

SCRIPT = Path(__file__).parents[2] / "scripts" / "study.py"


def test_a_run_is_trained_tested_kept_as_json_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = [str(tmp_path), "--quick", "--rows", "bare", "--seeds", "1", "--sets", "motion_small"]
    assert study.main(only) == 0, capsys.readouterr().err
    file = tmp_path / "results" / "runs" / "motion_small" / "bare" / "seed0.json"
    record = json.loads(file.read_text())
    assert record["num_videos"] == 8
    assert record["accuracy"] == 1 - len(record["wrong"]) / 8
    assert not list((tmp_path / "runs").rglob("*.ckpt"))
    page = tmp_path / "page.md"
    assert study.main([*only, "--report", str(page)]) == 0
    assert f"| bare | {100 * record['accuracy']:.1f} |" in page.read_text()
    assert "have **not** been run: none." in page.read_text()

    # Another recipe's results are not taken for this one's.
    assert study.main([*only, "--set", "trainer.max_epochs=2", "--report", str(page)]) == 1
    said = capsys.readouterr().err
    assert f"{file}: was made with settings of digest {record['digest']}" in said


def test_a_folder_without_its_lists_and_a_floor_of_no_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.main([str(tmp_path), "--folder", f"mine={tmp_path}"]) == 1
    assert "there is no train.csv in it" in capsys.readouterr().err
    assert study.main([str(tmp_path), "--floor", "mine=0.7"]) == 1
    assert "--floor names mine, and --folder nothing" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_stopped_study_goes_on_and_measures_and_fine_tunes(tmp_path: Path) -> None:
    clips, out = tmp_path / "clips", tmp_path / "study"
    write_synthetic(clips, num_train_per_class=1, num_val_per_class=1, num_test_per_class=1, num_frames=8)
    arguments = [str(out), "--quick", "--folder", f"clips={clips}", "--floor", "clips=0.9", "--seeds", "1"]
    arguments += ["--rows", "nl5", "gc_all", "--sets", "clips"]

    # Stop it within its first run.
    command = [sys.executable, str(SCRIPT), *arguments]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not list(out.glob("runs/clips/nl5/*/metrics/metrics.csv")):
        assert started.poll() is None
        time.sleep(0.2)
    os.kill(started.pid, signal.SIGTERM)
    assert "the same command goes on" in started.communicate()[1]
    assert started.returncode == 130

    # Go on to the end; what is finished is not run again.
    assert study.main([*arguments]) == 0
    files = sorted((out / "results" / "runs").rglob("*.json"))
    names = [str(file.relative_to(out / "results" / "runs").parent) for file in files]
    assert names == ["clips/gc_all", "clips/gc_all_from_motion_large", "clips/nl5"]
    written = [file.stat().st_mtime_ns for file in files]
    page = tmp_path / "page.md"
    assert study.main([*arguments]) == 0
    assert study.main([*arguments, "--report", str(page)]) == 0
    assert written == [file.stat().st_mtime_ns for file in files]
    attention = json.loads(files[-1].read_text())["attention"]
    assert {row["block"] for row in attention["before"]} == {
        "res3.1",
        "res3.3",
        "res4.1",
        "res4.3",
        "res4.5",
    }
    said = page.read_text()
    assert "gc_all from motion_large" in said
    assert "attention, JSD" in said
    assert "The floor is 90.0 %: not above it:" in said


def test_the_network_before_training_is_drawn_from_the_seed_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "studying.running.GCVIDEO", [sys.executable, "-c", STAND_IN]
    )  # which says the seed that it was given
    data = DataSet("clips", "synthetic", tmp_path, synthetic={"num_train_per_class": 1})
    made = Study(tmp_path, Records(tmp_path / "results"), Settings(), num_measured=2, keep=False)
    before = [made.measured(Job(data, "nl5", seed))["before"][0]["mean"] for seed in range(3)]
    assert before == [0.0, 1.0, 2.0]
