"""A network family of the user's own, in a module of theirs, is known by what it shows."""

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gcvideo.backbones import Placement, place
from gcvideo.cli import main
from gcvideo.training.finetuning import scaled_by_depth
from tests.data.annotated import write_dataset
from tests.doors.blocks import MeanContext
from tests.doors.networks import Tiny
from tests.doors.runs import small_run

TINY = ["--model.network", "tests.doors.networks.Tiny"]
PLACED = [
    *("--model.network.init_args.block", "tests.doors.blocks.MeanContext"),
    *("--model.network.init_args.placement", "{res2: [1], res3: [0]}"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), train=4, val=2, test=2)


@pytest.fixture(scope="module")
def bare(root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bare")
    main(["fit", *small_run(root, folder), *TINY])
    return folder / "checkpoints" / "last.ckpt"


def test_every_command_knows_its_stages_blocks_and_features(root, bare, tmp_path, caplog, capsys):
    callbacks = [
        {"class_path": "gcvideo.training.ActivationCheckpointing", "init_args": {"stages": ["stem", "res3"]}},
        {"class_path": "gcvideo.training.FreezeStages", "init_args": {"stages": ["stem", "res2"]}},
        {"class_path": "gcvideo.training.PreciseBatchNorm", "init_args": {"num_batches": 1}},
    ]
    run = [*small_run(root, tmp_path), *TINY, *PLACED, f"--trainer.callbacks={callbacks}"]
    new = f"--model.weights={{path: {bare}, new: [blocks]}}"
    with caplog.at_level("INFO", logger="gcvideo"):
        main(["fit", *run, new, "--model.layer_decay", "0.5"])
    assert "2 context blocks (MeanContext) after_add: res2.1, res3.0" in caplog.text
    assert "stem, res2 frozen" in caplog.text
    assert "4 (blocks) start fresh" in caplog.text

    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    old, trained = (torch.load(path, weights_only=True)["state_dict"] for path in (bare, checkpoint))
    kept = {key for key in old if torch.equal(old[key], trained[key])}
    frozen = {key for key in old if key.startswith(("network.stages.stem", "network.stages.res2"))}
    assert {key for key in frozen if key.endswith((".weight", ".bias"))} <= kept
    assert "network.stages.res3.0.conv.weight" not in kept

    capsys.readouterr()
    main(["weights", "inspect", str(checkpoint)])
    said = capsys.readouterr().out
    assert "tests.doors.networks.Tiny, 2 MeanContext blocks (stages.res2.1, stages.res3.0)" in said

    of_checkpoint = ["--checkpoint", str(checkpoint), "--trust", "tests", "--out"]
    out, features = tmp_path / "attention", tmp_path / "features.npz"
    main(["attention", *of_checkpoint, str(out), "--maps", "1", "--gradcam", "res3"])
    assert list(pd.read_csv(out / "distances.csv")["block"].unique()) == ["res2.1", "res3.0"]
    assert len(list(out.glob("gradcam_*_res3.png"))) == 1
    main(["features", str(root / "test.csv"), *of_checkpoint, str(features)])
    assert np.load(features)["features"].shape == (2, 8)


def test_keys_and_logits_stay_where_a_block_is_placed():
    torch.manual_seed(0)
    bare = Tiny(3).eval()
    placed = copy.deepcopy(bare)
    assert place(MeanContext, placed.stages, Placement(res3="all")) == ["res3.0", "res3.1"]
    added = placed.state_dict().keys() - bare.state_dict().keys()
    assert bare.state_dict().keys() <= placed.state_dict().keys()
    assert {key.partition(".context.")[0] for key in added} == {"stages.res3.0", "stages.res3.1"}
    clip = torch.randn(1, 3, 4, 32, 32)
    assert torch.equal(placed(clip), bare(clip))
    torch.nn.init.ones_(placed.get_parameter("stages.res3.1.context.transform.weight"))
    assert not torch.equal(placed(clip), bare(clip))


def test_learning_rates_fall_by_the_stages_that_it_shows():
    network = Tiny(3)
    groups = [{"params": list(network.named_parameters())}]
    rates = {
        name: group["lr"]
        for group in scaled_by_depth(groups, network, peak=1.0, layer_decay=0.5)
        for name, _ in group["params"]
    }
    expected = {"head": 1.0, "stages.res3": 0.5, "stages.res2": 0.25, "stages.stem": 0.125}
    for name, rate in rates.items():
        assert rate == next(value for start, value in expected.items() if name.startswith(start)), name


@pytest.mark.parametrize(
    ("placement", "said"),
    [
        (
            Placement(res4=[0]),
            "placement.res4 names a stage that is not there; .* stem, res2, res3",
        ),
        (
            Placement(res2=[0], position="after_1x1x1"),
            "res2.0 is a Residual, and only pytorchvideo's ResBlock and torchvision's BasicBlock have a",
        ),
    ],
)
def test_a_placement_that_it_cannot_have_is_refused(placement, said):
    with pytest.raises(ValueError, match=said):
        place(MeanContext, Tiny(3).stages, placement)


def test_a_residual_block_that_hides_its_channels_is_refused():
    network = Tiny(3)
    del network.stages["res2"][1].out_channels
    with pytest.raises(ValueError, match=r"res2.1 is a Residual, .*; give it an attribute out_channels"):
        place(MeanContext, network.stages, Placement(res2=[1]))


def test_what_a_network_does_not_show_is_named(root, tmp_path, refused):
    other = ["--model.network", "tests.training.networks.TwoLayers"]
    run = [*small_run(root, tmp_path), *other]
    callback = {"class_path": "gcvideo.training.FreezeStages", "init_args": {"stages": ["stem"]}}
    said = refused(["fit", *run, f"--trainer.callbacks=[{callback}]"])
    assert "FreezeStages takes a network by its stages, and TwoLayers does not show them" in said
    callback = {"class_path": "gcvideo.training.FreezeStages", "init_args": {"stages": ["res9"]}}
    said = refused(["fit", *small_run(root, tmp_path), *TINY, f"--trainer.callbacks=[{callback}]"])
    assert "FreezeStages names 'res9'; Tiny has stem, res2, res3" in said
