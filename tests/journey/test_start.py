"""Asking what there is does not wait for what would do it."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "pandas", "lightning", "torchvision", "pytorchvideo", "jsonargparse", "rich")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"]])
def test_gcvideo_says_what_it_can_do_before_anything_heavy_is_imported(arguments):
    code = f"import sys; from gcvideo.cli import main; main({arguments}); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "gcvideo" in said.splitlines()[0]
    assert set(HEAVY) & set(said.splitlines()[-1].split()) == set()
