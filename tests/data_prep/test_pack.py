"""Shards are read back by Python's tarfile and by tar itself, and the index by pyarrow alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path

import pyarrow.ipc
import pytest

from data_prep import pack
from data_prep.lists.manifest import MANIFEST_COLUMNS
from gcvideo.atomic import read_table, write_table

PROJECT = Path(__file__).parents[2]
NAMES = ["b/two.mp4", "a/one with a space.mp4", "ü/drei.mp4", "d/" + "long" * 40 + ".mp4", "five.mp4"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files that need not be videos, since packing decodes nothing, and the list of a set of them."""
    return write_set(tmp_path / "set", {name: 70_000 * number + 1 for number, name in enumerate(NAMES)})


def write_set(root: Path, sizes: dict[str, int]) -> Path:
    rows = []
    for number, (name, size) in enumerate(sizes.items()):
        content = bytes((number + place * place) % 251 for place in range(1000)) * (size // 1000 + 1)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content[:size])
        rows.append((name, number % 2, 8, 25.0, 64, 64, "h264", 0, 0, zlib.crc32(content[:size]), 1))
    write_table(root / "train.csv", MANIFEST_COLUMNS, rows)
    (root / "classes.txt").write_text("no\nyes\n")
    return root


def arguments(root: Path, output: Path, *more: str) -> list[str]:
    lists = ["--lists", str(root / "train.csv")]
    return ["--root", str(root), "--output", str(output), *lists, "--shard-size", "200KB", *more]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def test_every_member_is_where_the_index_says_and_tar_unpacks_them(root: Path, tmp_path: Path):
    output = tmp_path / "shards"
    assert pack.main(arguments(root, output)) == 0
    table = pyarrow.ipc.open_file(output / "shards.arrow").read_all()
    stated = json.loads(table.schema.metadata[b"gcvideo"])
    assert table["path"].to_pylist() == sorted(NAMES)
    assert [name for name, _ in stated["shards"]] == [f"shard-{n:05}.tar" for n in range(4)]
    for row in table.to_pylist():
        name, num_bytes = stated["shards"][row["shard"]]
        shard = (output / name).read_bytes()
        assert len(shard) == num_bytes
        content = (root / row["path"]).read_bytes()
        assert shard[row["offset"] :][: row["size"]] == content
        assert row["crc32"] == zlib.crc32(content)
        blocks = [
            content[n : n + stated["block_bytes"]] for n in range(0, len(content), stated["block_bytes"])
        ]
        assert row["blocks"] == [zlib.crc32(block) for block in blocks]
    for shard in sorted(output.glob("*.tar")):
        subprocess.run(["tar", "xf", shard], cwd=_made(tmp_path / "unpacked"), check=True)
        with tarfile.open(shard) as archive:
            assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in archive} == {(0, 0, 0, "", 0o644)}
    for name in NAMES:
        assert (tmp_path / "unpacked" / name).read_bytes() == (root / name).read_bytes()
    assert (output / "train.csv").read_bytes() == (root / "train.csv").read_bytes()
    assert (output / "classes.txt").read_text() == "no\nyes\n"


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_equal_videos_make_equal_bytes_and_parts_of_a_job_array_those_of_one_run(root: Path, tmp_path: Path):
    pack.main(arguments(root, tmp_path / "one", "--workers", "2"))
    shutil.copytree(root, tmp_path / "elsewhere")
    for number in (1, 0):
        part = ("--shard", str(number), "--num-shards", "2")
        pack.main(arguments(tmp_path / "elsewhere", tmp_path / "two", *part))
    assert not (tmp_path / "two/shards.arrow").exists()
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "two").glob("*.tar")}
    pack.main(arguments(tmp_path / "elsewhere", tmp_path / "two"))
    assert len(times) == 4
    assert all(file.stat().st_mtime_ns == before for file, before in times.items())
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert {name: one[name] for name in one} == {name: two[name] for name in one}


def test_what_is_not_as_it_was_verified_is_named_and_nothing_is_packed_with_it(root: Path, tmp_path: Path):
    changed, shorter = root / NAMES[1], root / NAMES[4]
    content = changed.read_bytes()
    changed.write_bytes(b"?" + content[1:])
    rest = shorter.read_bytes()
    shorter.write_bytes(rest[:-1])
    output = tmp_path / "shards"
    assert pack.main(arguments(root, output)) == 1
    bad = {row["path"]: row["reason"] for row in read_table(output / "pack_bad.csv")}
    assert [*bad] == [NAMES[1], NAMES[4]]
    assert "checksum" in bad[NAMES[1]]
    assert "checksum" in bad[NAMES[4]]
    assert not (output / "shards.arrow").exists()
    changed.write_bytes(content)
    shorter.write_bytes(rest)
    assert pack.main(arguments(root, output)) == 0
    assert read_table(output / "pack_bad.csv") == []


def test_a_list_that_was_not_verified_or_whose_videos_are_gone_is_refused(root: Path, tmp_path: Path):
    (root / NAMES[0]).unlink()
    with pytest.raises(ValueError, match=r"1 of 5 videos are not there, as b/two.mp4; fetch them, or run"):
        pack.main(arguments(root, tmp_path / "shards"))
    write_table(root / "train.csv", ("path", "label"), [(NAMES[1], 0)])
    with pytest.raises(
        ValueError, match=r"one with a space.mp4: its list has no crc32 .* run data_prep/verify"
    ):
        pack.main(arguments(root, tmp_path / "shards"))
    assert not (tmp_path / "shards").exists()


def test_a_dry_run_writes_nothing(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert pack.main(arguments(root, tmp_path / "shards", "--dry-run")) == 0
    assert "would pack 5 videos, 0.0 GB, into 4 shards" in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()


@pytest.mark.slow
def test_kills_at_any_moment_change_no_byte(tmp_path: Path):
    root = write_set(tmp_path / "set", {f"{n}.mp4": 300_000 + n for n in range(60)})
    pack.main(arguments(root, tmp_path / "calm"))
    num_killed = 0
    for attempt in range(40):
        process = subprocess.Popen(
            [sys.executable, PROJECT / "data_prep/pack.py", *arguments(root, tmp_path / "storm")],
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(0.6 + 0.07 * attempt)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        num_killed += 1
        assert not (tmp_path / "storm/shards.arrow").exists() or attempt > 5
    assert num_killed >= 3
    assert pack.main(arguments(root, tmp_path / "storm")) == 0
    calm, storm = contents(tmp_path / "calm"), contents(tmp_path / "storm")
    assert calm == storm
    assert [*(tmp_path / "storm").rglob("*partial*")] == []
