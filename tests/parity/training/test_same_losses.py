"""`gcvideo fit` against a trainer written from the recipe's equations, step by step from equal weights.

In float64: in single precision two orders of summation part within 40 steps, whoever trains.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import yaml
from pytorchvideo.models.resnet import create_resnet
from torch import Tensor, nn

from gcvideo.cli import main
from gcvideo.complexity.paper import paper_network
from gcvideo.data.synthetic import write_synthetic
from tests.parity.training.plain_trainer import PlainTrainer, Recipe, Share, Videos
from tests.parity.training.recorded import Recorded, initial_state, steps
from tests.training.runs import finish, said, start

STACK = "base+synthetic+{model}+kinetics_scratch"
NUM_CLASSES, WIDTH, SIDE, NUM_FRAMES, STRIDE = 8, 1 / 16, 32, 4, 2
NUM_VIDEOS, BATCH = 32, 4
"""Clips of a process. With two of them a batch norm of res5 has 8 values, and chaos begins by step 50."""
ROUNDING = 1e-12
"""Of a weight that has no gradient but rounding, as the bias of logits that a softmax takes."""


class Tolerance(NamedTuple):
    """Of a loss, and of a weight as a share of its norm."""

    loss: float
    weight: float


PROMISED = Tolerance(1e-4, 1e-5)
STRICT = Tolerance(1e-9, 1e-9)
"""With which a single step without weight decay shows."""


class Run(NamedTuple):
    """A training of gcvideo's, and what another trainer starts from."""

    root: Path
    record: Path
    theirs: dict[str, Tensor]
    recipe: Recipe
    num_processes: int


def pytorchvideos_network() -> nn.Module:
    """Their Slow R50 a sixteenth as wide, with a head that pools what 4 x 32 x 32 leaves."""
    kernels = ((1, 1, 1), (1, 1, 1), (3, 1, 1), (3, 1, 1))
    return create_resnet(
        model_depth=50,
        model_num_class=NUM_CLASSES,
        dropout_rate=0.5,
        stem_dim_out=int(64 * WIDTH),
        stem_conv_kernel_size=(1, 7, 7),
        stage_conv_a_kernel_size=kernels,
        head_pool_kernel_size=(NUM_FRAMES, SIDE // 32, SIDE // 32),
    )


NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "pytorchvideo's network": ("slow_r50", pytorchvideos_network),
    "global context": ("slow_r50+gc5", partial(paper_network("slow_r50_gc5"), NUM_CLASSES, width=WIDTH)),
}


