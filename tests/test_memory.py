"""What a process holds after it has freed a large block, as the system counts it."""

import platform
import subprocess
import sys

import pytest

from gcvideo.memory import SETTINGS, keep_freed_memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")

HELD_AFTER_FREEING_200_MB = """
import ctypes, sys
from gcvideo.memory import keep_freed_memory

c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p

def held():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * 4096

is_kept = keep_freed_memory(at_most=int(sys.argv[1]))
before = held()
block = ctypes.c_void_p(c.malloc(200_000_000))
c.memset(block, 1, 200_000_000)
assert held() - before > 190e6
c.free(block)
print(is_kept, held() - before > 190e6)
"""


def after_freeing(at_most: int = -1, **environment: str) -> list[str]:
    code = [sys.executable, "-c", HELD_AFTER_FREEING_200_MB, str(at_most)]
    return subprocess.run(code, env=environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("at_most", [-1, 250_000_000])
def test_it_is_kept(at_most: int) -> None:
    assert after_freeing(at_most) == ["True", "True"]


def test_more_than_what_is_to_be_kept_is_returned() -> None:
    assert after_freeing(100_000_000) == ["True", "False"]


def test_it_is_returned_where_the_environment_says_so() -> None:
    assert after_freeing(GCVIDEO_KEEP_MEMORY="0") == ["False", "False"]


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_users_own_setting_is_left_alone(setting: str) -> None:
    """Each is set to what glibc starts with."""
    value = "glibc.malloc.mmap_max=65536" if setting == "GLIBC_TUNABLES" else str(2**17)
    assert after_freeing(**{setting: value}) == ["False", "False"]


def test_another_value_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCVIDEO_KEEP_MEMORY", "no")
    with pytest.raises(ValueError, match="GCVIDEO_KEEP_MEMORY is 'no'; expected 0 or 1"):
        keep_freed_memory()
