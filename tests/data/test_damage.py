"""Bits that flip inside a file: what the decoder notices, and what the checksum of a verified list does."""

from pathlib import Path

import pytest

from gcvideo.data.decoding import index
from tests.data.damage import CODECS, PICKS, try_damaged

pytestmark = pytest.mark.timeout(120, method="thread")


@pytest.mark.parametrize("codec", CODECS)
def test_of_a_verified_list_no_damaged_file_gives_a_picture(codec: str, tmp_path: Path) -> None:
    assert try_damaged(tmp_path, codec, num_files=4, is_verified=True) == ["error"] * 4 * PICKS


@pytest.mark.parametrize("codec", ["HEVC", "MPEG-4"])
def test_what_the_decoder_notices_is_an_error_and_not_concealed(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed = try_damaged(tmp_path, codec, num_files=12)
    monkeypatch.setattr(index, "STRICT", index.TOLERANT)
    concealed = try_damaged(tmp_path, codec, num_files=12)
    pairs = set(zip(concealed, noticed, strict=True))
    assert ("off", "error") in pairs or ("far off", "error") in pairs
    assert {now for before, now in pairs if before == "error"} == {"error"}
