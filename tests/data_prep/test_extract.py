import gzip
import io
import random
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data_prep import extract
from data_prep.archives import extraction
from gcvideo import atomic
from gcvideo.atomic import read_table


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def archive(
    path: Path, files: dict[str, bytes], *, mode: str = "w:gz", odd: Sequence[tarfile.TarInfo] = ()
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for info in odd:
            tar.addfile(info, io.BytesIO(b"x" * info.size))
        for name, content in files.items():
            tar.addfile(member(name, size=len(content)), io.BytesIO(content))
    return path


def run(output: Path, *archives: Path, replacements: Sequence[Path] = (), options=()) -> int:
    return extract.main(
        [
            *("--archives", *map(str, archives), "--output", str(output), *options),
            *(["--replacements", *map(str, replacements)] if replacements else []),
        ]
    )


def content(output: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and ".journal" not in path.parts and path.name != "extract_report.csv"
    }


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def report(output: Path) -> list[tuple[str, str, str, str]]:
    rows = read_table(output / "extract_report.csv")
    return [(row["archive"], row["status"], row["member"], row["reason"]) for row in rows]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_compression_is_told_by_content_and_not_by_name(tmp_path: Path, mode: str) -> None:
    files = {"a.mp4": b"A" * 1000, "deep/er/and/deeper/b (c).mp4": b"B" * 512, "empty.mp4": b""}
    assert run(tmp_path / "out", archive(tmp_path / "part_120.tar.gz", files, mode=mode)) == 0
    assert content(tmp_path / "out") == files


@pytest.mark.parametrize("name", ["part_0.tar", "part_0.tgz", "acting in play.tar.gz"])
def test_a_compressed_archive_may_be_called_anything(tmp_path: Path, name: str) -> None:
    assert run(tmp_path / "out", archive(tmp_path / name, {"a.mp4": b"A"}, mode="w:gz")) == 0
    assert content(tmp_path / "out") == {"a.mp4": b"A"}


def test_an_archive_of_a_folder_as_tar_packs_it_is_extracted_whole(tmp_path: Path) -> None:
    """`tar -C folder .`, as the class archives of Kinetics-600 are: the first member is ./ itself."""
    folders = [member("./", type=tarfile.DIRTYPE), member("./a b (c)/", type=tarfile.DIRTYPE)]
    files = {"./_vzHWdv5F1U_000143_000153.mp4": b"1", "./a b (c)/x.mp4": b"2", "./a b (c)/._x.mp4": b"3"}
    assert run(tmp_path / "out", archive(tmp_path / "a.tar.gz", files, odd=folders)) == 0
    assert content(tmp_path / "out") == {name.removeprefix("./"): text for name, text in files.items()}
    assert report(tmp_path / "out") == [("a.tar.gz", "extracted", "", "3 files, 0 members refused")]


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_unicode_names_come_out_as_they_went_in(tmp_path: Path, tar_format: int) -> None:
    name = f"{'k/' * 45}ünïcode-視頻 {'n' * 60}.mp4"
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tar_format) as tar:
        tar.addfile(member(name, size=3), io.BytesIO(b"abc"))
    assert run(tmp_path / "out", path) == 0
    assert content(tmp_path / "out") == {name: b"abc"}


