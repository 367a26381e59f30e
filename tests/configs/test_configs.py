"""Every config file, and every pair of data and model, through the parser of the real command."""

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

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = sorted(file.stem for file in (CONFIGS / "data").glob("*.yaml"))
MODELS = sorted(file.stem for file in (CONFIGS / "model").glob("*.yaml"))
RECIPES = sorted(file.stem for file in (CONFIGS / "recipe").glob("*.yaml"))

FIVE_OF_R50 = ["res3.1", "res3.3", "res4.1", "res4.3", "res4.5"]
FIVE_OF_R101 = ["res3.1", "res3.3", "res4.6", "res4.13", "res4.20"]


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
        command.run([*stacked(DATA[0], MODELS[0]), f"--data.root={root}", f"--run_dir={root / 'run'}"])
    return made[0]


def stacked(data: str, model: str, *recipe: str) -> list[str]:
    files = ["base", f"data/{data}", f"model/{model}", *(f"recipe/{name}" for name in recipe)]
    return ["fit", *(f"--config={CONFIGS / file}.yaml" for file in files)]


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


def places_by_name(model: str) -> list[str]:
    """Where blocks stand by the name of the config."""
    if model.endswith("5"):
        return FIVE_OF_R101 if "r101" in model else FIVE_OF_R50
    if model.endswith(("_all", "_se")):
        blocks = {"res3": 4, "res4": 23 if "r101" in model else 6, "res5": 3}
        return [f"{stage}.{index}" for stage, depth in blocks.items() for index in range(depth)]
    return []


@pytest.mark.parametrize(("data", "model"), list(product(DATA, MODELS)))
def test_every_pair_of_data_and_model_makes_a_network_for_the_classes_of_the_data(made, data, model):
    run = made(data, model)
    assert run.model.network.context_places == places_by_name(model)
    assert run.model.network.blocks[-1].proj.out_features == len(run.data.class_names)
    assert run.model.batch_size == run.data.batch_size


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_stacks_on_a_model_and_keeps_its_blocks(made, recipe):
    data = "kinetics400" if recipe.startswith("kinetics") else "synthetic"
    assert made(data, "slow_r50_gc_all", recipe).model.network.context_places == places_by_name(
        "slow_r50_gc_all"
    )


@pytest.mark.parametrize("model", MODELS)
def test_the_header_of_a_model_file_states_its_parameters_at_400_classes(made, model):
    header = (CONFIGS / "model" / f"{model}.yaml").read_text().partition("model:")[0]
    (stated,) = re.findall(r"([\d.]+) M parameters", header)
    network = made("kinetics400", model).model.network
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    assert num_parameters / 1e6 == pytest.approx(float(stated), abs=0.0051)


@pytest.mark.parametrize(
    ("recipe", "epochs", "rates"),
    [
        # PySlowFast: 0.01 at the start, and the warm-up meets the cosine at epoch 34.
        ("kinetics_scratch", 196, {0.0: 0.01, 34.0: 0.092757, 98.0: 0.05, 196.0: 0.0}),
        ("kinetics_imagenet", 150, {0.0: 0.002, 10.0: 0.02, 89.0: 0.02, 90.0: 0.002, 130.0: 0.0002}),
    ],
)
def test_a_recipe_has_the_published_learning_rates(parsed, made, recipe, epochs, rates):
    stack = ("kinetics400", "slow_r50_gc_all", recipe)
    model = made(*stack).model
    assert parsed(*stack).fit.trainer.max_epochs == epochs
    for epoch, rate in rates.items():
        assert model.learning_rate * model.schedule(epoch, float(epochs)) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize(
    ("folder", "sets"),
    [("data", {"data"}), ("model", {"model"}), ("recipe", {"trainer", "model", "data"})],
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
    arguments = [*stacked("synthetic", "slow_r50_gc_all"), f"--data.root={roots['synthetic']}"]
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args([*arguments, f"--config={tmp_path / 'typo.yaml'}"])
    assert stopped.value.code == 2
    assert re.search(rf"\b{key}\b", capsys.readouterr().err)
