"""Stacks of configuration files for classification, through the parser of the real command."""

from pathlib import Path

import pytest
import torch

from gcvideo.cli import main
from gcvideo.images.cli import run as command

RESNET_50 = 25_557_032
GC_R16 = 2_521_741
"""The paper's 28.08 M are the sum."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many classes as ImageNet has, and no picture."""
    folder = tmp_path_factory.mktemp("imagenet")
    for k in range(1000):
        (folder / "train" / f"n{k:08d}").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("stack", "num_parameters"),
    [
        ("base+resnet50+folder+imagenet", RESNET_50),
        ("base+resnet50+gc_r16+folder+imagenet_finetune", RESNET_50 + GC_R16),
        ("base+folder+shapes", None),
    ],
)
def test_every_stack_is_a_network_for_the_classes_of_its_folder(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stack: str, num_parameters: int | None
) -> None:
    made = []

    class StopsBeforeFit(command.ImageCLI):
        def _run_subcommand(self, subcommand: str) -> None:
            made.append(self.model)

    monkeypatch.setattr(command, "ImageCLI", StopsBeforeFit)
    with torch.device("meta"):
        main(
            ["image", "fit", "--config", stack, "--data.root", str(root), "--run_dir", str(tmp_path / "run")]
        )
    (model,) = made
    assert len(model.class_names) == 1000
    assert model.batch_size == 32
    if num_parameters is not None:
        assert sum(parameter.numel() for parameter in model.parameters()) == num_parameters
