import shutil
import sys
from pathlib import Path

import torch

import gcvideo
from gcvideo.agreement import differences, digest_of_file, flat, settings, versions


def test_the_rank_that_differs_from_most_is_named_with_what_it_has():
    usual = {"torch": "2.6", "av": "18"}
    values = {0: {**usual, "torch": "2.5"}, 1: usual, 2: usual, 3: {"torch": "2.6"}}
    assert differences(values) == {
        0: ["torch is 2.5, elsewhere 2.6"],
        1: [],
        2: [],
        3: ["av is missing, elsewhere 18"],
    }


def test_of_two_that_differ_the_first_counts():
    assert differences({0: {"a": "1"}, 1: {"a": "2"}}) == {0: [], 1: ["a is 2, elsewhere 1"]}


def test_a_nested_configuration_is_flat_and_keeps_its_values():
    assert flat({"a": {"b": {"c": 1.5}, "d": None}, "e": [{"f": 2}], "g": {}}) == {
        "a.b.c": "1.5",
        "a.d": "null",
        "e.0.f": "2",
        "g": "{}",
    }


def test_a_changed_source_file_is_another_version(tmp_path, monkeypatch):
    before = versions()
    assert before["torch"] == torch.__version__.split("+")[0]
    copy = shutil.copytree(Path(str(gcvideo.__file__)).parent, tmp_path / "gcvideo")
    monkeypatch.setattr(gcvideo, "__file__", str(copy / "__init__.py"))
    assert versions() == before
    (copy / "clip.py").write_text((copy / "clip.py").read_text() + "\n")
    assert versions() != before


def test_where_files_are_and_how_many_processes_read_them_may_differ_and_nothing_else():
    data = {"root": "/node0", "videos": "v", "num_workers": 3, "batch_size": 2}
    found = settings({"data": data, "model": {"weights": {"path": "a.pth", "format": "auto"}}})
    assert found == {"data.batch_size": "2", "model.weights.format": '"auto"'}
    of_a_class = settings({"data": {"class_path": "gcvideo.data.VideoDataModule", "init_args": data}})
    assert "data.init_args.root" not in of_a_class
    assert of_a_class["data.init_args.batch_size"] == "2"


def test_a_module_of_ones_own_is_compared_by_its_source(tmp_path, monkeypatch):
    file = tmp_path / "module_of_ones_own.py"
    file.write_text("class Block: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__("module_of_ones_own")
    config = {"model": {"block": {"class_path": "module_of_ones_own.Block"}, "other": {"class_path": None}}}
    before = settings(config)
    assert before["source of module_of_ones_own"] == digest_of_file(file)
    file.write_text("class Block:\n    ratio = 2\n")
    assert differences({0: before, 1: settings(config)})[1][0].startswith("source of module_of_ones_own is ")
    del sys.modules["module_of_ones_own"]
