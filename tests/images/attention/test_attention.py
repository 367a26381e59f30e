"""The paper's table 1 on pictures: the command on what a training left, and figures by a plain loop."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image

from gcvideo.blocks import NonLocalBlock
from gcvideo.cli import main
from gcvideo.images.attention import AttentionWriter, named_blocks
from gcvideo.images.backbones import ContextResNet, ImagePlacement
from gcvideo.images.classification import ImageClassifier

NETWORK = [
    *("--config", "base+resnet50+nl+folder+shapes"),
    *(
        "--model.backbone.init_args.depth",
        "50",
        "--model.backbone.init_args.width",
        "0.0625",
        "--model.backbone.init_args.placement.c5",
        "[0]",
    ),
    *("--trainer.accelerator", "cpu", "--trainer.logger", "false"),
    *("--data.num_workers", "0", "--data.batch_size", "4"),
]


def test_a_trained_network_is_measured_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, run = tmp_path / "shapes", tmp_path / "run"
    main(["image", "synthetic", str(root), "--task", "classification", "--num_train", "8", "--num_val", "8"])
    main(
        ["image", "fit", *NETWORK, "--data.root", str(root), "--run_dir", str(run), "--trainer.max_epochs=1"]
    )
    capsys.readouterr()
    checkpoint = ["--ckpt_path", str(run / "checkpoints" / "last.ckpt")]
    main(["image", "attention", str(root / "val"), *checkpoint, "--maps", "1", "--query", "0.5,0.3,0.7"])

    table = pd.read_csv(run / "attention" / "distances.csv")
    assert set(table["block"]) == {"c4.4", "c5.0"}
    assert set(table["num_frames"]) == {1}
    of_all = table[table["pairs"] == "all"].set_index(["block", "measured", "distance"])["mean"]
    of_frame = table[table["pairs"] == "same_frame"].set_index(["block", "measured", "distance"])["mean"]
    assert (of_all > 0).any()
    assert of_frame.notna().all()
    assert table[table["pairs"] == "same_place"]["mean"].isna().all()
    pictures = sorted(file.name for file in (run / "attention").glob("map_*.png"))
    assert [name.rsplit("_", 1)[1] for name in pictures] == ["c4.4.png", "c5.0.png"]
    with Image.open(run / "attention" / pictures[0]) as drawn:
        assert min(drawn.size) > 200
    assert "c4.4" in capsys.readouterr().out


def test_the_cosine_distance_is_that_of_a_plain_loop(tmp_path: Path) -> None:
    torch.manual_seed(0)
    placement = ImagePlacement(c4=[4], position="after_add")
    backbone = ContextResNet(width=1 / 16, block=NonLocalBlock, placement=placement)
    module = ImageClassifier(backbone, ["a", "b"]).eval()
    blocks = named_blocks(module.network)
    writer = AttentionWriter(tmp_path, blocks, maps=0)
    writer.on_predict_start(Trainer(logger=False, enable_checkpointing=False, accelerator="cpu"), module)
    with torch.inference_mode():
        module.network(torch.randn(1, 3, 64, 48))

    class Batch:
        names = ("a.png",)

    writer.add(None, Batch())
    found = pd.DataFrame(writer.table.rows).set_index(["measured", "distance", "pairs"])["value"]
    x = writer.inputs["c4.4"][0].flatten(1).double()  # C P
    unit = x / x.norm(dim=0)
    distances = [(1 - unit[:, i] @ unit[:, j]) / 2 for i in range(x.shape[1]) for j in range(x.shape[1])]
    assert found["input", "cosine", "all"] == pytest.approx(float(torch.stack(distances).mean()), rel=1e-5)


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="no context blocks"):
        named_blocks(ContextResNet(width=1 / 16))
    block = ContextResNet(width=1 / 16, block=NonLocalBlock, placement=ImagePlacement(c4=[4]))
    with pytest.raises(ValueError, match=r"no context block 'c5.9'; this network has c4.4"):
        named_blocks(block, ["c5.9"])
