"""The real command on machines that have little of what others have plenty of."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journey.trained import write_checkpoint

SMALL_SHARED_MEMORY = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
"""As little to the batches here as Docker's 64 MB are to larger ones."""
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
HAS_NAMESPACES = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, as `gcvideo fit` left it."""
    folder = tmp_path_factory.mktemp("small")
    write_checkpoint(folder)
    return folder


def run(folder: Path, run_dir: Path, within: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`gcvideo test` of the run, started by `within`."""
    command = [sys.executable, "-c", "from gcvideo.cli import main; main()", "test"]
    command += ["--config", str(folder / "run" / "config.yaml"), "--run_dir", str(run_dir)]
    command += ["--ckpt_path", str(folder / "run" / "checkpoints" / "last.ckpt"), *arguments]
    return subprocess.run([*within, *command], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(not HAS_NAMESPACES, reason="this user may not mount a small /dev/shm")
def test_batches_that_are_larger_than_the_shared_memory_are_read(folder, tmp_path):
    # A video's 6 views of 4 frames of 64 x 64 pixels are 295 kB.
    views = "{num_clips: 2, num_crops: 3, short_side: 64, crop_size: 64}"
    small = [*NAMESPACE, "sh", "-c", SMALL_SHARED_MEMORY, "sh"]
    done = run(folder, tmp_path, small, "--data.num_workers=1", "--data.test_views", views)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "test_metrics.json").read_text())
    assert (metrics["test/videos"], metrics["test/unreadable"]) == (2, 0)


@pytest.mark.parametrize(("num_files", "ends_well"), [(40, True), (16, False)])
def test_few_open_files_are_enough_or_the_limit_is_named(folder, tmp_path, num_files, ends_well):
    limited = ["sh", "-c", f'ulimit -n {num_files} && exec "$@"', "sh"]
    done = run(folder, tmp_path, limited, "--data.num_workers=4")
    if ends_well:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        f"gcvideo test: too many open files: the limit is {num_files} (ulimit -n); raise it"
    )


PRINTS_LINES = """
import os
from gcvideo.keeping.stopping import StopSignals

def listen(self):
    original(self)
    for descriptor in (1, 2):
        os.write(descriptor, os.linesep.encode())

original, StopSignals.listen = StopSignals.listen, listen
from gcvideo.cli import main
main()
"""


def test_a_line_that_is_printed_to_closed_streams_stops_no_run(folder, tmp_path):
    closed = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", sys.executable, "-c", PRINTS_LINES]
    command = ["fit", "--config", str(folder / "run" / "config.yaml"), "--run_dir", str(tmp_path)]
    done = subprocess.run([*closed, *command], timeout=120, check=False)
    assert done.returncode == 0
    assert (tmp_path / "checkpoints" / "last.ckpt").is_file()


def test_a_wrong_command_has_its_exit_code_without_streams_too():
    command = [sys.executable, "-c", "from gcvideo.cli import main; main(['nonsense'])"]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command], timeout=120, check=False)
    assert done.returncode == 2
