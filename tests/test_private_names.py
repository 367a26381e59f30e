"""The private names of libraries are there, mean what they are taken for, and stand in three files."""

import ast
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path

import jsonargparse
import pytest
import torch
import torch.distributed as dist
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ProgressBar, RichProgressBar
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

import gcvideo
from gcvideo import private_names, private_names_of_parsers
from gcvideo.images.private_names import BalancedPositiveNegativeSampler, BoxCoder, Matcher

PACKAGE = Path(gcvideo.__file__).parent
OF_NAMED_TUPLES = {"_replace", "_asdict", "_fields", "_make"}
OF_THE_SYSTEM = {"_exit"}


def test_batch_norms_and_norms_are_told_apart():
    for norm in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm):
        assert issubclass(norm, private_names.BatchNorm)
    assert not issubclass(nn.InstanceNorm3d, private_names.BatchNorm)
    assert issubclass(nn.InstanceNorm3d, private_names.NormBase)
    assert not issubclass(nn.LayerNorm, private_names.NormBase)


def test_the_default_store_is_that_of_the_group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        private_names.default_store().set("name", "value")
        assert private_names.default_store().get("name") == b"value"
    finally:
        dist.destroy_process_group()


def test_storages_are_told_apart_and_results_are_seen():
    first, second = torch.ones(2), torch.ones(2)
    number = private_names.storage_number
    assert number(first.untyped_storage()) == number(first[1:].untyped_storage())
    assert number(first.untyped_storage()) != number(second.untyped_storage())
    seen = []

    class Seen(private_names.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(private_names.tree_leaves(args))
            return func(*args, **(kwargs or {}))

    with Seen():
        torch.cat([first, second])
    assert [leaf is tensor for leaf, tensor in zip(seen[0], (first, second), strict=False)] == [True, True]


def test_a_part_of_a_resized_picture_can_be_asked_for():
    picture = torch.arange(20.0).reshape(1, 1, 4, 5)
    whole = nn.functional.interpolate(picture, size=(8, 10), mode="bilinear", antialias=True)
    part = private_names.upsample_antialiased(picture, [5, 3], False, 2.0, 2.0)
    torch.testing.assert_close(part, whole[..., :5, :3])


def test_a_compilation_is_forgotten():
    network = nn.Linear(1, 1)
    network.compile(backend="inductor", options=private_names.options_of_mode("default"))
    assert network._compiled_call_impl is not None
    private_names.forget_compilation(network)
    assert network._compiled_call_impl is None
    assert network(torch.ones(1)).shape == (1,)
    assert "triton.cudagraphs" in private_names.options_of_mode("reduce-overhead")


def test_the_trainers_loop_and_signals_are_where_they_are_looked_for():
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    connector = type(trainer._signal_connector)
    private_names.leave_signals(trainer)
    assert isinstance(trainer._signal_connector, connector)
    assert trainer._signal_connector.register_signal_handlers() is None
    assert private_names.batches_that_stepped(trainer) == 0
    private_names.set_batches_that_stepped(trainer, 3)
    assert trainer.fit_loop.epoch_loop._batches_that_stepped == 3
    with pytest.raises(AssertionError):  # a loop that has not begun
        private_names.is_validation_due(trainer)
    assert callable(trainer.fit_loop.epoch_loop._should_check_val_fx)


def test_a_strategy_has_a_time_limit_and_a_way_to_start():
    strategy = DDPStrategy()
    assert private_names.start_method(strategy) == "popen"
    assert strategy._timeout > timedelta()
    private_names.set_timeout(strategy, timedelta(minutes=1))
    assert strategy._timeout == timedelta(minutes=1)


def test_bars_and_command_lines_have_what_is_asked_of_them():
    assert issubclass(RichProgressBar, ProgressBar)
    bar = RichProgressBar()
    bar._trainer = Trainer(accelerator="cpu", logger=False, max_epochs=2, enable_checkpointing=False)
    assert private_names.epoch_described(bar, 0) == "Epoch 0/1"
    assert {"_parse_ckpt_path", "_run_subcommand", "_parser"} <= set(vars(LightningCLI))


def test_parsers_show_their_arguments():
    parser = ArgumentParser()
    action = parser.add_argument("--number", type=int)
    assert private_names_of_parsers.actions_of(parser)[-1] is action
    assert private_names_of_parsers.type_of(action) is int
    typed = jsonargparse.ArgumentParser()
    typed.add_argument("--number", type=int | None)
    assert private_names_of_parsers.type_of(private_names_of_parsers.actions_of(typed)[-1]) == int | None
    assert private_names_of_parsers.subcommands_of(typed) == {}
    typed.add_subcommands().add_subcommand("fit", jsonargparse.ArgumentParser())
    assert [*private_names_of_parsers.subcommands_of(typed)] == ["fit"]


def test_detectors_find_their_parts():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 20.0]])
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    torch.testing.assert_close(coder.decode_single(coder.encode_single(boxes, boxes), boxes), boxes)
    matched = Matcher(0.7, 0.3, allow_low_quality_matches=False)(torch.tensor([[0.8, 0.5, 0.1]]))
    assert matched.tolist() == [0, Matcher.BETWEEN_THRESHOLDS, Matcher.BELOW_LOW_THRESHOLD]
    (positive,), _ = BalancedPositiveNegativeSampler(2, 0.5)([torch.tensor([1, 0, 0])])
    assert positive.tolist() == [1, 0, 0]


def private_names_in(file: Path) -> list[str]:
    """What a file takes of others that begins with an underscore."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("gcvideo"):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            found += [name for name in names if name.startswith("_") and not name.startswith("__")]
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            of = node.value.func if isinstance(node.value, ast.Call) else node.value  # super() is called
            own = isinstance(of, ast.Name) and of.id in ("self", "cls", "super")
            if not own and node.attr not in OF_NAMED_TUPLES | OF_THE_SYSTEM:
                found.append(node.attr)
    return found


def test_no_other_file_of_the_package_takes_a_private_name():
    found = {str(file.relative_to(PACKAGE)): private_names_in(file) for file in PACKAGE.rglob("*.py")}
    theirs = {"private_names.py", "private_names_of_parsers.py", "images/private_names.py"}
    assert {file for file, names in found.items() if names} == theirs
