"""The arguments of a run besides those of trainer, model and data, and what they give one another."""

from collections.abc import Callable, Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser
from lightning.pytorch.callbacks import ModelCheckpoint

from gcvideo.cli.options import add_weights_state
from gcvideo.cli.run_parser import RunParser
from gcvideo.keeping import Safeguard
from gcvideo.private_names_of_parsers import actions_of, set_type, type_of
from gcvideo.run_folder import RunFolder


def add_run_arguments(
    parser: RunParser,
    *,
    classes: Mapping[str, type],
    class_names: Callable[[Any], list[str]],
    defaults: Mapping[str, Any],
    needed: str,
    bases: str,
) -> None:
    """Add them to the parser of a subcommand.

    Args:
        parser: That of the subcommand, with the arguments of trainer, model and data.
        classes: By section those of model and data that a configuration has to name.
        class_names: What the model is told of the data.
        defaults: Of keys of model, data and checkpoint, where they are not those of the classes.
        needed: Arguments that model and data must have, for messages.
        bases: The classes that have them.

    Raises:
        ValueError: A class of the user's own takes less than the one that it stands for.
    """
    parser.add_argument(
        "--run_dir",
        type=Path | None,
        default=None,
        help="Folder of the run. By default the folder of the run that ckpt_path or a --config file "
        "belongs to, or else a new runs/DATE-TIME.",
    )
    parser.add_argument(
        "--resume",
        type=Literal["auto"] | None,
        default=None,
        help="fit only: auto goes on from the newest whole checkpoint in run_dir, or starts afresh where "
        "there is none yet.",
    )
    add_weights_state(parser)
    parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
    parser.add_class_arguments(Safeguard, "safeguard")
    parser.set_defaults(
        {
            "checkpoint.mode": "max",
            "checkpoint.filename": RunFolder(Path()).best.stem,
            "checkpoint.enable_version_counter": False,
            # Our sampler shares the videos out itself, without Lightning's repeated ones.
            "trainer.use_distributed_sampler": False,
        }
    )
    read_counts_as_counts(parser)
    parser.classes = dict(classes)
    try:
        parser.set_defaults(dict(defaults))
        parser.link_arguments("data.batch_size", "model.batch_size")
        parser.link_arguments("data", "model.class_names", compute_fn=class_names, apply_on="instantiate")
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"model or data takes no {needed}; let the __init__ of your class take **kwargs and hand them on "
            f"to that of {bases}"
        ) from error


def read_counts_as_counts(parser: ArgumentParser) -> None:
    """Let 1 be a count and 1.0 a share, wherever an argument takes both, as trainer.limit_test_batches does.

    jsonargparse takes the first part of a Union that fits. Lightning writes Union[int, float], but typing may
    give it the Union[float, int] that some module imported before has made: the two are equal to its cache.
    """
    for action in actions_of(parser):
        parts = list(get_args(type_of(action)))
        is_union = get_origin(type_of(action)) in (Union, UnionType)
        if is_union and {int, float} <= {*parts} and parts.index(float) < parts.index(int):
            parts.remove(int)
            parts.insert(parts.index(float), int)
            set_type(action, reduce(or_, parts))  # of |, which keeps the order
