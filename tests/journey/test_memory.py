"""What a process holds after it has freed a large block, as the system counts it."""

import platform
import subprocess
import sys

import pytest
import torch

from gcvideo.cli.memory import SETTINGS, keep_freed_memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")

HELD_AFTER_FREEING_200_MB = """
import sys, torch
from gcvideo.cli.memory import keep_freed_memory

def held():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * 4096

is_kept = keep_freed_memory(torch.device(sys.argv[1]))
before = held()
block = torch.ones(200_000_000, dtype=torch.uint8)
assert held() - before > 190e6
del block
print(is_kept, held() - before > 190e6)
"""


def after_freeing(device: str, **environment: str) -> list[str]:
    code = [sys.executable, "-c", HELD_AFTER_FREEING_200_MB, device]
    return subprocess.run(code, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_it_is_kept_where_the_network_runs_on_the_cpu() -> None:
    assert after_freeing("cpu") == ["True", "True"]


def test_it_is_returned_where_the_network_runs_elsewhere() -> None:
    assert after_freeing("cuda") == ["False", "False"]


def test_it_is_returned_where_the_environment_says_so() -> None:
    assert after_freeing("cpu", GCVIDEO_KEEP_MEMORY="0") == ["False", "False"]


def test_another_value_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCVIDEO_KEEP_MEMORY", "no")
    with pytest.raises(ValueError, match="GCVIDEO_KEEP_MEMORY is 'no'; expected 0 or 1"):
        keep_freed_memory(torch.device("cpu"))


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_users_own_setting_is_left_alone(setting: str) -> None:
    """Each is set to what glibc starts with."""
    value = "glibc.malloc.mmap_max=65536" if setting == "GLIBC_TUNABLES" else str(2**17)
    assert after_freeing("cpu", **{setting: value}) == ["False", "False"]
