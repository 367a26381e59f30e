"""Bytes of shards on a server that fails, and what is kept of them."""

import fcntl
import logging
import pickle
import random
import time
from multiprocessing import get_context
from pathlib import Path

import pytest

from gcvideo.shards import BrokenShardError, Shards, UnreachableError, Whereabouts
from gcvideo.shards.index import BLOCK_BYTES
from gcvideo.shards.patience import Patience
from tests.shards.packed import write_shards
from tests.shards.server import serving

SIZES = [[10, 3 * BLOCK_BYTES, BLOCK_BYTES + 1], [0, 20 * BLOCK_BYTES - 7]]
QUICK = Patience(timeout_seconds=5.0, give_up_seconds=8.0)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("packed") / "shards"
    return folder, write_shards(folder, SIZES)


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gcvideo.shards.patience.FIRST_WAIT_SECONDS", 0.01)


def opened(address: str, **more: object) -> Shards:
    where = Whereabouts(address, **{"patience": QUICK, **more})  # type: ignore[arg-type]
    return Shards(where, where.index())


def all_of(shards: Shards) -> dict[str, bytes]:
    return {path: bytes(shards.open(path).read_whole()) for path in shards.index.paths}


def test_parts_of_members_are_those_of_the_files_wherever_they_lie(packed):
    folder, contents = packed
    ends = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 5, 19 * BLOCK_BYTES]
    with serving(folder) as server:
        for shards in (opened(str(folder)), opened(server.url), opened(f"file://{folder}")):
            assert all_of(shards) == contents
            assert shards.broken == {}
            member, whole = shards.open("004.mp4"), contents["004.mp4"]
            assert member.num_bytes == len(whole)
            ranges = [(start, end) for start in ends for end in (*ends, len(whole)) if start <= end]
            assert [bytes(part) for part in member.read(ranges)] == [
                whole[start:end] for start, end in ranges
            ]


def test_far_ranges_are_asked_for_apart_and_near_ones_at_once(packed):
    folder, _ = packed
    with serving(folder) as server:
        member = opened(server.url).open("004.mp4")
        server.asked.clear()
        far = 15 * BLOCK_BYTES
        member.read([(5, 9), (far, far + 9), (2 * BLOCK_BYTES, 2 * BLOCK_BYTES + 1)])
        offset = member.member.offset
        expected = [(offset, offset + 3 * BLOCK_BYTES - 1), (offset + far, offset + far + BLOCK_BYTES - 1)]
        assert [asked for _, asked in server.asked] == [f"bytes={start}-{last}" for start, last in expected]


def test_a_server_that_drops_resets_and_answers_503_is_asked_again(packed):
    folder, contents = packed
    with serving(folder) as server:
        server.faults = ["503", "", "drop", "reset", "", "500", "429", "drop", "", "reset", "drop"]
        assert all_of(opened(server.url)) == contents
        assert server.faults == []


def test_a_server_that_stays_away_is_given_up_and_no_video_is_blamed(packed):
    folder, _ = packed
    with serving(folder) as server:
        shards = opened(server.url, patience=Patience(timeout_seconds=1.0, give_up_seconds=0.5))
        server.faults = ["503"] * 1000
        with pytest.raises(UnreachableError) as given_up:
            shards.open("001.mp4").read_whole()
    said = str(given_up.value)
    assert said.startswith(f"{server.url}/shard-00000.tar, member 001.mp4: the server answers 503 (")
    assert "given up after" in said
    assert isinstance(pickle.loads(pickle.dumps(given_up.value)), UnreachableError)
    shards = opened(str(folder))
    gone = Shards(Whereabouts(server.url, patience=Patience(0.2, 0.3)), shards.index)
    with pytest.raises(UnreachableError, match="given up after"):
        gone.open("001.mp4").read_whole()


def test_a_server_that_ignores_ranges_is_refused_by_name(packed):
    folder, _ = packed
    with serving(folder) as server:
        shards = opened(server.url)
        server.ignores_ranges = True
        with pytest.raises(BrokenShardError, match=r"member 001.mp4: the server ignores Range and"):
            shards.open("001.mp4").read_whole()
        with pytest.raises(ValueError, match=rf"{server.url}/shards.arrow: the server ignores Range"):
            opened(server.url)


