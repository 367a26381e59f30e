"""Asking what there is does not wait for what would do it."""

import subprocess
import sys

import pytest

from gcvideo.cli.data import STEPS
from gcvideo.cli.main import COMMANDS
from gcvideo.images.cli.image import COMMANDS as IMAGE_COMMANDS

HEAVY = ("torch", "numpy", "pandas", "lightning", "torchvision", "pytorchvideo", "jsonargparse", "rich")
SECONDS = {"torch", "lightning", "torchvision", "pytorchvideo", "pandas"}
"""What takes a second or more."""
HELPS = [
    *([name, "--help"] for name in COMMANDS),
    *(["image", name, "-h"] for name in IMAGE_COMMANDS),
    *(["data", step, "--help"] for step in STEPS),
    ["weights", "inspect", "--help"],
    ["fit", "--config", "base+slow_r50+gc5", "--help"],
]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"]])
def test_gcvideo_says_what_it_can_do_before_anything_heavy_is_imported(arguments):
    code = f"import sys; from gcvideo.cli import main; main({arguments}); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "gcvideo" in said.splitlines()[0]
    assert set(HEAVY) & set(said.splitlines()[-1].split()) == set()


def test_no_help_of_a_command_waits_for_what_the_command_needs():
    """In one process, of which the modules are looked at after each."""
    code = (
        "import contextlib, io, sys\n"
        "from gcvideo.cli import main\n"
        f"for arguments in {HELPS}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):\n"
        "        main(arguments)\n"
        "    print(said.getvalue().count('\\n') >= 5, *arguments, '|', *sys.modules)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert len(said.splitlines()) == len(HELPS)
    for line in said.splitlines():
        command, _, modules = line.partition("|")
        assert command.startswith("True")
        assert SECONDS & set(modules.split()) == set(), command
