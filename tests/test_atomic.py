"""Files that are whole or absent."""

import os
import signal
import subprocess
import sys
import time

import pytest

from gcvideo.atomic import HOST, replacing, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from gcvideo.atomic import replacing
with replacing(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_block_that_fails_leaves_the_file_as_it_was(tmp_path):
    file = tmp_path / "new" / "table.csv"
    write_text(file, "old")
    with pytest.raises(KeyError), replacing(file) as partial:  # noqa: PT012
        partial.write_text("half")
        assert file.read_text() == "old"
        raise KeyError
    assert file.read_text() == "old"
    assert names(file.parent) == ["table.csv"]


def test_what_killed_processes_left_is_deleted_and_what_others_write_is_not(tmp_path):
    file = tmp_path / "table.csv"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(f".table.csv.{HOST}-")
    alive = f".table.csv.{HOST}-{os.getppid()}.partial"
    elsewhere, long_ago = ".table.csv.elsewhere-1.partial", ".table.csv.elsewhere-2.partial"
    another, download = f".table.csv.old.{HOST}-99999999.partial", ".table.csv.partial"
    for name in (alive, elsewhere, long_ago, another, download):
        (tmp_path / name).write_text("half")
    os.utime(tmp_path / long_ago, (time.time() - 25 * 3600,) * 2)
    write_text(file, "whole")
    assert names(tmp_path) == sorted([alive, elsewhere, download, "table.csv"])
    assert file.read_text() == "whole"


def test_a_name_may_be_as_long_as_the_file_system_admits(tmp_path):
    file = tmp_path / ("[é]" * 60 + ".csv")
    write_text(file, "whole")
    assert file.read_text() == "whole"