ODD = [
    (member("/etc/evil.mp4", size=1), "absolute path"),
    (member("../evil.mp4", size=1), "path with .."),
    (member("a/../../evil.mp4", size=1), "path with .."),
    (member("link.mp4", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "symbolic link"),
    (member("hard.mp4", type=tarfile.LNKTYPE, linkname="ok.mp4"), "hard link"),
    (member("pipe.mp4", type=tarfile.FIFOTYPE), "FIFO"),
    (member("char.mp4", type=tarfile.CHRTYPE), "character device"),
    (member("block.mp4", type=tarfile.BLKTYPE), "block device"),
    (member("suid.mp4", size=1, mode=0o4755), "set-uid, set-gid or sticky bit (mode 4755)"),
    (member("sgid.mp4", size=1, mode=0o2755), "set-uid, set-gid or sticky bit (mode 2755)"),
    (member("two\nlines.mp4", size=1), "name with control characters"),
    (member(".journal/extract.0-of-1.jsonl", size=1), ".journal is this program's own"),
    (member("n" * 250 + ".mp4", size=1), "name too long"),
    (member("n" * 256 + ".mp4", size=1), "name too long"),
    (member("n" * 300 + "/a.mp4", size=1), "name too long"),
    (member("/".join(["n" * 200] * 25), size=1), "path too long"),
]


def test_unsafe_members_are_refused_by_name_and_the_others_come_out(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", {"ok.mp4": b"ok"}, mode="w", odd=[info for info, _ in ODD])
    assert run(tmp_path / "in/out", path) == 1
    assert content(tmp_path / "in/out") == {"ok.mp4": b"ok"}
    expected = [("a.tar", "refused", info.name, reason) for info, reason in ODD]
    assert report(tmp_path / "in/out")[1:] == expected
    assert names_in(tmp_path / "in") == ["out"]
    assert names_in(tmp_path) == ["a.tar", "in"]
    assert not Path("/etc/evil.mp4").exists()


def test_nothing_is_written_through_a_link_that_leads_out(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/archery").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/target.mp4").write_bytes(b"precious")
    (tmp_path / "out/b.mp4").symlink_to(tmp_path / "elsewhere/target.mp4")
    path = archive(tmp_path / "a.tar", {"archery/a.mp4": b"evil", "b.mp4": b"evil"})
    assert run(tmp_path / "out", path) == 1
    assert names_in(tmp_path / "elsewhere") == ["target.mp4"]
    assert (tmp_path / "elsewhere/target.mp4").read_bytes() == b"precious"
    assert "leads out" in report(tmp_path / "out")[1][3]


def test_a_member_in_the_place_of_a_folder_or_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out/folder.mp4").mkdir(parents=True)
    (tmp_path / "out/file.mp4").write_bytes(b"")
    path = archive(tmp_path / "a.tar", {"folder.mp4": b"1", "file.mp4/a.mp4": b"2", "z.mp4": b"3"})
    assert run(tmp_path / "out", path) == 1
    assert content(tmp_path / "out") == {"file.mp4": b"", "z.mp4": b"3"}
    assert [reason for _, status, _, reason in report(tmp_path / "out") if status == "refused"] == [
        "a folder of that name is there",
        "a file stands where its folder should be",
    ]


FILES = {f"v{n}.mp4": random.Random(n).randbytes(2000) for n in range(6)}


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_an_archive_cut_anywhere_is_reported_as_damaged(tmp_path: Path, mode: str) -> None:
    whole = archive(tmp_path / "whole.tar", FILES, mode=mode).read_bytes()
    for cut in sorted({*range(1, len(whole), 509), 512, 2560, 5120, len(whole) - 1}):
        if mode == "w" and cut > 6 * 2560 + 512:
            continue  # behind the end mark a tar file holds nothing but padding
        path = tmp_path / f"cut/{cut}.tar"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(whole[:cut])
        row = extraction.extract_archive(path, tmp_path / f"out/{cut}", str, max_expansion=20)
        assert row["error"], f"cut at byte {cut} of {len(whole)}"
        assert content(tmp_path / f"out/{cut}").items() <= FILES.items()


def test_a_changed_byte_of_a_compressed_archive_is_found(tmp_path: Path) -> None:
    whole = bytearray(archive(tmp_path / "a.tar.gz", FILES).read_bytes())
    whole[-6] ^= 1  # of the checksum
    (tmp_path / "a.tar.gz").write_bytes(whole)
    assert run(tmp_path / "out", tmp_path / "a.tar.gz") == 1
    assert report(tmp_path / "out")[0][1] == "damaged"


def test_a_damaged_header_between_members_is_not_the_end(tmp_path: Path) -> None:
    whole = bytearray(archive(tmp_path / "a.tar", FILES, mode="w").read_bytes())
    whole[2560:3072] = b"?" * 512
    (tmp_path / "a.tar").write_bytes(whole)
    assert run(tmp_path / "out", tmp_path / "a.tar") == 1
    assert report(tmp_path / "out")[0][1:] == (
        "damaged",
        "",
        "no member header at byte 2,560; 1 file came before",
    )


def test_two_archives_in_one_file_are_not_half_read_in_silence(tmp_path: Path) -> None:
    one = archive(tmp_path / "a.tar", FILES, mode="w").read_bytes()
    (tmp_path / "a.tar").write_bytes(one + one)
    assert run(tmp_path / "out", tmp_path / "a.tar") == 1
    assert "data after the end" in report(tmp_path / "out")[0][3]


@pytest.mark.parametrize("text", [b"", b"<html>404</html>", gzip.compress(b"no tar", mtime=0)])
def test_what_is_no_archive_is_reported(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(text)
    assert run(tmp_path / "out", tmp_path / "a.tar.gz") == 1
    assert report(tmp_path / "out")[0][1] == "damaged"


def bomb(path: Path, num_bytes: int, *, kind: bytes = tarfile.REGTYPE) -> Path:
    """A small archive of a small file, and of a large one that is nothing but zeros."""
    with gzip.open(path, "wb") as stream:
        stream.write(member("a.mp4", size=1).tobuf() + b"a" + b"\0" * 511)
        stream.write(member("b.mp4", size=num_bytes, type=kind).tobuf(tarfile.GNU_FORMAT))
        for _ in range(num_bytes >> 20):
            stream.write(b"\0" * (1 << 20))
        stream.write(b"\0" * 1024)
    return path


def test_an_archive_gives_no_more_than_is_permitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "ALWAYS_PERMITTED_BYTES", 1_000_000)
    path = bomb(tmp_path / "bomb.tar.gz", 8 << 20)
    num_bytes = path.stat().st_size
    whole = archive(tmp_path / "c.tar.gz", {"c.mp4": b"c"})
    assert run(tmp_path / "out", path, whole) == 1
    assert content(tmp_path / "out") == {"a.mp4": b"a", "c.mp4": b"c"}
    assert report(tmp_path / "out")[0][1:] == (
        "too large",
        "",
        f"gives more than 1,000,000 bytes, from {num_bytes:,}; --max-expansion, here 20, permits more; "
        "1 file came before",
    )
    assert run(tmp_path / "out", path, whole, options=("--max-expansion", "2000")) == 0
    assert len(content(tmp_path / "out")["b.mp4"]) == 8 << 20
    with pytest.raises(ValueError, match="--max-expansion nan is out of range; expected at least 1"):
        run(tmp_path / "out", path, options=("--max-expansion", "nan"))


def test_a_header_of_megabytes_is_not_read(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.tar.gz", 8 << 20, kind=tarfile.GNUTYPE_LONGNAME)
    assert run(tmp_path / "out", path) == 1
    assert report(tmp_path / "out")[0][1:] == (
        "damaged",
        "",
        "a member header of 8,388,608 bytes at byte 1,536; 1 file came before",
    )


def test_a_member_that_the_disk_has_no_room_for_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=1999))
    with pytest.raises(OSError, match=r"a\.tar: v0\.mp4 has 2,000 bytes, and the disk has 1,999 left"):
        run(tmp_path / "out", archive(tmp_path / "a.tar", FILES))
    assert content(tmp_path / "out") == {}


def test_a_file_that_two_archives_have_is_named(tmp_path: Path) -> None:
    paths = [
        archive(tmp_path / "abseiling.tar.gz", {"a.mp4": b"A", "b.mp4": b"B"}),
        archive(tmp_path / "archery.tar.gz", {"c.mp4": b"C", "a.mp4": b"A"}),
    ]
    assert run(tmp_path / "out", *paths) == 0
    assert report(tmp_path / "out")[2:] == [
        ("archery.tar.gz", "repeated", "a.mp4", "abseiling.tar.gz has it too, of the same size")
    ]
    paths.append(archive(tmp_path / "assembling.tar.gz", {"b.mp4": b"other"}))
    assert run(tmp_path / "out", *paths) == 1
    *_, (name, status, path, reason) = report(tmp_path / "out")
    assert (name, status, path) == ("assembling.tar.gz", "overwritten", "b.mp4")
    assert reason.startswith("abseiling.tar.gz has it too, of 1 bytes and not 5; one of the two is lost")


def test_two_archives_may_give_one_file_at_one_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=30)

    @contextmanager
    def replacing(target: Path, **options: Any) -> Iterator[Path]:
        with atomic.replacing(target, **options) as partial:
            both.wait()
            yield partial

    monkeypatch.setattr(extraction, "replacing", replacing)
    paths = [archive(tmp_path / name, {"a.mp4": b"A"}) for name in ("abseiling.tar.gz", "archery.tar.gz")]
    assert run(tmp_path / "out", *paths) == 0
    assert content(tmp_path / "out") == {"a.mp4": b"A"}
    assert report(tmp_path / "out")[2][1] == "repeated"


