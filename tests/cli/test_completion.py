"""A shell completes what is begun."""

import subprocess
from pathlib import Path

import pytest

from gcvideo.cli.completion import script


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("completion") / "gcvideo.bash"
    file.write_text(script("bash"))
    return file


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gcvideo pred", {"predict"}),
        ("gcvideo fit --data.clip.s", {"--data.clip.spacing", "--data.clip.stride"}),
        ("gcvideo fit --data.clip.spacing l", {"linspace"}),
        ("gcvideo fit --config block/gc", {"block/gc5", "block/gc_all"}),
        ("gcvideo data ver", {"verify"}),
        ("gcvideo predict --timel", {"--timeline"}),
    ],
)
def test_bash_offers_what_a_partial_line_can_become(source: Path, line: str, offered: set[str]) -> None:
    words = " ".join(line.split())
    ask = (
        f"source {source}; COMP_WORDS=({words}); COMP_CWORD={len(line.split()) - 1}; "
        f"COMP_LINE='{line}'; COMP_POINT={len(line)}; _shtab_gcvideo; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    said = subprocess.run(["bash", "--norc", "-c", ask], capture_output=True, text=True, cwd=source.parent)
    assert set(said.stdout.split()) == offered, said.stderr