def train(folder: Path, *, network: str, num_steps: int, warmup_steps: int, num_processes: int = 1) -> Run:
    """Convert pytorchvideo's weights and train from them, by the commands."""
    global_batch = BATCH * num_processes
    steps_per_epoch = NUM_VIDEOS // global_batch

    # Videos that are as high as a crop, so that no resize rounds
    root = folder / "videos"
    write_synthetic(
        *(root,), num_train_per_class=NUM_VIDEOS // NUM_CLASSES, num_val_per_class=1, num_test_per_class=1,
        num_frames=16, height=SIDE, width=SIDE + 16,
    )  # fmt: skip

    # Weights of theirs
    torch.manual_seed(0)
    theirs = pytorchvideos_network().state_dict()
    torch.save({"model_state": theirs}, folder / "theirs.pyth")
    main(["weights", "convert", str(folder / "theirs.pyth"), str(folder / "weights.pth")])

    # The recipe, for small clips and few steps
    model, _ = NETWORKS[network]
    crop = {"crop_size": SIDE, "min_short_side": SIDE, "max_short_side": SIDE, "flip_probability": 0.0}
    views = {"num_clips": 1, "num_crops": 1, "short_side": SIDE, "crop_size": SIDE}
    weights = {"path": str(folder / "weights.pth")} | ({"new": ["blocks"]} if "gc" in model else {})
    recorder = {"class_path": f"{__name__.rpartition('.')[0]}.recorded.Recorder"}
    config = {
        "data": {
            "root": str(root),
            "clip": {"num_frames": NUM_FRAMES, "stride": STRIDE},
            "train_transform": {"class_path": "gcvideo.data.ScaleJitter", "init_args": crop},
            "val_views": views,
            "batch_size": BATCH,
            "num_workers": 0,
        },
        "model": {
            "network": {"init_args": {"width": WIDTH}},
            "weights": weights,
            "lr_schedule": {
                "class_path": "gcvideo.training.HalfCosine",
                "init_args": {"warmup_epochs": warmup_steps / steps_per_epoch, "warmup_start": 0.1},
            },
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": num_processes,
            "precision": "64-true",  # 200 steps of single precision are another training each time
            "max_epochs": -(-num_steps // steps_per_epoch),
            "max_steps": num_steps,
            "check_val_every_n_epoch": 1000,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 1,
            "logger": False,
            "enable_progress_bar": False,
            "callbacks": [recorder | {"init_args": {"folder": str(folder / "record")}}],
        },
    }
    place, settings = folder / "place.yaml", folder / "settings.yaml"
    place.write_text(yaml.safe_dump({"run_dir": str(folder / "run")}))
    settings.write_text(yaml.safe_dump(config))
    stack = ("--config", STACK.format(model=model), "--config", str(settings))
    if num_processes == 1:
        main(["fit", f"--config={place}", *stack])
    else:
        codes = finish(start(place, *stack, processes=num_processes))
        assert codes == [0] * num_processes, said(folder)
    peak = 0.1 * global_batch / 64  # the linear rule
    recipe = Recipe(peak, num_steps, warmup_steps)
    return Run(root, folder / "record", theirs, recipe, num_processes)


def hold_to(run: Run, network: nn.Module, recipe: Recipe, tolerance: Tolerance) -> int:
    """Do what the run did, and return in how many steps.

    Raises:
        AssertionError: At the first place where a difference shows, with step and tensor.
    """
    begun = initial_state(run.record)
    for name, value in run.theirs.items():
        assert torch.equal(begun[name].to(value.dtype), value), f"before step 1: {name} is not theirs"
    network.to(next(iter(begun.values())).dtype).load_state_dict(begun)
    trainer, videos = PlainTrainer(network, recipe), Videos(run.root, num_frames=NUM_FRAMES, stride=STRIDE)
    seen: list[str] = []
    number = 0
    for number, ranks in enumerate(steps(run.record, num_processes=run.num_processes), start=1):
        shares = [share_of(rank, videos) for rank in ranks]
        for process, (share, rank) in enumerate(zip(shares, ranks, strict=True)):
            assert torch.equal(share.clips, rank.views), f"step {number}: clips of process {process}"
            assert torch.equal(share.labels, rank.labels), f"step {number}: labels of process {process}"
        rate = recipe.rate(trainer.num_done)
        losses = trainer.step(shares)
        weights = {name: weight.detach() for name, weight in trainer.weights.items()}
        assert ranks[0].rate == pytest.approx(rate, rel=1e-12), f"step {number}: learning rate"
        for process, (loss, rank) in enumerate(zip(losses, ranks, strict=True)):
            same = abs(loss - rank.loss) <= tolerance.loss
            assert same, (
                f"step {number}: loss of process {process} is {rank.loss}, and {loss} by the equations"
            )
            require_same(number, rank.state, network.state_dict() if process == 0 else weights, tolerance)
        seen += [video for rank in ranks for video in rank.videos]
    for first in range(0, len(seen) - NUM_VIDEOS + 1, NUM_VIDEOS):
        assert sorted(seen[first : first + NUM_VIDEOS]) == sorted(videos.labels), "an epoch is not the list"
    return number


def share_of(rank: Recorded, videos: Videos) -> Share:
    """The clips that a process had, decoded and normalised here.

    (x - 255 m) / 255 s of the recipe's m = 0.45 and s = 0.225, in single precision and in this order: another
    rounding, of 1e-7, is another training from where a channel that is almost dead comes to life.
    """
    shown = ((rank.views * 0.225 + 0.45) * 255).round().to(torch.uint8).permute(0, 2, 3, 4, 1).numpy()
    clips = torch.stack([videos.clip_like(path, clip) for path, clip in zip(rank.videos, shown, strict=True)])
    mean, std = 255 * torch.tensor((0.45, 0.225))
    return Share(
        ((clips.float() - mean) / std).to(rank.views.dtype),
        torch.tensor([videos.labels[path] for path in rank.videos]),
        rank.seed,
    )


def require_same(step: int, ours: dict[str, Tensor], plain: dict[str, Tensor], tolerance: Tolerance) -> None:
    """Compare every tensor, by the norm of the difference and that of the tensor."""
    for name, expected in plain.items():
        found = ours[name]
        difference = float((found - expected).double().norm())
        most = tolerance.weight * float(expected.double().norm()) + ROUNDING
        assert difference <= most, (
            f"step {step}: {name} differs by {difference:.3g}, and {most:.3g} is let pass"
        )


@pytest.fixture(scope="module")
def five_steps(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("five_steps")
    return train(folder, network="pytorchvideo's network", num_steps=5, warmup_steps=2)


def test_five_steps_are_those_of_pytorchvideos_network_in_a_plain_loop(five_steps):
    assert hold_to(five_steps, pytorchvideos_network(), five_steps.recipe, STRICT) == 5


@pytest.mark.parametrize(
    ("mistake", "place"),
    [
        ({"warmup_steps": 0.0}, "step 1: learning rate"),
        ({"num_steps": 6}, "step 2: learning rate"),
        ({"nesterov": False}, r"step 1: blocks\.0\.conv\.weight differs"),
        ({"momentum": 0.8}, r"step 1: blocks\.0\.conv\.weight differs"),
        ({"weight_decay": 0.0}, r"step 1: blocks\..*\.weight differs"),
        ({"decays_norms": True}, r"step 1: blocks\..*norm.*\.weight differs"),
    ],
)
def test_the_first_place_where_another_recipe_differs_is_named(five_steps, mistake, place):
    with pytest.raises(AssertionError, match=place):
        hold_to(five_steps, pytorchvideos_network(), five_steps.recipe._replace(**mistake), STRICT)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("network", "num_processes"),
    [
        ("pytorchvideo's network", 1),
        ("global context", 1),
        ("pytorchvideo's network", 2),
        ("global context", 2),
    ],
)
def test_two_hundred_steps_are_those_of_a_plain_loop(network, num_processes, tmp_path):
    run = train(tmp_path, network=network, num_steps=200, warmup_steps=36, num_processes=num_processes)
    _, build = NETWORKS[network]
    assert hold_to(run, build(), run.recipe, PROMISED) == 200
