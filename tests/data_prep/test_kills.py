import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.data_prep.fake_cvdf import commands, lists_of, put_up
from tests.data_prep.site import serving

PROJECT = Path(__file__).parents[2]
KILLS = {"download": 4, "extract": 2, "annotations": 2, "transcode": 4, "verify": 4, "stats": 1}
MOST_ATTEMPTS = 40


def begin(step: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT / f"data_prep/{step}.py"), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def watched(process: subprocess.Popen[bytes], output: Path, *, num_changes: int | None = None) -> int:
    """Changes that were seen in the output until so many were, or until the process ended."""
    seen, before = 0, _state(output)
    while process.poll() is None and seen != num_changes:
        time.sleep(0.01)
        after = _state(output)
        seen += after != before
        before = after
    return seen


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_at_any_moment_change_no_list(tmp_path: Path) -> None:
    """A kill comes when a step has changed its output so many times, a random number of those it does."""
    draw = random.Random(int(os.environ.get("KILL_SEED", "0")))
    num_changes: list[int] = []
    with serving() as site:
        put_up(site, tmp_path / "made")
        for step, arguments in commands(site.url, tmp_path / "calm"):
            process = begin(step, arguments)
            num_changes.append(watched(process, output_of(arguments)))
            assert process.wait() == 0, step
        for (step, arguments), most in zip(commands(site.url, tmp_path / "storm"), num_changes, strict=True):
            num_killed, output = 0, output_of(arguments)
            before = Path(mkdtemp(dir=tmp_path)) / "before"
            output.mkdir(parents=True, exist_ok=True)
            shutil.copytree(output, before)
            for _ in range(MOST_ATTEMPTS):
                process = begin(step, arguments)
                watched(process, output, num_changes=draw.randint(1, max(1, most)))
                time.sleep(0.02 * draw.random())
                if process.poll() is None:
                    process.kill()
                    num_killed += 1
                else:  # it had too little left to do
                    shutil.rmtree(output)
                    shutil.copytree(before, output)
                process.wait()
                if num_killed == KILLS[step]:
                    break
            assert num_killed == KILLS[step], step
            assert begin(step, arguments).wait() == 0, step
    calm, storm = lists_of(tmp_path / "calm"), lists_of(tmp_path / "storm")
    assert calm.keys() == storm.keys()
    assert {name for name in calm if calm[name] != storm[name]} == set()
    left = [path for path in (tmp_path / "storm").rglob("*") if "partial" in path.name]
    assert left == []


def output_of(arguments: list[str]) -> Path:
    return Path(arguments[arguments.index("--output") + 1])


def _state(folder: Path) -> list[tuple[str, int]]:
    """What lies in a folder; files may vanish while it is read."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                found.append((name, os.stat(f"{parent}/{name}").st_mtime_ns))  # noqa: PTH116
            except FileNotFoundError:
                continue
    return sorted(found)
