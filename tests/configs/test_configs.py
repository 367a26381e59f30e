"""Every config file, and every model with every block and data, through the parser of the real command."""

import re
from collections.abc import Callable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from gcvideo.cli import run as command
from gcvideo.complexity.paper import PAPER_ROWS

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = sorted(file.stem for file in (CONFIGS / "data").glob("*.yaml"))
MODELS = sorted(file.stem for file in (CONFIGS / "model").glob("*.yaml"))
BLOCKS = sorted(file.stem for file in (CONFIGS / "block").glob("*.yaml"))
PAPER = sorted(file.stem for file in (CONFIGS / "paper").glob("*.yaml"))
TRAINING = sorted(file.stem for file in (CONFIGS / "training").glob("*.yaml"))
RECIPES = sorted(file.stem for file in (CONFIGS / "recipe").glob("*.yaml"))

RESIDUAL_BLOCKS = {
    "r18": {"res3": 2, "res4": 2, "res5": 2},
    "r34": {"res3": 4, "res4": 6, "res5": 3},
    "r50": {"res3": 4, "res4": 6, "res5": 3},
    "r101": {"res3": 4, "res4": 23, "res5": 3},
    **{size: {"res3": 5, "res4": 11, "res5": 7} for size in ("xs", "s", "m")},
    "l": {"res3": 10, "res4": 25, "res5": 15},
    "18": {"res3": 2, "res4": 2, "res5": 2},
}
NO_PLACE = "no setting"
PLACES = {
    "r18": {"5": "placement.res4 asks for 3 blocks, but res4 has 2"},
    "r34": {"5": ["res3.1", "res3.3", "res4.1", "res4.3", "res4.5"]},
    "r50": {"5": ["res3.1", "res3.3", "res4.1", "res4.3", "res4.5"]},
    "r101": {"5": ["res3.1", "res3.3", "res4.6", "res4.13", "res4.20"]},
    **{size: {"5": ["res3.1", "res3.3", "res4.2", "res4.5", "res4.8"]} for size in ("xs", "s", "m")},
    "l": {"5": ["res3.4", "res3.9", "res4.7", "res4.15", "res4.23"]},
    "18": {"5": "placement.res4 asks for 3 blocks, but res4 has 2"},
    "s3d": {
        "5": ["res3.0", "res3.1", "res4.0", "res4.1", "res4.2"],
        "all": "res3.0 is a SepInceptionBlock3D, and only",
    },
    "mvit_v2_s": {"5": NO_PLACE, "all": NO_PLACE},
    "swin3d_t": {"5": NO_PLACE, "all": NO_PLACE},
}
"""By how the names of a model's and of a block's file end: the places, or why there are none."""
for depth, stages in RESIDUAL_BLOCKS.items():
    PLACES[depth]["all"] = [f"{stage}.{index}" for stage, number in stages.items() for index in range(number)]

