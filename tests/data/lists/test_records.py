"""The records of a list are what its lines say, and cost a process no memory of its own."""

import csv
import io
import multiprocessing
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcvideo.cells import quoted
from gcvideo.clip import Verified, VideoRecord
from gcvideo.data.lists import rows as rows_module
from gcvideo.data.lists.annotations import AnnotationError, read_annotations
from gcvideo.data.lists.records import VideoRecords, order_digest

NAMES = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), min_size=1, max_size=12).filter(
    lambda name: (
        name.strip() == name and not set(name) & set("/\\") and name[0] not in ".$~" and name[-1] != ":"
    )
)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: f"{'/'.join(names)}.mp4")
VERIFIED = st.builds(
    Verified,
    num_frames=st.integers(1, 2**62),
    fps=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    width=st.integers(1, 8192),
    height=st.integers(1, 8192),
    plain=st.booleans(),
    crc32=st.integers(0, 2**32 - 1),
)
COLUMNS = ["path", "label", *Verified._fields]


def expected(path: str, label: int, verified: Verified | None = None) -> VideoRecord:
    num_frames = verified.num_frames if verified is not None else None
    return VideoRecord(Path("/videos") / path, label, path, verified, num_frames)


def read(file: Path) -> VideoRecords:
    return read_annotations(file, root=Path("/videos"), num_classes=400)


@pytest.fixture(params=[1, 3, 1 << 16])
def lines_at_once(request, monkeypatch) -> None:
    monkeypatch.setattr(rows_module, "LINES_AT_ONCE", request.param)


@pytest.mark.usefixtures("lines_at_once")
@given(
    rows=st.lists(
        st.tuples(PATHS, st.integers(0, 399), VERIFIED), min_size=1, max_size=9, unique_by=lambda row: row[0]
    )
)
def test_records_are_what_the_lines_say(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("lists")
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(
        [quoted(path), label, *verified[:4], int(verified.plain), verified.crc32]
        for path, label, verified in rows
    )
    (folder / "commas.csv").write_text(text.getvalue(), newline="")
    (folder / "spaces.txt").write_text(
        "".join(f"{quoted(path)} {label}\n" for path, label, _ in rows), newline=""
    )

    assert list(read(folder / "commas.csv")) == [expected(*row) for row in rows]
    if "," not in rows[0][0] and '"' not in rows[0][0]:  # or else the first line is taken for CSV
        assert list(read(folder / "spaces.txt")) == [expected(*row[:2]) for row in rows]


def records_of(folder: Path, num_videos: int) -> VideoRecords:
    file = folder / "list.csv"
    file.write_text("".join(f"a/{number:09d}.mp4,{number % 400}\n" for number in range(num_videos)))
    return read(file)


def test_records_are_indexed_and_sliced_as_a_list_is(tmp_path):
    records = records_of(tmp_path, 20)
    plain = [expected(f"a/{number:09d}.mp4", number) for number in range(20)]
    assert [records[index] for index in range(-20, 20)] == plain + plain
    for part in (slice(None), slice(3), slice(None, None, -3), slice(-4, 40), slice(9, 2)):
        assert records[part] == plain[part]
    for outside in (20, -21):
        with pytest.raises(IndexError):
            records[outside]


@pytest.mark.usefixtures("lines_at_once")
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("b.mp4,400", "label 400 is out of range"),
        ("b.mp4,x", "label 'x' is not an integer"),
        (",1", "the path is empty"),
        ("a/../../b.mp4,1", "leads out of /videos"),
        ("/video/b.mp4,1", "leads out of /videos"),
        ('"b.mp4,1', "is not CSV"),
        ("b.mp4", "is not a row"),
    ],
)
def test_of_many_lines_the_first_bad_one_is_named(tmp_path, bad, message):
    lines = [f"/videos/{number}.mp4,{number}" for number in range(300)]
    lines[200:200] = ["", bad, '"a ""quoted"".mp4",1', bad]
    file = tmp_path / "list.csv"
    file.write_text("\n".join(lines))
    with pytest.raises(AnnotationError, match=message) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}:202: ")


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("cell", [str(2**63), "9" * 5000, "inf", "nan", "1e400", "-1", "0", ""])
def test_numbers_that_are_of_no_video_are_no_verified_row(tmp_path, column, cell):
    if (column, cell) == (1, str(2**63)):
        return
    file, cells = tmp_path / "list.csv", ["250", "25", "340", "256", "1", "7"]
    cells[column] = cell
    file.write_text(f"{','.join(COLUMNS)}\na.mp4,1,250,25,340,256,1,7\nb.mp4,1,{','.join(cells)}\n")
    with pytest.raises(
        AnnotationError, match=rf"list\.csv:3: num_frames, .* are .*{cell}, .*expected numbers"
    ):
        read(file)


def test_records_are_pickled_as_bytes_and_not_as_objects(tmp_path):
    records = records_of(tmp_path, 5000)
    written = pickle.dumps(records)
    assert len(written) < 5000 * (len("a/000000000.mp4") + 8 + 8) + 4000
    assert list(pickle.loads(written)) == list(records)


def _tell_last(records: VideoRecords, connection) -> None:
    connection.send(records[-1])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same_records(tmp_path, method):
    from torch import multiprocessing as torch_multiprocessing

    records = records_of(tmp_path, 100)
    context = torch_multiprocessing.get_context(method)
    here, there = multiprocessing.Pipe()
    process = context.Process(target=_tell_last, args=(records, there))
    process.start()
    assert here.poll(60)
    assert here.recv() == records[99]
    process.join()


OWN_MEMORY_OF_A_FORKED_READER = """
    import gc, os, sys
    from pathlib import Path
    from gcvideo.data.lists.annotations import read_annotations

    records = read_annotations(Path(sys.argv[1]), root=Path("/videos"), num_classes=400)
    records = list(records) if sys.argv[2] == "objects" else records

    def own_megabytes():
        rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_")) / 1e3

    gc.collect()
    if os.fork() == 0:
        gc.disable()
        for index in range(1000):  # what the interpreter itself takes
            str(records[index].path)
        before = own_megabytes()
        for index in range(len(records)):
            str(records[index].path)
        print(own_megabytes() - before, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc")
def test_a_forked_process_that_reads_all_records_has_no_memory_of_its_own_from_it(tmp_path):
    records_of(tmp_path, 200_000)

    def grown(kind: str) -> float:
        """Megabytes."""
        script = textwrap.dedent(OWN_MEMORY_OF_A_FORKED_READER)
        command = [sys.executable, "-c", script, tmp_path / "list.csv", kind]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert grown("records") < 20.0  # pathlib interns names, in a table that is now and then made anew
    assert grown("objects") > 40.0  # a list of VideoRecord is copied


def test_the_digest_of_an_order_knows_replaced_videos_by_their_checksums(tmp_path):
    def digest(header: str, *rows: str) -> str:
        file = tmp_path / "list.csv"
        file.write_text("\n".join([header, *rows]))
        return order_digest(read(file), seed=0)

    verified = "path,label,num_frames,fps,width,height,plain"
    without = digest("path,label", "a.mp4,1", "b.mp4,0")
    assert digest(verified, "a.mp4,1,9,25,64,64,1", "b.mp4,0,9,25,64,64,1") == without
    checked = digest(f"{verified},crc32", "a.mp4,1,9,25,64,64,1,5", "b.mp4,0,9,25,64,64,1,6")
    replaced = digest(f"{verified},crc32", "a.mp4,1,9,25,64,64,1,5", "b.mp4,0,9,25,64,64,1,7")
    assert len({without, checked, replaced}) == 3
