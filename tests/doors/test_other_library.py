"""Networks of other libraries, by class_path: transformers of torchvision's, ours and behind an adapter."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn
from torchvision.models import get_model

from gcvideo.backbones import MViT, Swin3D
from gcvideo.backbones.checkpoints import Weights, load_weights
from gcvideo.backbones.layout import to_channels_last
from gcvideo.cli import main
from gcvideo.run_folder import RunFolder
from gcvideo.training.finetuning import scaled_by_depth
from tests.data.annotated import write_dataset
from tests.doors.adapters import TinySwin
from tests.doors.runs import small_run

MVIT = [
    *("--model.network", "gcvideo.backbones.MViT", "--model.network.init_args.width", "16"),
    *("--model.network.init_args.depths", "[1, 1, 1, 1]"),
    *("--model.network.init_args.num_frames", "4", "--model.network.init_args.crop_size", "32"),
]
ADAPTED = ["--model.network", "tests.doors.adapters.TinySwin"]
CALLBACKS = [
    {"class_path": "gcvideo.training.FreezeStages", "init_args": {"stages": ["stem"]}},
    {"class_path": "gcvideo.training.ActivationCheckpointing", "init_args": {"stages": ["last"]}},
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=4, val=2, test=2)


@pytest.mark.parametrize(
    ("network", "last"),
    [pytest.param(MVIT, "block3", marks=pytest.mark.slow), (ADAPTED, "second")],
    ids=["mvit", "adapted"],
)
def test_every_command_takes_it_or_says_why_not(root, tmp_path, caplog, capsys, refused, network, last):
    callbacks = str(CALLBACKS).replace("last", last)
    run = [*small_run(root, tmp_path), *network, f"--trainer.callbacks={callbacks}"]
    with caplog.at_level("INFO", logger="gcvideo"):
        main(["fit", *run, "--model.layer_decay", "0.5"])
    assert "stem frozen" in caplog.text
    folder, trusted = RunFolder(tmp_path), ["--trust", "tests"]
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    main(["test", "--config", str(folder.config), "--ckpt_path", str(checkpoint)])
    assert len(pd.read_csv(folder.predictions)) == 2
    of_checkpoint = ["--checkpoint", str(checkpoint), *trusted]
    main(["predict", str(root / "test.csv"), *of_checkpoint, "--out", str(tmp_path / "predicted")])
    assert len(pd.read_csv(tmp_path / "predicted" / "predictions.csv")) == 2
    main(["report", str(tmp_path), *trusted])
    assert (tmp_path / "report.html").exists()
    main(["complexity", "--config", str(folder.config), "--out", str(tmp_path / "cost")])
    assert pd.read_csv(tmp_path / "cost" / "complexity.csv")["GFLOPs_per_view"][0] > 0

    # Attention and Grad-CAM have nothing to look at.
    attention = ["attention", *of_checkpoint, "--out", str(tmp_path / "attention")]
    assert "has no context blocks, so no attention to look at" in refused(attention)
    assert f"Grad-CAM of '{last}': " in (said := refused([*attention, "--gradcam", last]))
    assert "passes no feature maps" in said


def test_a_clip_that_it_was_not_made_for_is_refused_before_the_first_step(root, tmp_path, refused):
    said = refused(["fit", *small_run(root, tmp_path), *MVIT, "--data.clip.num_frames", "8"])
    assert "MViT was made for clips of 4 x 32 x 32 and is given 8 x 32 x 32; set its num_frames" in said
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()


def test_a_function_that_makes_networks_is_refused_with_what_would_do(root, tmp_path, refused):
    said = refused(
        ["fit", *small_run(root, tmp_path), "--model.network", "torchvision.models.video.mvit_v2_s"]
    )
    assert "model.network mvit_v2_s takes no number of classes as its first argument" in said
    assert "name a class whose first argument it is, as gcvideo.backbones.MViT, or an adapter" in said


def test_learning_rates_of_a_transformer_fall_block_by_block():
    """PySlowFast: lr * decay^(L + 1 - i), i = 0 for the embedding, n + 1 for block n, L + 1 for the rest."""
    networks = MViT(2, width=16, depths=(1, 2, 1, 1)), Swin3D(2, width=32, depths=(2, 1, 1, 1))
    for network in networks:
        groups = [{"params": list(network.named_parameters())}]
        rates = {
            name: group["lr"]
            for group in scaled_by_depth(groups, network, peak=1.0, layer_decay=0.5)
            for name, _ in group["params"]
        }
        assert {rates[name] for name in rates if "head" in name or name.startswith("net.norm")} == {1.0}
        assert sorted(set(rates.values())) == [0.5**n for n in range(6, -1, -1)]
        if isinstance(network, MViT):
            for name, rate in rates.items():
                of_block = name.split(".")[2] if name.startswith("net.blocks.") else None
                if of_block is not None:
                    assert rate == 0.5 ** (5 - int(of_block)), name


def test_fine_tuning_from_torchvisions_weights_keeps_all_but_the_head(root, tmp_path, caplog):
    torch.manual_seed(0)
    path = tmp_path / "mc3_18-a90a0ba3.pth"
    torch.save(get_model("mc3_18", num_classes=400).state_dict(), path)
    command = small_run(root, tmp_path / "run", "model/mc3_18", "finetune/new_classes")
    with caplog.at_level("INFO", logger="gcvideo"):
        main(["fit", *command, "--model.weights.path", str(path)])
    assert "(torchvision naming, MC3-18, 400 classes)" in caplog.text
    assert "2 (head) start fresh" in caplog.text
    assert "MC3-18), if it is what is published, was trained with mean 0.432, 0.395, 0.376" in caplog.text


def test_weights_of_three_axes_of_space_and_time_alone_are_laid_out_channels_last():
    network = nn.ModuleDict({"image": nn.Conv2d(3, 4, 3), "clip": nn.Conv3d(3, 4, 3)})
    kept = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    to_channels_last(network)
    clip = nn.Conv3d(3, 4, 3).to(memory_format=torch.channels_last_3d)
    assert network["clip"].weight.stride() == clip.weight.stride()
    assert network["image"].weight.is_contiguous()
    assert all(torch.equal(tensor, kept[key]) for key, tensor in network.state_dict().items())


def test_the_adapter_loads_the_librarys_own_file(tmp_path):
    library = TinySwin(400).net
    torch.save(library.state_dict(), tmp_path / "swin.pth")
    network = TinySwin(3)
    load_weights(network, Weights(tmp_path / "swin.pth", new=["head"]))
    kept = {key: tensor for key, tensor in library.state_dict().items() if not key.startswith("head.")}
    assert all(torch.equal(network.state_dict()[f"net.{key}"], tensor) for key, tensor in kept.items())