def test_a_second_run_reads_no_archive_and_reports_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(tmp_path / "a.tar", FILES)
    assert run(tmp_path / "out", path) == 0
    first = (tmp_path / "out/extract_report.csv").read_bytes()
    monkeypatch.delattr(extraction, "open_tar")
    assert run(tmp_path / "out", path) == 0
    assert (tmp_path / "out/extract_report.csv").read_bytes() == first


def test_a_file_that_vanished_is_extracted_again_and_the_others_are_left(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", FILES)
    run(tmp_path / "out", path)
    (tmp_path / "out/v3.mp4").unlink()
    before = (tmp_path / "out/v2.mp4").stat().st_mtime_ns
    assert run(tmp_path / "out", path) == 0
    assert content(tmp_path / "out") == FILES
    assert (tmp_path / "out/v2.mp4").stat().st_mtime_ns == before


def test_a_replacement_goes_where_the_broken_video_lies(tmp_path: Path) -> None:
    names = [
        *("train/x/-aaaaaaaaaa_000001_000011.mp4", "train/y/bbbbbbbbbbb_000001_000011.mp4"),
        "train/y/ccccccccccc_000001_000011.mp4",
    ]
    base = archive(tmp_path / "part_0.tar.gz", dict.fromkeys(names, b"broken"))
    new = archive(
        tmp_path / "replacement.tgz",
        {
            "replacement/-aaaaaaaaaa_000001_000011.mp4": b"by name",
            "replacement/bbbbbbbbbbb.mp4": b"by identifier",
            "replacement/ddddddddddd.mp4": b"of nothing",
        },
    )
    assert run(tmp_path / "out", base, replacements=[new]) == 0
    expected = dict(zip(names, [b"by name", b"by identifier", b"broken"], strict=True))
    expected["replacement/ddddddddddd.mp4"] = b"of nothing"
    assert content(tmp_path / "out") == expected


def test_a_replacement_outlasts_its_archive_being_extracted_again(tmp_path: Path) -> None:
    base = archive(tmp_path / "part_0.tar", {"a.mp4": b"broken", "b.mp4": b"b"})
    new = archive(tmp_path / "replacement.tgz", {"a.mp4": b"repaired"})
    run(tmp_path / "out", base, replacements=[new])
    (tmp_path / "out/b.mp4").unlink()
    run(tmp_path / "out", base)
    assert run(tmp_path / "out", base, replacements=[new]) == 0
    assert content(tmp_path / "out") == {"a.mp4": b"repaired", "b.mp4": b"b"}


def test_files_that_a_power_cut_left_short_are_extracted_again_but_not_over_replacements(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = archive(tmp_path / "part_0.tar", {"a.mp4": b"broken", "b.mp4": b"b", "c.mp4": b"c"})
    new = archive(tmp_path / "replacement.tgz", {"a.mp4": b"repaired"})
    run(tmp_path / "out", base, replacements=[new])
    whole = content(tmp_path / "out")
    (tmp_path / "out/b.mp4").write_bytes(b"")
    assert run(tmp_path / "out", base) == 0
    assert content(tmp_path / "out") == whole == {"a.mp4": b"repaired", "b.mp4": b"b", "c.mp4": b"c"}
    (tmp_path / "out/a.mp4").write_bytes(b"rep")
    assert run(tmp_path / "out", base, replacements=[new]) == 0
    assert content(tmp_path / "out") == whole
    monkeypatch.delattr(extraction, "open_tar")
    assert run(tmp_path / "out", base, replacements=[new]) == 0


def test_the_bar_goes_from_no_byte_to_the_last_and_a_damaged_archive_fills_it_too(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.tar.gz", FILES)
    (tmp_path / "cut.tar.gz").write_bytes(whole.read_bytes()[:5000])
    for path in (whole, tmp_path / "cut.tar.gz"):
        steps: list[int] = []
        extraction.extract_archive(path, tmp_path / "out", str, max_expansion=20, advance=steps.append)
        assert sum(steps) == path.stat().st_size
        assert min(steps) >= 0


def test_replacements_wait_until_all_shards_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = [archive(tmp_path / f"part_{n}.tar", {f"{n}.mp4": b"old"}) for n in range(3)]
    new = archive(tmp_path / "replacement.tgz", {f"{n}.mp4": b"repaired" for n in range(3)})
    for shard in ("1", "0"):
        options = ("--shard", shard, "--num-shards", "2")
        assert run(tmp_path / "out", *parts, replacements=[new], options=options) == 0
        assert "replacements wait" in capsys.readouterr().err
    assert run(tmp_path / "out", *parts, replacements=[new]) == 0
    assert (tmp_path / "out/2.mp4").read_bytes() == b"repaired"


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", FILES)
    assert run(tmp_path / "out", path, options=["--dry-run"]) == 0
    assert not (tmp_path / "out").exists()


def test_a_folder_without_archives_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no archive; expected \*\.tar, \*\.tar\.gz"):
        run(tmp_path / "out", tmp_path)