MILLIONS = {
    ("slow_r50", "nl5"): 39.81,
    ("slow_r50", "snl5"): 36.13,
    ("slow_r50", "gc5"): 34.30,
    ("slow_r50", "gc_all"): 42.45,
    ("slow_r50", "se_all"): 34.96,
    ("slow_r101", "nl5"): 67.72,
    ("slow_r101", "snl5"): 64.04,
    ("slow_r101", "gc5"): 62.21,
    ("slow_r101", "gc_all"): 79.32,
    ("i3d_r50", "nl5"): 35.40,
    ("i3d_r50", "snl5"): 31.72,
    ("i3d_r50", "gc5"): 29.89,
    ("i3d_r50", "gc_all"): 38.04,
}
"""Parameters with 400 classes; of slow_r50 the paper's, but for SE."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    """For every data config a folder with its class names: 400 of Kinetics, 8 otherwise."""
    folders = {data: tmp_path_factory.mktemp(data) for data in DATA}
    for data, folder in folders.items():
        num_classes = 400 if data == "kinetics400" else 8
        (folder / "classes.txt").write_text("".join(f"class {k}\n" for k in range(num_classes)))
    return folders


@pytest.fixture(scope="module")
def parser(roots) -> Any:
    """The parser that `gcvideo fit` made, which did everything but fit."""
    made = []

    class StopsBeforeFit(command.VideoCLI):
        def _run_subcommand(self, subcommand: str) -> None:
            made.append(self.parser)

    root = roots[DATA[0]]
    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        patch.setattr(command, "VideoCLI", StopsBeforeFit)
        command.run([*stacked(DATA[0], "model/slow_r50"), f"--data.root={root}", f"--run_dir={root / 'run'}"])
    return made[0]


def stacked(data: str, *files: str) -> list[str]:
    return ["fit", *(f"--config={CONFIGS / file}.yaml" for file in ("base", f"data/{data}", *files))]


@pytest.fixture(scope="module")
def parsed(parser, roots) -> Callable[..., Any]:
    """The configuration of a stack of files."""
    return lambda data, *rest: parser.parse_args([*stacked(data, *rest), f"--data.root={roots[data]}"])


@pytest.fixture(scope="module")
def made(parser, parsed) -> Callable[..., Any]:
    """The data module and the classifier that the command would fit, its weights on no device."""

    @cache
    def make(*stack: str) -> Any:
        with torch.device("meta"):
            return parser.instantiate_classes(parsed(*stack)).fit

    return make


@pytest.mark.parametrize(
    ("data", "model"),
    [*product(DATA, ["slow_r50"]), *(("kinetics400", model) for model in MODELS if model != "slow_r50")],
)
def test_every_model_is_a_network_for_the_classes_of_the_data(made, data, model):
    run = made(data, f"model/{model}")
    assert run.model.network.context_places == []
    assert len(run.model.network.head.weight) == len(run.data.class_names)
    assert run.model.batch_size == run.data.batch_size


@pytest.mark.parametrize(("model", "block"), list(product(MODELS, BLOCKS)))
def test_every_model_carries_every_block_or_is_refused_by_name(made, capsys, model, block):
    stack = ("kinetics400", f"model/{model}", f"block/{block}")
    of_model = PLACES.get(model) or PLACES[model.rpartition("_")[2]]
    places = of_model["all" if block.endswith("all") else "5"]
    if places == NO_PLACE:
        with pytest.raises(SystemExit):
            made(*stack)
        assert re.search(
            r"model\.network\.init_args\.(block|placement)\S* is no setting", capsys.readouterr().err
        )
    elif isinstance(places, str):
        with pytest.raises(ValueError, match=re.escape(places)):
            made(*stack)
    else:
        assert made(*stack).model.network.context_places == places


def test_the_rows_of_the_paper_have_a_file_each():
    assert set(PAPER) == set(PAPER_ROWS)


@pytest.mark.parametrize("row", PAPER)
def test_a_row_of_the_paper_in_one_file_is_the_model_and_the_block_that_it_is_named_after(parsed, row):
    block = row.removeprefix("slow_r50").lstrip("_")
    stack = ["model/slow_r50", *([f"block/{block}"] if block else [])]
    of_row, of_stack = (parsed("kinetics400", *files).fit.model for files in ([f"paper/{row}"], stack))
    assert of_row == of_stack


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_stacks_on_a_model_and_keeps_its_blocks(made, recipe):
    data = "kinetics400" if recipe.startswith("kinetics") else "synthetic"
    run = made(data, "model/slow_r50", "block/gc_all", f"recipe/{recipe}")
    assert run.model.network.context_places == PLACES["r50"]["all"]


@pytest.mark.parametrize("part", TRAINING)
def test_every_part_of_a_training_stacks_last(made, part):
    settings = yaml.safe_load((CONFIGS / "training" / f"{part}.yaml").read_text())
    run = made("synthetic", "model/slow_r50", "recipe/quickstart", f"training/{part}")
    trainer = settings.get("trainer", {})
    asked = trainer.get("callbacks", trainer.get("callbacks+", []))
    named = [callback["class_path"].rpartition(".")[2] for callback in asked]
    assert [type(callback).__name__ for callback in run.trainer.callbacks or []] == named


def test_the_multigrid_run_has_the_epochs_and_milestones_of_its_schedule(made):
    run = made("kinetics400", "model/slow_r50", "training/multigrid")
    plan = run.data.multigrid_plan()
    assert (run.trainer.max_epochs, list(run.model.lr_schedule.milestones)) == (
        plan.num_epochs,
        plan.milestones,
    )


@pytest.mark.parametrize("model", MODELS)
def test_the_header_of_a_model_file_states_its_parameters_at_400_classes(made, model):
    header = (CONFIGS / "model" / f"{model}.yaml").read_text().partition("model:")[0]
    (stated,) = re.findall(r"([\d.]+) M parameters", header)
    assert millions(made("kinetics400", f"model/{model}")) == pytest.approx(float(stated), abs=0.0051)


@pytest.mark.parametrize(("model", "block"), MILLIONS)
def test_a_model_with_a_block_has_its_parameters(made, model, block):
    run = made("kinetics400", f"model/{model}", f"block/{block}")
    assert millions(run) == pytest.approx(MILLIONS[model, block], abs=0.0051)


def millions(run: Any) -> float:
    return sum(parameter.numel() for parameter in run.model.network.parameters()) / 1e6


@pytest.mark.parametrize(
    ("recipe", "epochs", "rates"),
    [
        # PySlowFast: 0.01 at the start, and the warm-up meets the cosine at epoch 34.
        ("kinetics_scratch", 196, {0.0: 0.01, 34.0: 0.092757, 98.0: 0.05, 196.0: 0.0}),
        # PySlowFast's MViT-B: 1e-6 at the start, the peak at epoch 30, 1e-6 at the end.
        ("../training/adamw", 200, {0.0: 1e-6, 30.0: 1e-4, 115.0: 50.5e-6, 200.0: 1e-6}),
        ("kinetics_imagenet", 150, {0.0: 0.002, 10.0: 0.02, 89.0: 0.02, 90.0: 0.002, 130.0: 0.0002}),
    ],
)
def test_a_recipe_has_the_published_learning_rates(parsed, made, recipe, epochs, rates):
    stack = ("kinetics400", "paper/slow_r50_gc_all", f"recipe/{recipe}")
    model = made(*stack).model
    assert parsed(*stack).fit.trainer.max_epochs == epochs
    for epoch, rate in rates.items():
        assert model.learning_rate * model.lr_schedule(epoch, float(epochs)) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize(
    ("folder", "sets"),
    [
        ("data", {"data"}),
        ("model", {"model"}),
        ("block", {"model"}),
        ("paper", {"model"}),
        ("recipe", {"trainer", "model", "data"}),
        ("training", {"trainer", "model", "data"}),
    ],
)
def test_a_file_sets_only_what_its_folder_is_about(folder, sets):
    for file in (CONFIGS / folder).glob("*.yaml"):
        assert set(yaml.safe_load(file.read_text())) <= sets, file


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("widht", "{model: {network: {init_args: {widht: 0.5}}}}"),
        ("ratio", "{model: {network: {init_args: {block: {init_args: {ratio: 4}}}}}}"),
        ("res6", "{model: {network: {init_args: {placement: {res6: all}}}}}"),
        ("lr", "{model: {lr: 0.1}}"),
        ("num_frame", "{data: {clip: {num_frame: 8}}}"),
        ("max_epoch", "{trainer: {max_epoch: 10}}"),
        ("modle", "{modle: {learning_rate: 0.1}}"),
    ],
)
def test_an_unknown_key_fails_naming_the_key(parser, roots, tmp_path, capsys, key, text):
    (tmp_path / "typo.yaml").write_text(text)
    arguments = [*stacked("synthetic", "paper/slow_r50_gc_all"), f"--data.root={roots['synthetic']}"]
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([*arguments, f"--config={tmp_path / 'typo.yaml'}"])
    assert stopped.value.code == 2
    assert re.search(rf"\b{key}\b", capsys.readouterr().err)


def test_files_add_their_callbacks_to_those_of_files_before(parsed) -> None:
    files = ("multigrid", "ema", "early_stopping", "pictures", "frozen_batch_norm")
    config = parsed("folder", "model/slow_r50", *(f"training/{file}" for file in files))
    names = [callback.class_path.rpartition(".")[2] for callback in config.fit.trainer.callbacks]
    assert names == [
        *("BatchNormOver", "PreciseBatchNorm", "EMAWeightAveraging", "PreciseBatchNorm"),
        *("EarlyStopping", "LogPictures", "FrozenBatchNorm"),
    ]
