"""`gcvideo export` on the checkpoint of a real run."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from gcvideo.backbones import Placement, VideoResNet
from gcvideo.backbones.checkpoints import read_checkpoint
from gcvideo.blocks import (
    GlobalContextBlock,
    NonLocalBlock,
    SimplifiedNonLocalBlock,
    SqueezeExcitationBlock,
)
from gcvideo.cli import export, main
from gcvideo.cli.predict import load
from tests.data.annotated import write_dataset
from tests.parity.weights import with_every_layer_mattering

CONFIGS = Path(__file__).parents[2] / "configs"
VIEWS = "{num_clips: 1, num_crops: 1, short_side: 32, crop_size: 32}"

BLOCKS = {
    "non-local": NonLocalBlock,
    "non-local by concatenation": partial(NonLocalBlock, instantiation="concat", subsampling="none"),
    "simplified non-local": SimplifiedNonLocalBlock,
    "global context": GlobalContextBlock,
    "squeeze-excitation": partial(SqueezeExcitationBlock, reduction_ratio=4),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """Of a run of one step, its network then given weights in which every layer matters."""
    folder = tmp_path_factory.mktemp("export")
    root = write_dataset(folder / "data", train=2, val=2, test=1)
    files = ("base", "data/folder", "model/slow_r50", "block/gc5")
    main(
        [
            "fit",
            *(f"--config={CONFIGS / file}.yaml" for file in files),
            *("--data.root", str(root), "--run_dir", str(folder / "run")),
            *("--data.clip", "{num_frames: 2, stride: 2}"),
            *("--data.train_transform.init_args.crop_size", "32"),
            *("--data.train_transform.init_args.min_short_side", "32"),
            *("--data.train_transform.init_args.max_short_side", "40"),
            *("--data.val_views", VIEWS, "--data.test_views", VIEWS),
            *("--data.batch_size", "2", "--data.num_workers", "0"),
            *("--model.network.init_args.width", "0.0625"),
            *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
            *("--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "1"),
        ]
    )
    path = folder / "run" / "checkpoints" / "last.ckpt"
    model, _ = load(path, device="cpu")
    mattering(model.network)
    content = torch.load(path, weights_only=True)
    torch.save(content | {"state_dict": model.state_dict()}, path)
    return path


def mattering(network: nn.Module) -> nn.Module:
    """Blocks that do not start as the identity as well, and logits that differ."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.3)
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return with_every_layer_mattering(network)


@pytest.mark.slow
@pytest.mark.parametrize("folded", [False, True])
def test_every_file_gives_the_networks_logits_for_any_number_of_clips(checkpoint, tmp_path, capsys, folded):
    arguments = ["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path)]
    main([*arguments, *(["--fold_batch_norms"] if folded else [])])
    said = capsys.readouterr().out
    description = json.loads((tmp_path / "export.json").read_text())
    assert description["opset"] == 20
    assert description["output"]["classes"] == ["one", "two", "three"]
    for file in ("model.onnx", "model.pt2", "model.safetensors"):
        assert file in said
        assert description["relative_differences"][file] < 1e-4
    names = read_checkpoint(tmp_path / "model.safetensors").state
    assert any("norm_a" in name for name in names) != folded

    model, _ = load(checkpoint, device="cpu")
    clips = torch.randn(3, *description["input"]["shape"][1:])
    with torch.inference_mode():
        expected = model.network(clips).numpy()
    assert expected.std() > 0.1
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {"clips": clips.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    program = torch.export.load(tmp_path / "model.pt2").module()
    np.testing.assert_allclose(program(clips).detach().numpy(), expected, rtol=1e-3, atol=1e-4)


def test_a_file_that_differs_is_deleted_and_the_exit_code_is_1(checkpoint, tmp_path, capsys, monkeypatch):
    def writes_other_weights(network, clips, path, opset):
        state = {key: 1.1 * tensor.float() for key, tensor in network.state_dict().items()}
        export.write_state(path, state)

    broken = export.EXPORTS["state"]._replace(write=writes_other_weights)
    monkeypatch.setitem(export.EXPORTS, "state", broken)
    command = ["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path), "--kinds", "[state]"]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    assert stopped.value.code == 1
    assert "model.safetensors differs from the network by" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()


def test_the_videos_to_check_on_can_be_named(checkpoint, tmp_path, capsys):
    root = checkpoint.parents[2] / "data"
    command = ["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path), "--kinds", "[state]"]
    main([*command, "--videos", f"[{root / '00.mp4'}]"])
    assert "2 clips of [3, 2, 32, 32]" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        main([*command, "--videos", "[missing.mp4]"])
    assert "missing.mp4: no such file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", [*BLOCKS, "bare"])
def test_every_kind_of_block_exports_and_folds(name, tmp_path):
    block = BLOCKS.get(name)
    placement = None if block is None else Placement(res3=[1], position="after_add")
    network = mattering(VideoResNet(4, width=0.0625, block=block, placement=placement))
    clips = torch.randn(3, 3, 2, 32, 32)
    with torch.inference_mode():
        expected = network(clips)
    folded, _ = export.fold_batch_norms(network)
    for kind, written in export.EXPORTS.items():
        path = tmp_path / written.file
        written.write(folded, clips[:2], path, 18)
        found = written.read(folded, path)
        for batch in (clips, clips[:1]):
            assert export.difference(found(batch), expected[: len(batch)]) < 1e-4, kind


def test_a_checkpoint_alone_is_enough(checkpoint, tmp_path, caplog):
    """Neither lists nor videos are at hand; the class names are the checkpoint's."""
    moved = tmp_path / "last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["datamodule_hyper_parameters"]["root"] = str(tmp_path / "gone")
    torch.save(content, moved)
    out = tmp_path / "out"
    main(["export", "--checkpoint", str(moved), "--out", str(out), "--kinds", "[state]"])
    assert "val.csv is not here: checked on noise" in caplog.text
    described = json.loads((out / "export.json").read_text())
    assert described["output"]["classes"] == ["one", "two", "three"]
    assert described["relative_differences"]["model.safetensors"] <= 1e-4
