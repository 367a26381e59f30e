"""torchcodec, where it and FFmpeg's libraries are installed: the frames asked for; where not, an error."""

import sys
from pathlib import Path

import pytest

from gcvideo.clip import Verified
from gcvideo.data.decoding import open_video
from tests.data.annotated import open_verified
from tests.data.encoding import h264, numbers_shown, write_video
from tests.data.test_decoding import CASES, requests

try:
    from gcvideo.data.decoding.torchcodec import TorchcodecReader
except ModuleNotFoundError as error:
    TorchcodecReader, MISSING = None, str(error)
else:
    MISSING = ""

PLAIN = [name for name, case in CASES.items() if case.why_not_plain is None]


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.timeout(60, method="thread")
@pytest.mark.parametrize("name", PLAIN)
def test_torchcodec_returns_the_frames_asked_for_of_plain_files(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = case.write(tmp_path / name)
    with open_verified(path, "torchcodec") as reader:
        assert reader.name == "torchcodec"
        for order, indices in requests(len(case.numbers)).items():
            shown = numbers_shown(reader.frames_at(indices).numpy())
            assert shown == [case.numbers[index] for index in indices], order


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_pyav_reads_what_is_not_plain(tmp_path: Path) -> None:
    name = next(name for name, case in CASES.items() if case.why_not_plain is not None)
    with open_verified(CASES[name].write(tmp_path / name), "torchcodec") as reader:
        assert reader.name.startswith("pyav: its list says that it is not plain")


def test_without_torchcodec_the_error_says_what_would_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    monkeypatch.delitem(sys.modules, "gcvideo.data.decoding.torchcodec", raising=False)
    path = write_video(tmp_path / "video.mp4", num_frames=2, options=h264())
    with pytest.raises(ModuleNotFoundError, match="install both, or use backend pyav"):
        open_video(path, "torchcodec", verified=Verified(2, 25.0, 128, 96, plain=True))
