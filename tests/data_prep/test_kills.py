import importlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.data_prep.fake_cvdf import commands, lists_of, put_up
from tests.data_prep.site import serving

PROJECT = Path(__file__).parents[2]
KILLS = {"download": 5, "extract": 2, "annotations": 2, "transcode": 4, "verify": 4, "stats": 2}


def begin(step: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT / f"data_prep/{step}.py"), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_kills_at_any_moment_change_no_list(tmp_path: Path) -> None:
    draw = random.Random(int(os.environ.get("KILL_SEED", "0")))
    with serving() as site:
        put_up(site, tmp_path / "made")
        for step, arguments in commands(site.url, tmp_path / "calm"):
            assert importlib.import_module(f"data_prep.{step}").main(arguments) == 0
        num_killed = 0
        for step, arguments in commands(site.url, tmp_path / "storm"):
            output = Path(arguments[arguments.index("--output") + 1])
            longest = 0.6  # seconds of work; what it takes to import comes before
            for _ in range(KILLS[step]):
                process = begin(step, arguments)
                before = _state(output)
                while process.poll() is None and _state(output) == before:
                    time.sleep(0.005)  # until the step has begun to write
                time.sleep(longest * draw.random() ** 2)
                if process.poll() is None:
                    process.kill()
                    num_killed += 1
                process.wait()
            assert begin(step, arguments).wait() == 0, step
        assert num_killed > 10
    calm, storm = lists_of(tmp_path / "calm"), lists_of(tmp_path / "storm")
    assert calm.keys() == storm.keys()
    assert {name for name in calm if calm[name] != storm[name]} == set()
    left = [path for path in (tmp_path / "storm").rglob("*") if "partial" in path.name]
    assert left == []


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
