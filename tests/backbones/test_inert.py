"""Pickles that name code: their tensors are read, and nothing in them runs."""

import argparse
import builtins
import functools
import io
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from gcvideo.backbones.checkpoints import read_checkpoint
from gcvideo.backbones.checkpoints.inert import read_inert
from gcvideo.backbones.checkpoints.unpickling import KNOWN, InertUnpickler, Known

ways = pytest.mark.parametrize("how", ["zip", "legacy", "protocol 0", "protocol 2", "protocol 5"])


def written(how: str, content: object) -> bytes:
    """A file as torch writes it now and did once, or as Python pickles."""
    if how in ("zip", "legacy"):
        stream = io.BytesIO()
        torch.save(content, stream, _use_new_zipfile_serialization=how == "zip")
        return stream.getvalue()
    return pickle.dumps(content, protocol=int(how.removeprefix("protocol ")))


def load_as_pickles_are(how: str, file: bytes) -> object:
    return pickle.loads(file) if how.startswith("p") else torch.load(io.BytesIO(file), weights_only=False)


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


class Calls:
    """A pickle of it calls a function (REDUCE)."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


class Restores:
    """A pickle of it runs when its state comes back (BUILD)."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __setstate__(self, state: dict[str, Path]) -> None:
        state["trace"].touch()


class Fills(dict):
    """A pickle of it runs when its items are set (SETITEMS)."""

    def __setitem__(self, key: str, value: Path) -> None:
        value.touch()

    def __reduce__(self) -> tuple:
        return Fills, (), None, None, iter(self.items())


def hostile(trace: Path) -> dict[str, object]:
    """Objects that leave a trace when their pickles are loaded."""
    shell, python = f"touch {trace}", f"__import__('pathlib').Path({str(trace)!r}).touch()"
    nested = Calls(os.mknod, str(trace))
    rebuild = sys.modules["torch._tensor"]._rebuild_from_type_v2
    return {
        "a command": Calls(os.system, shell),
        "a process": Calls(subprocess.call, ["touch", str(trace)]),
        "a method": Calls(Path.touch, trace),
        "a partial": Calls(functools.partial(os.mknod, str(trace))),
        "exec": Calls(builtins.exec, python),
        "eval": Calls(builtins.eval, python),
        "a pickle in the pickle": Calls(pickle.loads, pickle.dumps(nested)),
        "a file in the pickle": Calls(torch.storage._load_from_bytes, written("legacy", nested)),
        "a rebuilt tensor": Calls(rebuild, os.system, Tensor, (shell,), {}),
        "a state": Restores(trace),
        "items": Fills({"item": trace}),
    }


