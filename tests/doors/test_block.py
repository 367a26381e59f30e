"""A fifth context block, in a module of the user's own, is a block in every command."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.doors.runs import small_run

NETWORK = "model.network.init_args"


def blocks(name: str, *, position: str = "after_add") -> list[str]:
    return [
        *(f"--{NETWORK}.width", "0.0625"),
        *(f"--{NETWORK}.block", f"tests.doors.blocks.{name}"),
        *(f"--{NETWORK}.placement", f"{{res3: [1], res4: [0, 2], position: {position}}}"),
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=4, val=2, test=2)


@pytest.fixture(scope="module")
def bare(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a trained network without blocks."""
    folder = tmp_path_factory.mktemp("bare")
    main(["fit", *small_run(root, folder, "model/slow_r50"), f"--{NETWORK}.width", "0.0625"])
    return folder / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def trained(root: Path, bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that added blocks to it."""
    folder = tmp_path_factory.mktemp("mean")
    arguments = [*small_run(root, folder, "model/slow_r50", "finetune/add_blocks"), *blocks("MeanContext")]
    main(["fit", *arguments, "--trainer.max_epochs", "1", "--model.weights.path", str(bare)])
    return folder


def test_it_is_added_to_a_trained_network_by_its_place(root, bare, tmp_path, caplog):
    run = [*small_run(root, tmp_path, "model/slow_r50", "finetune/add_blocks"), *blocks("Gate")]
    with caplog.at_level("INFO", logger="gcvideo"):
        main(["validate", *run, "--model.weights.path", str(bare)])
    assert "3 context blocks (Gate) after_add: res3.1, res4.0, res4.2" in caplog.text
    assert (
        "into a network of pytorchvideo naming, slow R50 at width 0.0625, 3 classes, 3 Gate blocks (res3.1, "
        in (caplog.text)
    )
    assert "9 (blocks) start fresh; 0 of the file left behind" in caplog.text


def test_every_command_knows_it(trained, tmp_path, capsys):
    checkpoint = str(trained / "checkpoints" / "last.ckpt")
    main(["test", "--config", str(trained / "config.yaml"), "--ckpt_path", checkpoint])
    assert (trained / "predictions.csv").is_file()

    capsys.readouterr()
    main(["weights", "inspect", checkpoint])
    said = capsys.readouterr().out
    assert "3 MeanContext blocks (res3.1, res4.0, res4.2)" in said
    assert "no name here" not in said

    converted = tmp_path / "converted.safetensors"
    main(["weights", "convert", checkpoint, str(converted)])
    capsys.readouterr()
    main(["weights", "inspect", str(converted)])
    assert "3 MeanContext blocks (res3.1, res4.0, res4.2)" in capsys.readouterr().out

    main(
        [
            "attention",
            "--checkpoint",
            checkpoint,
            "--trust",
            "tests",
            "--maps",
            "0",
            "--out",
            str(tmp_path / "attention"),
        ]
    )
    table = pd.read_csv(tmp_path / "attention" / "distances.csv")
    assert list(table["block"].unique()) == ["res3.1", "res4.0", "res4.2"]
    assert set(table["context"]) == {"average pooling"}


def test_a_context_of_ones_own_has_distances_and_maps(root, trained, tmp_path):
    config = [*small_run(root, tmp_path, "model/slow_r50"), *blocks("LargestContext")]
    files = [argument for argument in config if argument.startswith("--config=")]
    overrides = [*config[config.index("--data.root") :]]
    kept = [
        argument
        for key, value in zip(overrides[::2], overrides[1::2], strict=True)
        for argument in (key, value)
        if key.startswith(("--data.", "--model."))
    ]
    main(["attention", *files, *kept, "--maps", "1", "--num_videos", "1", "--out", str(tmp_path / "maps")])
    assert set(pd.read_csv(tmp_path / "maps" / "distances.csv")["context"]) == {"Largest"}
    assert len(list((tmp_path / "maps").glob("map_*_res*.png"))) == 3


def test_what_its_tensors_do_not_show_is_refused_by_name(
    root, trained, tmp_path, refused: Callable[[Sequence[str]], str]
):
    checkpoint = trained / "checkpoints" / "last.ckpt"
    run = [*small_run(root, tmp_path, "model/slow_r50"), "--model.weights.path", str(checkpoint)]
    said = refused(["validate", *run, *blocks("LargestContext")])
    assert "res3.1 is a LargestContext, but" in said
    assert "was trained with tests.doors.blocks.MeanContext; set block.class_path to that" in said
    said = refused(
        ["weights", "convert", str(checkpoint), str(tmp_path / "there.pyth"), "--to", "pyslowfast"]
    )
    assert "it has MeanContext blocks, and PySlowFast has none" in said


def test_any_module_can_be_placed_and_attention_is_refused_by_name(root, tmp_path, refused):
    run = small_run(root, tmp_path, "model/slow_r50")
    main(["fit", *run, *blocks("Gate", position="after_1x1x1")])
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert saved["network.blocks.2.res_blocks.1.context.conv.weight"].shape == (1, 32, 1, 1, 1)
    checkpoint = str(tmp_path / "checkpoints" / "last.ckpt")
    said = refused(["attention", "--checkpoint", checkpoint, "--trust", "tests"])
    assert "res3.1 is a Gate, whose attention cannot be looked at; make it a ContextBlock" in said
