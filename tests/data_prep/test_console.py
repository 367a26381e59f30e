from pathlib import Path

import pytest

from data_prep.annotations import main as annotations
from data_prep.page.prepared_data import read_prepared
from data_prep.running.console import counted, progress_bar, run_step, say, show_first, show_table

ODD_NAMES = (
    "How to [dQw4w9WgXcQ].mp4",
    "a [/b] [bold].mp4",
    ":smile:.mp4",
    "broken \udcff.mp4",
    "\x1b]0;x\x07.mp4",
)


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("bad", ("path",), [(name,) for name in ODD_NAMES])
    for name in ODD_NAMES:
        say(f"report: {name}")
    with progress_bar() as bar:
        bar.add_task(f"list {ODD_NAMES[1]}", total=1, completed=1)
    said = capsys.readouterr().err
    assert "\x1b]" not in said
    for name in ODD_NAMES:
        shown = name.encode("unicode_escape").decode()
        assert said.count(shown) == (3 if name == ODD_NAMES[1] else 2)


def test_a_line_with_a_long_path_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = f"/data/{'deep/' * 60}report.csv"
    say(f"report: {path}")
    assert capsys.readouterr().err == f"report: {path}\n"


def test_of_many_rows_the_first_are_shown_and_all_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(f"{number}.mp4", "is empty") for number in range(1234)]
    show_first("bad", ("path", "reason"), rows, whole=Path("bad.csv"), num_shown=3)
    said = " ".join(capsys.readouterr().err.split())
    assert "1,234 bad, of which these are the first 3; all are in bad.csv" in said
    assert "2.mp4" in said
    assert "3.mp4" not in said


def test_numbers_and_numerals_stand_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("", ("split", "listed", "missing"), [("train", 240_000, "5.00 %"), ("test", "-", "12.50 %")])
    lines = capsys.readouterr().err.splitlines()
    assert "│ train │ 240,000 │  5.00 % │" in lines
    assert "│ test  │       - │ 12.50 % │" in lines


def test_a_title_wider_than_its_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show_table("largest and smallest classes", ("class", "videos"), [("a", 5)])
    assert capsys.readouterr().err.splitlines()[0] == "largest and smallest classes"


def test_one_thing_is_not_many() -> None:
    assert [counted(number, "file") for number in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a.csv:3: [x] is no row"), "error: a.csv:3: [x] is no row\n"),
        (
            FileNotFoundError(2, "No such file or directory", "a.csv"),
            "error: a.csv: No such file or directory\n",
        ),
        (OSError(28, "No space left on device"), "error: [Errno 28] No space left on device\n"),
    ],
)
def test_an_error_is_one_line_and_code_2(
    error: Exception, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def step(argv: object) -> int:
        raise error

    with pytest.raises(SystemExit) as end:
        run_step(step)
    assert end.value.code == 2
    assert capsys.readouterr().err == line


def test_steps_that_only_look_at_files_have_a_bar_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "abc":
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / f"run/{name}.mp4").touch()
    annotations(["folder", "--videos", str(tmp_path), "--output", str(tmp_path / "lists")])
    assert "3/3" in capsys.readouterr().err
    header = "path,label,num_frames,fps,width,height,codec,rotation,stream,plain\n"
    rows = [f"run/{name}.mp4,0,9,9.0,8,8,h264,0,0,1\n" for name in "abc"]
    (tmp_path / "train.csv").write_text("".join([header, *rows[:2]]))
    (tmp_path / "val.csv").write_text("".join([header, *rows[2:]]))
    read_prepared(tmp_path, None, tmp_path, num_workers=2)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[-3] for line in lines] == ["2/2", "3/3"]
