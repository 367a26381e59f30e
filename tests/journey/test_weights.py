"""Weights from elsewhere through the real commands."""

import argparse
import shutil
from pathlib import Path

import pytest
import timm
import torch
import yaml
from torchvision.models import resnet50

from gcvideo.backbones import VideoResNet
from gcvideo.backbones.checkpoints import Weights, read_checkpoint
from gcvideo.cli import main
from gcvideo.cli.pretrained import warn_of_other_input
from gcvideo.data import VideoDataModule
from gcvideo.data.sampling import ClipFrames
from gcvideo.training import VideoClassifier
from tests.data.annotated import write_dataset
from tests.parity.foreign import SlowFastSlow

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=4, val=2, test=2)


@pytest.fixture(scope="module")
def pyslowfast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow Slow-only network of 400 classes as PySlowFast saves it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "SLOW_4x16_R50.pyth"
    torch.save({"epoch": 195, "model_state": SlowFastSlow(400, 4, {}).state_dict()}, path)
    return path


def stack(dataset: Path, run_dir: Path, *files: str) -> list[str]:
    """A run of two steps on clips of two frames of 32 x 32."""
    views = "{num_clips: 1, num_crops: 1, short_side: 32, crop_size: 32}"
    return [
        *(f"--config={CONFIGS / file}.yaml" for file in ("base", "data/folder", "model/slow_r50", *files)),
        *("--data.root", str(dataset), "--run_dir", str(run_dir)),
        *("--data.clip", "{num_frames: 2, stride: 2}"),
        *("--data.train_transform.init_args.crop_size", "32"),
        *("--data.train_transform.init_args.min_short_side", "32"),
        *("--data.train_transform.init_args.max_short_side", "40"),
        *("--data.val_views", views, "--data.test_views", views),
        *("--data.batch_size", "2", "--data.num_workers", "0"),
        *("--model.network.init_args.width", "0.0625"),
        *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
        *("--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "1"),
    ]


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # Lightning, of a resumed run elsewhere
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize("recipe", ["new_classes", "frozen_stages"])
def test_fine_tuning_starts_from_a_foreign_file_that_its_checkpoint_needs_no_more(
    recipe, dataset, pyslowfast, tmp_path, caplog
):
    gone = Path(shutil.copy(pyslowfast, tmp_path))
    command = stack(dataset, tmp_path / "run", f"finetune/{recipe}")
    with caplog.at_level("INFO", logger="gcvideo"):
        main(["fit", *command, "--model.weights.path", str(gone)])
    assert "PySlowFast naming, slow R50 at width 0.0625, 400 classes, clips of 4 x 16" in caplog.text
    assert "2 (head) start fresh" in caplog.text
    assert f"{gone} was trained with clips of 4 frames at stride 16, and data.clip has 2" in caplog.text
    gone.unlink()
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    model = VideoClassifier.load_from_checkpoint(checkpoint, weights_only=True)
    frozen = recipe == "frozen_stages"
    stem = torch.load(pyslowfast, weights_only=True)["model_state"]["s1.pathway0_stem.conv.weight"]
    assert torch.equal(model.network.blocks[0].conv.weight, stem) == frozen
    main(["test", "--config", str(tmp_path / "run" / "config.yaml"), "--ckpt_path", str(checkpoint)])
    resumed = ["fit", *command, "--model.weights.path", str(gone), "--ckpt_path", str(checkpoint)]
    main([*resumed, "--trainer.max_epochs", "2"])


@pytest.mark.slow
def test_blocks_are_added_to_a_network_that_was_trained_without(dataset, tmp_path, caplog):
    torch.manual_seed(0)
    torch.save(VideoResNet(3, width=0.0625).state_dict(), tmp_path / "slow.pth")
    command = stack(dataset, tmp_path / "run", "block/nl5", "finetune/add_blocks")
    with caplog.at_level("INFO", logger="gcvideo"):
        main(["fit", *command, "--model.weights.path", str(tmp_path / "slow.pth")])
    assert "65 (blocks) start fresh; 0 of the file left behind" in caplog.text


@pytest.mark.parametrize(
    ("clip", "mean", "said"),
    [
        ((4, 16), 0.45, None),
        ((8, 8), 0.45, "clips of 4 frames at stride 16, and data.clip has 8 at stride 8"),
        ((4, 16), 0.5, "mean 0.45, 0.45, 0.45, and data.mean is 0.5, 0.5, 0.5"),
    ],
)
def test_clips_other_than_those_of_training_are_warned_of(clip, mean, said, pyslowfast, tmp_path, caplog):
    path = tmp_path / "slow.pyth"
    config = {"DATA": {"NUM_FRAMES": 4, "SAMPLING_RATE": 16, "MEAN": [0.45] * 3, "STD": [0.225] * 3}}
    torch.save(torch.load(pyslowfast, weights_only=True) | {"cfg": yaml.safe_dump(config)}, path)
    data = VideoDataModule(tmp_path, clip=ClipFrames(*clip), mean=(mean,) * 3)
    warn_of_other_input(Weights(path), data)
    torch.save(torch.load(path, weights_only=True) | {"cfg": "DATA: {NUM_FRAMES: 4}"}, tmp_path / "half.pyth")
    warn_of_other_input(Weights(tmp_path / "half.pyth"), data)
    assert caplog.messages == ([f"{path} was trained with {said}"] if said else [])


def test_weights_that_do_not_fit_stop_the_run_with_a_list(dataset, pyslowfast, tmp_path, complaint):
    command = ["fit", *stack(dataset, tmp_path / "run"), "--model.weights.path", str(pyslowfast)]
    said = complaint(command).splitlines()
    assert any(line.startswith("gcvideo fit: ") and "weights.new: [head]" in line for line in said)
    assert "  of another shape: blocks.5.proj.bias: the file has [400], the network [3]" in said


def test_inspect_says_what_a_file_holds_and_convert_writes_it_under_other_names(pyslowfast, tmp_path, capsys):
    main(["weights", "inspect", str(pyslowfast), "--tensors"])
    said = capsys.readouterr().out
    assert "PySlowFast naming, slow R50 at width 0.0625, 400 classes, clips of 4 x 16" in said
    assert "s2.pathway0_res0.branch2.a.weight -> res2.0.branch2.conv_a.weight [4, 4, 1, 1, 1]" in said
    ours, back = tmp_path / "ours.safetensors", tmp_path / "back.pyth"
    main(["weights", "convert", str(pyslowfast), str(ours)])
    VideoResNet(400, width=0.0625).load_state_dict(read_checkpoint(ours).state, strict=True)
    main(["weights", "convert", str(ours), str(back), "--to", "pyslowfast"])
    first, second = read_checkpoint(pyslowfast).state, read_checkpoint(back).state
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_convert_inflates_images_and_refuses_what_has_no_name(pyslowfast, tmp_path, complaint):
    images, out = tmp_path / "resnet50.pth", tmp_path / "out.safetensors"
    torch.save(resnet50(num_classes=4).state_dict(), images)
    assert "--architecture slow, i3d or c2d" in complaint(["weights", "convert", str(images), str(out)])
    main(["weights", "convert", str(images), str(out), "--architecture", "i3d"])
    VideoResNet(4, architecture="i3d").load_state_dict(read_checkpoint(out).state, strict=True)
    command = ["weights", "convert", str(pyslowfast), str(out), "--to", "torchvision"]
    assert "architecture slow, and torchvision / timm has c2d_nopool or c2d only" in complaint(command)
    assert "no such file" in complaint(["weights", "inspect", str(tmp_path / "missing.pth")])
    complaint(["weights", "explain"], code=2)


def test_squeeze_and_excitation_of_timm_is_converted_there_and_back(tmp_path, complaint):
    theirs, ours, back = tmp_path / "model_best.pth.tar", tmp_path / "ours.safetensors", tmp_path / "back.pth"
    network = timm.create_model("seresnet50", num_classes=3)
    torch.save({"state_dict": network.state_dict(), "args": argparse.Namespace(lr=0.1)}, theirs)
    main(["weights", "convert", str(theirs), str(ours), "--architecture", "c2d_nopool"])
    main(["weights", "convert", str(ours), str(back), "--to", "torchvision"])
    network.load_state_dict(torch.load(back, weights_only=True), strict=True)
    first, second = read_checkpoint(theirs).state, read_checkpoint(back).state
    assert all(torch.equal(first[key], second[key]) for key in first)
    said = complaint(["weights", "convert", str(ours), str(back), "--to", "mmdetection"])
    assert "it has squeeze-excitation blocks, and mmdetection has none" in said