@ways
@pytest.mark.parametrize("kind", hostile(Path()))
def test_a_file_that_would_run_code_runs_none_and_gives_its_tensors(
    how: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, trace = tmp_path / "weights.pth", tmp_path / "trace"
    state = {"weight": torch.arange(6.0).view(2, 3)}
    path.write_bytes(written(how, {"state_dict": state, "other": hostile(trace)[kind]}))
    with caplog.at_level("INFO", logger="gcvideo"):
        assert equal(read_checkpoint(path).state, state)
    assert not trace.exists()
    assert "none was loaded, its tensors were" in caplog.text
    with suppress(AttributeError):  # what a command returns is no tensor
        load_as_pickles_are(how, path.read_bytes())
    assert trace.exists()


CHANGES = {
    # Instructions that a pickler never writes: BUILD on what was found by name, NEWOBJ of a function, ...
    "an attribute of a class": b"ccollections\nOrderedDict\n(N}X\x05\x00\x00\x00itemsK\x01stb.",
    "the dictionary of a class": b"c__builtin__\nset\n}X\x03\x00\x00\x00addK\x01sb.",
    "an attribute of a dtype": b"ctorch\nfloat32\n(N}X\x04\x00\x00\x00nameK\x01stb.",
    "the state of a function": b"ctorch._utils\n_rebuild_tensor\n}X\x08\x00\x00\x00functionK\x01sb.",
    "an attribute of a function": b"ctorch._utils\n_rebuild_tensor\n(N}X\x08\x00\x00\x00functionK\x01stb.",
    "the state of a stand-in's class": b"cos\nsystem\n}X\x04\x00\x00\x00nameK\x01sb.",
    "an object of a function": b"ctorch._utils\n_rebuild_tensor\n)\x81.",
    "an extension of copyreg": b"\x82\x01.",
    "an id of no storage": b"Vtext\nQ.",
}


@pytest.mark.parametrize("change", CHANGES)
def test_no_instruction_changes_what_is_known(change: str) -> None:
    functions = {name: known.function for name, known in KNOWN.items() if isinstance(known, Known)}
    with pytest.raises((pickle.UnpicklingError, TypeError, AttributeError, ValueError)):
        InertUnpickler(io.BytesIO(CHANGES[change])).load()
    assert functions == {name: known.function for name, known in KNOWN.items() if isinstance(known, Known)}


TENSORS = {
    "transposed": torch.arange(12.0).view(3, 4).T,
    "every second": torch.arange(24.0).view(4, 6)[1:, ::2],
    "half": torch.arange(5.0).half(),
    "bfloat16": torch.arange(5.0).bfloat16(),
    "complex": torch.arange(5.0) * 1j,
    "unsigned": torch.arange(5).to(torch.uint16),
    "bool": torch.tensor([True, False]),
    "counter": torch.tensor(7),
    "empty": torch.empty(0, 3),
    "parameter": nn.Parameter(torch.ones(2)),
}


@ways
def test_tensors_of_every_kind_are_those_that_were_saved(how: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    shared = torch.arange(6.0)
    content = {**TENSORS, "shared": shared, "half of it": shared[3:]}
    path.write_bytes(written(how, {"state": content, "settings": argparse.Namespace(lr=0.1)}))
    found, unknown = read_inert(path)
    assert equal(found["state"], content)
    assert found["settings"] == {"lr": 0.1}
    assert "argparse.Namespace" in unknown


def test_no_class_is_looked_up_and_no_module_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of MMEngine's runner as it is, with a module that is not installed here."""
    engine = ModuleType("mmengine_of_elsewhere")
    exec(  # its classes know their module by its name
        "class HistoryBuffer:\n"
        "    def __init__(self, values): self._log_history, self._methods = values, {'min': self.smallest}\n"
        "    def smallest(self): return min(self._log_history)\n"
        "class MessageHub(dict): pass\n"
        "class ConfigDict(dict): pass\n",
        engine.__dict__,
    )
    monkeypatch.setitem(sys.modules, engine.__name__, engine)
    weights = resnet18(num_classes=2).state_dict()
    hub = engine.MessageHub(loss=engine.HistoryBuffer(np.arange(3.0)), step=np.float64(0.5))
    content = {
        "meta": {"epoch": 3, "cfg": "model = dict()", "dataset_meta": engine.ConfigDict(classes=("a", "b"))},
        "state_dict": weights,
        "message_hub": {"log_scalars": hub, "runtime_info": {"iter": np.int64(7)}, "seed": np.random.rand(2)},
        "optimizer": {"state": {0: {"step": np.float32(3)}}, "param_groups": [{"lr": np.float64(0.1)}]},
    }
    path = tmp_path / "epoch_3.pth"
    torch.save(content, path)
    monkeypatch.delitem(sys.modules, engine.__name__)

    def refuse(name: str, *_: object) -> None:
        raise AssertionError(f"{name} was imported")

    monkeypatch.setattr(sys, "meta_path", [type("Finder", (), {"find_spec": staticmethod(refuse)})])
    checkpoint = read_checkpoint(path)
    assert equal(checkpoint.state, dict(weights))
    assert checkpoint.record["meta"] == {
        "epoch": 3,
        "cfg": "model = dict()",
        "dataset_meta": {"classes": ("a", "b")},
    }
    assert checkpoint.record["message_hub"]["log_scalars"].keys() == {"loss", "step"}


@ways
def test_a_module_that_was_pickled_whole_gives_its_state_dict(how: str, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    module.register_buffer("passing", torch.ones(2), persistent=False)
    path = tmp_path / "model.pt"
    path.write_bytes(written(how, {"epoch": 2, "model": module}))
    checkpoint = read_checkpoint(path)
    assert equal(checkpoint.state, dict(module.state_dict()))
    assert checkpoint.wrappers == ["model"]


@pytest.mark.parametrize("how", ["zip", "legacy", "protocol 2"])
def test_a_damaged_file_is_refused_in_one_line(how: str, tmp_path: Path) -> None:
    """Or read, where a byte was lost on something else than its numbers; never another exception."""
    state = {"weight": torch.arange(64.0)}
    whole = written(how, {"state_dict": state, "settings": argparse.Namespace(lr=0.1), "module": nn.ReLU()})
    path, dice, refusals = tmp_path / "weights.pth", random.Random(0), []
    for _ in range(200):
        damaged = bytearray(whole)
        place = dice.randrange(len(damaged))
        damaged[place:] = damaged[place:] if dice.random() < 0.8 else b""
        damaged[place : place + 1] = bytes([dice.randrange(256)])
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except ValueError as refusal:
            refusals.append(str(refusal))
    assert len(refusals) > 50
    assert all(said.startswith(f"{path}: ") and "\n" not in said for said in refusals)