def test_what_is_not_there_is_named_without_who_asks(packed, tmp_path):
    with serving(tmp_path) as server:
        address = server.url.replace("//", "//me:secret@") + "/set?sig=secret"
        with pytest.raises(ValueError, match=r"/set/shards.arrow: the server answers 404") as refused:
            opened(address)
    assert "secret" not in str(refused.value)
    with pytest.raises(ValueError, match=r"data.shards.address nosuch://x: .*nosuch"):
        opened("nosuch://x")
    with pytest.raises(ValueError, match=r"No such file or directory"):
        opened(str(tmp_path))


def test_shards_in_fsspec_s_memory_are_read_and_what_is_cut_is_named(packed):
    import fsspec

    folder, contents = packed
    memory = fsspec.filesystem("memory")
    for file in [*folder.glob("*.tar"), folder / "shards.arrow"]:
        memory.pipe_file(f"/bucket/set/{file.name}", file.read_bytes())
    try:
        shards = opened("memory://bucket/set")
        assert all_of(shards) == contents
        memory.pipe_file("/bucket/set/shard-00001.tar", (folder / "shard-00001.tar").read_bytes()[:50_000])
        with pytest.raises(BrokenShardError, match=r"/shard-00001.tar, member 004.mp4: ends after 50,000 b"):
            shards.open("004.mp4").read_whole()
    finally:
        memory.rm("/bucket", recursive=True)


def test_what_is_kept_is_not_asked_for_again_and_what_was_damaged_there_is(packed, tmp_path):
    folder, contents = packed
    with serving(folder) as server:
        shards = opened(server.url, cache=tmp_path / "cache", cache_bytes=10**8)
        member, whole = shards.open("004.mp4"), contents["004.mp4"]
        assert bytes(member.read([(0, 9)])[0]) == whole[:9]
        assert all_of(shards) == contents
        server.asked.clear()
        again = opened(server.url, cache=tmp_path / "cache", cache_bytes=10**8)
        server.asked.clear()  # the index is read anew
        assert all_of(again) == contents
        assert server.asked == []
        for file in (tmp_path / "cache").glob("*/*/*"):
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content[:-1])
        assert all_of(again) == contents
        assert all(size[-1].startswith("bytes=") for size in server.asked)


def bytes_kept(cache: Path) -> int:
    """Bytes on the disk while nobody changes them."""
    with (cache / "usage").open("rb") as usage:
        fcntl.flock(usage, fcntl.LOCK_EX)
        return sum(512 * file.stat().st_blocks for file in cache.rglob("*") if file.is_file())


def read_again_and_again(shards: Shards, seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(60):
        path = draw.choice(shards.index.paths)
        shards.open(path).read_whole()


def test_the_cache_never_has_more_than_its_limit_whoever_writes(packed, tmp_path):
    folder, _ = packed
    cache, limit = tmp_path / "cache", 22 * BLOCK_BYTES
    shards = opened(str(folder), cache=cache, cache_bytes=limit)
    context = get_context("fork")
    processes = [context.Process(target=read_again_and_again, args=(shards, seed)) for seed in range(4)]
    for process in processes:
        process.start()
    most = 0
    while any(process.is_alive() for process in processes):
        try:
            most = max(most, bytes_kept(cache))
        except FileNotFoundError:  # nobody has begun
            continue
    assert [process.exitcode for process in processes] == [0] * 4
    assert 0 < most <= limit + 4096  # and the file that says how much it is


def test_what_was_read_last_is_kept(packed, tmp_path):
    folder, contents = packed
    with serving(folder) as server:
        shards = opened(server.url, cache=tmp_path, cache_bytes=21 * BLOCK_BYTES)
        shards.open("001.mp4").read_whole()
        time.sleep(0.02)
        shards.open("002.mp4").read_whole()
        time.sleep(0.02)
        shards.open("001.mp4").read_whole()
        shards.open("004.mp4").read([(0, 16 * BLOCK_BYTES)])  # for which there is room without 002 alone
        server.asked.clear()
        assert bytes(shards.open("001.mp4").read_whole()) == contents["001.mp4"]
        assert server.asked == []


def test_a_full_disk_costs_a_warning_and_no_video(packed, tmp_path, monkeypatch, caplog):
    folder, contents = packed
    shards = opened(str(folder), cache=tmp_path / "cache", cache_bytes=10**8)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gcvideo.shards.cache.os.pwrite", full)
    with caplog.at_level(logging.WARNING):
        assert all_of(shards) == contents
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'cache'}: No space left on device; nothing more is kept there by this process"
    ]
