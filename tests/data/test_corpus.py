"""More than 250 kinds of files, sound and broken: the frames asked for, or an error, and never a wait."""

import random
from pathlib import Path

import pytest

from gcvideo.data.decoding.reader import AscendingReader
from tests.data.corpus import CORPUS, coded, try_file

pytestmark = pytest.mark.timeout(60, method="thread")


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPUS)
def test_every_kind_of_file_gives_the_frames_asked_for_or_an_error(name: str, tmp_path: Path) -> None:
    path, kind = tmp_path / name, CORPUS[name]
    kind.write(path)
    trial = try_file(path, kind.numbers)
    assert trial.faults == []
    if kind.numbers is not None:
        assert trial.num_picks > len(kind.numbers)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["h264.mp4", "vp9.webm"])
def test_a_few_changed_bytes_make_errors_and_no_other_frames(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    coded(name.partition(".")[0], height=192, width=256)(path)
    sound, errors = path.read_bytes(), 0
    for seed in range(60):
        draw, damaged = random.Random(seed), bytearray(sound)
        for _ in range(draw.choice([1, 3, 10])):
            damaged[draw.randrange(len(sound) // 10, len(sound) * 3 // 4)] = draw.randrange(256)
        path.write_bytes(damaged)
        trial = try_file(path)
        assert trial.faults == [], seed
        errors += trial.num_errors
    assert errors > 60


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mkv", "h264_first_90_percent.mkv"])
@pytest.mark.parametrize("step", [-1, 1])
def test_a_reader_that_gives_the_frame_beside_the_one_asked_for_is_caught(
    name: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beside(reader, indices):
        return original(reader, [min(max(index + step, 0), len(reader) - 1) for index in indices])

    path, kind = tmp_path / name, CORPUS[name]
    kind.write(path)
    assert try_file(path, kind.numbers).num_wrong == 0
    original = AscendingReader.frames_at
    monkeypatch.setattr(AscendingReader, "frames_at", beside)
    trial = try_file(path, kind.numbers)
    assert trial.num_wrong > 0.9 * trial.num_picks


def test_the_corpus_names_every_kind_that_is_asked_for() -> None:
    groups = {kind.group for kind in CORPUS.values()}
    assert groups == {
        "codec and container",
        "groups of pictures",
        "time stamps",
        "key flags",
        "streams",
        "pixels",
        "sizes",
        "rotation",
        "lengths",
        "broken",
    }
    codecs = {name.partition(".")[0] for name, kind in CORPUS.items() if kind.group == "codec and container"}
    assert codecs >= {"h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2", "mjpeg", "prores"}
    assert {name.rpartition(".")[2] for name in CORPUS} >= {"mp4", "mkv", "webm", "avi", "mov", "ts", "mpg"}
    assert len(CORPUS) >= 250
