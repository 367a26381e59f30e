"""scripts/gpu_day.sh: its parts end in time and are not done twice; goals are read off what they measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
DOOR = PROJECT / "scripts" / "gpu_day.sh"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(PROJECT / "scripts"))
    import gpu_day
    import gpu_day_report

    return gpu_day, gpu_day_report


def python(line: str) -> list[str]:
    return [sys.executable, "-c", line]


def test_a_part_that_takes_too_long_is_ended_with_its_children_and_done_again(scripts, tmp_path, monkeypatch):
    gpu_day, _ = scripts
    mark = tmp_path / "still there"
    child = f"import time; time.sleep(4); open({str(mark)!r}, 'w')"
    parent = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    lines = [f"print('measured', flush=True); {parent}"]
    monkeypatch.setitem(gpu_day.PARTS, "x", gpu_day.Part(9, "", lambda day: [python(line) for line in lines]))
    day = gpu_day.Day(tmp_path, "cpu", True)
    found = gpu_day.run_part(day, "x", 1.5)
    assert found["ended"] == "cut"
    assert 1.5 <= found["seconds"] < 6
    assert "measured" in (day.folder("x") / "log.txt").read_text()
    assert not gpu_day.ended_well(day, "x")
    lines[:] = ["raise SystemExit(3)", "raise AssertionError('a command behind one that failed')"]
    assert gpu_day.run_part(day, "x", 9)["ended"] == "failed with exit code 3"
    lines[:] = ["pass"]
    assert gpu_day.run_part(day, "x", 9)["ended"] == "done"
    assert gpu_day.ended_well(day, "x")
    assert not gpu_day.ended_well(day._replace(device="cuda"), "x")
    assert not mark.exists()


STEPS = """comparison,what,median,lower,upper
"plain, bfloat16, 8 clips, times as fast",slow_r50,1.9,1.9,1.9
"plain, bfloat16, 32 clips, times as fast",slow_r50,1.4,1.3,1.5
"plain, bfloat16, 32 clips, times as fast","slow_r50, compiled",1.6,1.5,1.7
"plain, bfloat16, 32 clips, times as fast",slow_r50_gc_all,1.2,1.1,1.3
"plain, bfloat16, 32 clips, times as long as bare",slow_r50_gc_all,1.02,1.01,1.03
"plain, float32, 8 clips, times as long as bare",slow_r50_gc_all,1.04,1.01,1.05
"plain, bfloat16, 32 clips, clips/s",slow_r50,400,390,410
"""
POOLING = """comparison,what,median,lower,upper
"pooling, 8 x 512, float32, channels last, forward",share of a copy's bandwidth,0.9,0.9,0.9
"pooling, 8 x 1024, float32, channels last, forward",share of a copy's bandwidth,0.79,0.7,0.8
"pooling, 8 x 512, float32, contiguous, forward",share of a copy's bandwidth,0.1,0.1,0.1
"pooling, 8 x 512, float32, channels last, forward + backward",share of a copy's bandwidth,0.81,0.8,0.9
"""


def write_part(out: Path, name: str, figures: str, **settings: object) -> None:
    folder = out / "parts" / name
    folder.mkdir(parents=True)
    (folder / "figures.csv").write_text(figures)
    ended = {"ended": "done", "seconds": 3.0, "settings": {"device": "cuda", "quick": False} | settings}
    (folder / "ended.json").write_text(json.dumps(ended))


def test_goals_are_judged_at_the_largest_batch_and_by_the_worst_map(scripts, tmp_path):
    _, report = scripts
    write_part(tmp_path, "steps", STEPS)
    write_part(tmp_path, "kernels", POOLING)
    summary = report.write_report(tmp_path)
    found = {
        (goal["aim"], goal["found"]): goal["reached"]
        for goal in json.loads((tmp_path / "results.json").read_text())["goals"]
    }
    faster = "a step of {} at least 1.5 times as fast as pytorchvideo's plain loop"
    longer = "a step with global context in all blocks at most 3% longer than bare"
    pooling = "pooling {} at 80% or more of a copy's bandwidth, maps in channels last"
    assert found == {
        (faster.format("slow_r50"), "1.40 (bfloat16, 32 clips)"): False,
        (faster.format("slow_r50, compiled"), "1.60 (bfloat16, 32 clips)"): True,
        (longer, "+2.0% (bfloat16, 32 clips)"): True,
        (longer, "+4.0% (float32, 8 clips)"): False,
        (pooling.format("forward"), "79% at least (8 x 1024, float32, channels last, forward)"): False,
        (
            pooling.format("forward + backward"),
            "81% at least (8 x 512, float32, channels last, forward + backward)",
        ): True,
    }
    page = (tmp_path / "results.md").read_text()
    assert summary in page
    assert "| slow_r50 " in page
    assert "400 [390 - 410]" in page
    assert all((tmp_path / f"{picture}.svg").exists() for picture in ("steps", "kernels"))


def test_figures_of_a_gpu_go_into_the_documentation_and_others_are_refused(scripts, tmp_path):
    _, report = scripts
    out, docs = tmp_path / "out", tmp_path / "docs"
    (docs / "pictures").mkdir(parents=True)
    page = (PROJECT / "scripts" / "docs" / "gpu.md").read_text()
    (docs / "gpu.md").write_text(page)
    write_part(out, "steps", STEPS)
    report.write_report(out)
    for _ in range(2):  # what is there is replaced
        report.publish(out, docs)
        published = (docs / "gpu.md").read_text()
        assert published.count("| slow_r50, compiled ") == 1
        assert published.startswith(page.partition(report.BEGINNING)[0])
        assert published.endswith(page.partition(report.END)[2])
    assert "](pictures/gpu_steps.svg)" in published
    assert (docs / "pictures" / "gpu_steps.svg").exists()
    write_part(out, "blocks", STEPS, quick=True)
    with pytest.raises(ValueError, match="expected figures of a GPU, without --quick"):
        report.publish(out, docs)


def test_what_is_missing_for_it_is_said_at_once(scripts, tmp_path, monkeypatch):
    gpu_day, _ = scripts
    gpu_day.require_packages()

    def version(name: str) -> str:
        if name == "av":
            raise gpu_day.PackageNotFoundError
        return "2.10.0" if name == "torch" else real(name)

    real = gpu_day.version
    monkeypatch.setattr(gpu_day, "version", version)
    with pytest.raises(SystemExit, match=r"lacks torch.*\(found 2\.10\.0\), av.*--wheels FOLDER"):
        gpu_day.require_packages()
    with pytest.raises(SystemExit, match="--device nowhere cannot be used here"):
        gpu_day.require_device("nowhere")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_dry_run_does_every_part(tmp_path):
    line = [DOOR, tmp_path, "--device", "cpu", "--quick", "--minutes", "55"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert {part["ended"] for part in results["parts"].values()} == {"done"}
    assert len(results["parts"]) == 9
    assert len(results["goals"]) >= 4
    assert "these figures say nothing" in done.stdout
    compared = {row["comparison"].rpartition(", ")[2] for row in results["figures"]}
    wanted = {"clips/s", "MiB", "error against float64", "forward + backward", "times as fast as launched"}
    assert compared >= wanted
    again = subprocess.run(line, capture_output=True, text=True, check=True)
    assert again.stdout.count("done before") == 9
