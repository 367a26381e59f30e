import json
from pathlib import Path

import pytest

from gcvideo.data.lists.annotations import AnnotationError
from gcvideo.data.lists.class_files import read_class_names

NAMES = ["run", "riding a camel", "walk"]


def written(folder: Path, text: str, name: str = "classes.txt") -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


@pytest.mark.parametrize(
    "text",
    [
        "run\nriding a camel\nwalk\n",
        "\ufeffrun\r\nriding a camel \nwalk\n\n",
        "0,run\n1,riding a camel\n2,walk\n",
        "run,0\nriding a camel,1\nwalk,2\n",
        "0 run\n1 riding a camel\n2 walk\n",
        "run 0\nriding a camel 1\nwalk 2\n",
        "0\trun\n1\triding a camel\n2\twalk\n",
        "run;0\nriding a camel;1\nwalk;2\n",
        "2,walk\n0,run\n1,riding a camel\n",
        "id,name\n0,run\n1,riding a camel\n2,walk\n",
        "activity,no\nwalk,2\nrun,0\nriding a camel,1\n",
        "id name\n0 run\n1 riding a camel\n2 walk\n",
        json.dumps(NAMES),
        json.dumps({name: label for label, name in enumerate(NAMES)}),
        json.dumps({name: str(label) for label, name in reversed(list(enumerate(NAMES)))}, indent=2),
        json.dumps(dict(enumerate(NAMES))),
    ],
)
def test_class_names_stand_at_their_label(tmp_path, text):
    assert read_class_names(written(tmp_path, text)) == NAMES


@pytest.mark.parametrize(
    "names",
    [
        ["0", "1", "2"],
        ["type 0", "type 1", "type 2"],
        ["take 10", "run 3"],
        ["100 m run", "200 m run"],
        ["moving something, slowly", "moving something, fast", "dropping it"],
        ["[Something] falls", "[Something] rises"],
        ["level 1"],
        ["name", "age"][1:],
    ],
)
def test_numbers_commas_and_brackets_that_belong_to_names_stay(tmp_path, names):
    assert read_class_names(written(tmp_path, "\n".join(names) + "\n")) == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": names no class; expected one name a line"),
        ("a\nb\na\n", ":3: class 'a' stands on line 1 already"),
        ("a\n\nb\n", ":2: is blank, which would shift the labels below"),
        ("name\nrun\nwalk\n", ":1: 'name' is a header, which would shift the labels; remove it"),
        (
            "1 run\n2 walk\n",
            ":1: numbers 1..2; expected 0..1, as labels are counted: count from 0",
        ),
        ("id,name\n1,run\n2,walk\n", ":2: numbers 1..2; expected 0..1"),
        ("0,run\n0,walk\n", ":1: has a number twice; expected 0..1"),
        ("0,run,5\n1,walk,7\n", ":1: has 3 columns; expected names alone, or number and name"),
        ("id,name,parent\n0,run,x\n1,walk,x\n", ":1: has 3 columns"),
        ("5\n7\n", ":1: the names are numbers, but not those of the labels, 0..1; put a word before each"),
        ("0,run\n1,run\n", ":2: class 'run' stands on line 1 already"),
        ("run\u200b\nwalk\n", r":1: 'run\u200b' holds a sign that cannot be seen; remove it"),
        ("run\rwalk\r", r":1: 'run\rwalk' holds a sign that cannot be seen; remove it"),
        ('["run", "walk"', ": is not JSON (Expecting ',' delimiter"),
        (
            '[{"id": 0, "name": "run"}]',
            ": holds other JSON than class names; expected a list of names, or a mapping",
        ),
        ('{"run": 1, "walk": 2}', ":1: numbers 1..2; expected 0..1"),
        ('["run", "run"]', ":2: class 'run' stands on line 1 already"),
        ("{}", ": holds other JSON than class names"),
    ],
)
def test_class_names_that_cannot_be_labels_are_refused(tmp_path, text, message):
    file = written(tmp_path, text)
    with pytest.raises(AnnotationError) as caught:
        read_class_names(file)
    assert str(caught.value).startswith(f"{file}{message}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AnnotationError, match=r"none\.txt: no such file"):
        read_class_names(tmp_path / "none.txt")
