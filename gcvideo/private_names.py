"""Give public names to every private name of torch and Lightning that the package uses.

`tests/test_private_names.py` fails when one of them goes. Lightning is imported where it is used: who only
wants a network does not wait for it. Those of argparse and jsonargparse are in `private_names_of_parsers.py`.
"""

from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import UntypedStorage, nn
from torch.distributed.distributed_c10d import _get_default_store
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = [
    "BatchNorm",
    "NormBase",
    "TorchDispatchMode",
    "default_store",
    "tree_leaves",
    "upsample_antialiased",
]

Class = TypeVar("Class", bound=type)

# torch: checked for 2.11 and 2.15
BatchNorm = _BatchNorm
"""What all batch norms are."""
NormBase = _NormBase
"""What all batch norms and instance norms are."""
default_store = _get_default_store
"""Return the store through which the processes of the default group have found each other."""

upsample_antialiased = torch.ops.aten._upsample_bilinear2d_aa
"""Resize (frames, output size, align_corners, scale of rows, scale of columns); functional.interpolate takes
the size or the scales, and one alone cannot ask for a part of the result."""


def storage_number(storage: UntypedStorage) -> int:
    """Return what tells storages that are alive from one another."""
    return storage._cdata


def options_of_mode(mode: str) -> dict[str, Any]:
    """Return the options that a mode of torch.compile stands for."""
    from torch._inductor import list_mode_options

    return list_mode_options(mode)


def forget_compilation(network: nn.Module) -> None:
    """Undo Module.compile."""
    network._compiled_call_impl = None


# Lightning: checked for 2.6
def leave_signals(trainer: Any) -> None:
    """Keep Lightning's signal handlers away, which end with exit code 0 or wait for other processes."""
    from lightning.pytorch.trainer.connectors.signal_connector import _SignalConnector

    class NoSignals(_SignalConnector):
        def register_signal_handlers(self) -> None:
            """Leave them as they are."""

    trainer._signal_connector = NoSignals(trainer)
    # Else all ranks wait, before every batch, for rank 0 to say whether it has had a signal.
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None


def batches_that_stepped(trainer: Any) -> int:
    """Return the step that loggers are told, which rises after the validation that follows a step."""
    return trainer.fit_loop.epoch_loop._batches_that_stepped


def set_batches_that_stepped(trainer: Any, number: int) -> None:
    """Set the step that loggers are told."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = number


def is_validation_due(trainer: Any) -> bool:
    """Return whether Lightning validates at the place in the epoch at which the training loop is."""
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    return trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher)


def set_timeout(strategy: Any, timeout: timedelta) -> None:
    """Set how long the processes of a DDPStrategy wait for one another."""
    strategy._timeout = timeout


def start_method(strategy: Any) -> str:
    """Return how a DDPStrategy starts processes."""
    return strategy._start_method


def checks_after_epoch(early_stopping: Any) -> bool:
    """Return whether an EarlyStopping is told to look after every epoch, and not after validations."""
    return bool(early_stopping._check_on_train_epoch_end)


def epoch_described(bar: Any, epoch: int) -> str:
    """Return what a progress bar calls an epoch; the last is -2 where steps, and not epochs, end a run."""
    return bar._get_train_description(epoch).strip().removesuffix("/-2")


def settings_are_those_given(cli: Class) -> Class:
    """Keep a LightningCLI from putting a checkpoint's own configuration over the one that was given."""
    cli._parse_ckpt_path = lambda self: None
    return cli


def runs_nothing(cli: Class) -> Class:
    """Let a LightningCLI put together what it would run, and no more."""
    cli._run_subcommand = lambda self, subcommand: None
    return cli


def parser_of(cli: Any, subcommand: str) -> Any:
    """Return the parser of a subcommand of a LightningCLI."""
    return cli._parser(subcommand)


def parsers_of_subcommands(cli: Any) -> dict[str, Any]:
    """Return the parsers of all subcommands of a LightningCLI."""
    return cli._subcommand_parsers
