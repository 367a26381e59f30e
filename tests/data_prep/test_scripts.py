import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gcvideo.atomic import read_table
from tests.data_prep.fake_cvdf import commands, put_up
from tests.data_prep.site import serving

PROJECT = Path(__file__).parents[2]
COMMANDS = {
    "xargs": ["scripts/prepare_xargs.sh", "DATA", "2"],
    "slurm": ["scripts/prepare_slurm.sbatch", "DATA"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_scripts_do_steps_4_and_5(tmp_path: Path, name: str) -> None:
    with serving() as site:
        put_up(site, tmp_path / "made")
        for step, arguments in commands(site.url, tmp_path)[:5]:
            assert importlib.import_module(f"data_prep.{step}").main(arguments) == 0
    command = ["bash", *(part.replace("DATA", str(tmp_path)) for part in COMMANDS[name])]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environments: list[dict[str, str]] = [{}]
    if name == "slurm":  # two tasks of an array, and the run after them
        array = [{"SLURM_ARRAY_TASK_ID": n, "SLURM_ARRAY_TASK_COUNT": "2"} for n in "01"]
        environments = [*array, {}]
    for environment in environments:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            env=os.environ | {"PATH": path} | environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert len(read_table(tmp_path / "small/train.csv")) == 6
    assert len(read_table(tmp_path / "small/bad.csv")) == 1
    assert (tmp_path / "small/classes.txt").read_text() == "abseiling\npetting animal (not cat)\n"
