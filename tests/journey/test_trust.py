"""A checkpoint has no module imported that its user has not named."""

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from gcvideo.cli import main
from tests.journey.trained import train

MODULE = """
from pathlib import Path

from gcvideo.blocks import GlobalContextBlock
from torch import nn

Path({trace!r}).touch()


class OwnBlock(GlobalContextBlock):
    def __init__(self, channels: int, norm=None) -> None:  # of no type, as untidy blocks are
        super().__init__(channels)
        self.norm = norm if norm is not None else nn.Identity()
        assert isinstance(self.norm, nn.Module)
"""
OURS = {"class_path": "gcvideo.blocks.GlobalContextBlock"}
OF_OWN = {"class_path": "own_blocks.OwnBlock"}
REFUSED = (
    "names own_blocks.OwnBlock, whose module is not trusted in {}; --trust own_blocks lets it be imported"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One with own_blocks.py, which leaves a trace wherever it is imported."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_blocks.py").write_text(MODULE.format(trace=str(folder / "trace")))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The checkpoint of a run whose config names a block of the user's own; it needs no trust."""
    own = "{class_path: own_blocks.OwnBlock, init_args: {norm: {class_path: torch.nn.Identity}}}"
    return train(folder, "--model.network.init_args.block", own).with_name("best.ckpt")


@pytest.fixture
def imported(folder: Path) -> Callable[[], bool]:
    """Tells whether the module has been imported since the test began."""
    sys.modules.pop("own_blocks", None)
    (folder / "trace").unlink(missing_ok=True)
    return (folder / "trace").exists


def commands(checkpoint: Path, out: Path) -> list[list[str]]:
    """Every command that makes what a checkpoint names."""
    named = ["--checkpoint", str(checkpoint)]
    videos = str(checkpoint.parents[2] / "data" / "test.csv")
    return [
        ["predict", videos, *named, "--out", str(out / "predictions"), "--num_workers", "0"],
        ["features", videos, *named, "--out", str(out / "features.npz"), "--num_workers", "0"],
        ["attention", *named, "--out", str(out / "attention"), "--maps", "0"],
        ["export", *named, "--out", str(out / "export"), "--kinds", "[state]"],
        ["report", str(checkpoint.parents[1]), "--out", str(out / "report.html"), "--cost", "false"],
        ["test", "--ckpt_path", str(checkpoint)],
    ]


@pytest.mark.parametrize("number", range(6))
def test_a_module_of_ones_own_is_imported_by_no_command(
    number: int,
    trained: Path,
    imported: Callable[[], bool],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(commands(trained, tmp_path)[number])
    assert REFUSED.format(trained) in capsys.readouterr().err.splitlines()[-1]
    assert not imported()


def test_but_for_those_that_are_told_to_trust_it(
    trained: Path, imported: Callable[[], bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict, *_, test = commands(trained, tmp_path)
    main([*predict, "--trust", "another", "--trust=own_blocks"])
    assert imported()
    monkeypatch.setenv("GCVIDEO_TRUST", "another,own_blocks")
    main(test)
    assert (trained.parents[1] / "test_metrics.json").is_file()


def test_a_config_file_of_ones_own_names_what_it_likes(trained: Path, imported: Callable[[], bool]) -> None:
    main(["validate", "--config", str(trained.parents[1] / "config.yaml"), "--ckpt_path", str(trained)])
    assert imported()


def network(checkpoint: dict[str, Any], value: Any) -> None:
    checkpoint["hyper_parameters"]["network"] = value
    checkpoint["config"]["model"]["network"] = value


def in_file(checkpoint: dict[str, Any], folder: Path) -> None:
    (folder / "network.yaml").write_text("class_path: own_blocks.OwnBlock\n")
    network(checkpoint, str(folder / "network.yaml"))


HOSTILE: dict[str, Callable[[dict[str, Any], Path], Any]] = {
    "network": lambda content, _: network(content, OF_OWN),
    "in short": lambda content, _: network(content, "own_blocks.OwnBlock"),
    "by another file": in_file,
    "transform": lambda content, _: content["datamodule_hyper_parameters"].update(train_transform=OF_OWN),
    "classifier": lambda content, _: content["hyper_parameters"].update(_class_path="own_blocks.OwnBlock"),
    "maker": lambda content, _: content["hyper_parameters"].update(_instantiator="own_blocks.OwnBlock"),
}


@pytest.mark.parametrize("place", HOSTILE)
def test_no_place_in_a_checkpoint_imports_a_module(
    place: str,
    trained: Path,
    imported: Callable[[], bool],
    tmp_path: Path,
    refused: Callable[[list[str]], str],
) -> None:
    content = deepcopy(torch.load(trained, weights_only=True))
    content["hyper_parameters"]["network"]["init_args"]["block"] = OURS
    HOSTILE[place](content, tmp_path)
    hostile = tmp_path / "hostile.ckpt"
    torch.save(content, hostile)
    videos = str(trained.parents[2] / "data")
    line = refused(["predict", videos, "--checkpoint", str(hostile), "--out", str(tmp_path / "out")])
    assert str(hostile) in line
    assert not imported()


@pytest.mark.parametrize(
    "callback",
    [
        OF_OWN,
        {
            "class_path": "lightning.pytorch.callbacks.LambdaCallback",
            "init_args": {"on_test_start": "own_blocks.OwnBlock"},
        },
        {
            "class_path": "lightning.pytorch.callbacks.LambdaCallback",
            "init_args": {"on_test_start": "torch.hub.load"},
        },
        {
            "class_path": "torch.distributed.elastic.multiprocessing.subprocess_handler.SubprocessHandler",
            "init_args": {"entrypoint": "true", "args": []},
        },
    ],
)
def test_nor_does_the_configuration_that_it_carries(
    callback: dict[str, Any],
    trained: Path,
    imported: Callable[[], bool],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = torch.load(trained, weights_only=True)
    content["config"]["model"]["network"]["init_args"]["block"] = OURS
    content["config"]["trainer"]["callbacks"] = [callback]
    content["config"]["run_dir"] = str(tmp_path / "elsewhere")
    hostile = tmp_path / "hostile.ckpt"
    torch.save(content, hostile)
    with pytest.raises(SystemExit) as stopped:
        main(["test", "--ckpt_path", str(hostile)])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"whose module is not trusted in {hostile}" in line
    assert not imported()
    assert not (tmp_path / "elsewhere").exists()


def test_what_starts_programs_is_named_by_no_config(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "trainer:\n  callbacks:\n  - class_path: subprocess.Popen\n    init_args: {args: [true]}\n"
    )
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(config), "--data.root", str(tmp_path)])
    assert (
        f"{config}:2: trainer.callbacks names subprocess.Popen, whose module is not trusted"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("module", ["own-blocks", "own_blocks.py/", "", "jsonargparse.typing"])
def test_a_module_to_trust_has_a_modules_name(module: str, refused: Callable[[list[str]], str]) -> None:
    assert f"trust names {module!r}; expected a module" in refused(["report", "runs/a", "--trust", module])
