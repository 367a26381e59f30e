"""`gcvideo COMMAND`: choose the command, set up the log, turn errors into one line.

Nothing heavy is imported before the command is known, so that `gcvideo --help` answers at once.
"""

import importlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pickle import UnpicklingError
from typing import NamedTuple

from gcvideo.cli.log import lightning_likewise, log_to_stderr
from gcvideo.cli.named_configs import with_named_files
from gcvideo.cli.run_help import FLAGS, STARTS, answer
from gcvideo.printable import printable_lines
from gcvideo.shortage import shortage


class Command(NamedTuple):
    """Where a command is, and what it does."""

    module: str
    summary: str
    arguments: str = ""
    """The module of its parser, which imports nothing heavy; of a run, run_help has the help."""


ARGUMENTS = "gcvideo.cli.arguments"
COMMANDS = {
    "fit": Command("gcvideo.cli.run", "train a network, validating as it goes"),
    "validate": Command("gcvideo.cli.run", "validate a checkpoint: one centre view per video"),
    "test": Command("gcvideo.cli.run", "test a checkpoint: all views of every video"),
    "data": Command("gcvideo.cli.data", "download, transcode, verify and list a data set's videos"),
    "preflight": Command("gcvideo.cli.preflight", "check machines and data from every process, before a run"),
    "tune": Command("gcvideo.cli.tune", "find a learning rate or a batch size, before a run"),
    "peek": Command("gcvideo.cli.peek", "training clips as the network will see them, as picture and film"),
    "predict": Command(
        "gcvideo.cli.predict", "top-5 classes of videos, timelines, annotated copies", f"{ARGUMENTS}.predict"
    ),
    "complexity": Command(
        "gcvideo.cli.complexity", "parameters, FLOPs, time and memory", f"{ARGUMENTS}.complexity"
    ),
    "attention": Command(
        "gcvideo.cli.attention",
        "attention maps, and how much they depend on the query",
        f"{ARGUMENTS}.attention",
    ),
    "features": Command(
        "gcvideo.cli.features",
        "pooled features of videos or clips, as .npz or .parquet",
        f"{ARGUMENTS}.features",
    ),
    "configs": Command(
        "gcvideo.cli.configs",
        "list, show and copy the configuration files that come along",
        "gcvideo.cli.configs",
    ),
    "report": Command(
        "gcvideo.cli.report",
        "one HTML page on runs: curves, confusions, mistakes, cost",
        f"{ARGUMENTS}.report",
    ),
    "weights": Command(
        "gcvideo.cli.weights",
        "inspect or convert weights of this and other codebases",
        f"{ARGUMENTS}.weights",
    ),
    "export": Command(
        "gcvideo.cli.export",
        "a checkpoint as ONNX, torch.export program and plain weights",
        f"{ARGUMENTS}.export",
    ),
    "synthetic": Command(
        "gcvideo.cli.synthetic", "write the embedded data set of moving objects", f"{ARGUMENTS}.synthetic"
    ),
    "completion": Command(
        "gcvideo.cli.completion",
        "a script by which bash completes commands, keys and names",
        f"{ARGUMENTS}.completion",
    ),
    "image": Command("gcvideo.images.cli.image", "the same blocks on pictures: fit, validate, test, predict"),
}

INTERRUPTED = 130
"""128 + SIGINT: what a shell reports of a process that Ctrl-C ended."""

OF_ALL_TYPES = "Does not validate against any of the Union subtypes"
"""How jsonargparse begins."""

USAGE = "\n".join(
    [
        "usage: gcvideo COMMAND [--help] [arguments]",
        "",
        "Video action recognition with global-context, non-local and squeeze-excitation networks.",
        "",
        *(f"  {name:<12}{command.summary}" for name, command in COMMANDS.items()),
        "",
        "`gcvideo COMMAND --help` explains the command's arguments.",
        "--config takes files, and names as `gcvideo configs ls` lists them: --config base+slow_r50+gc5.",
        "With --trust MODULE, or GCVIDEO_TRUST=MODULE, checkpoints may name classes of your module.",
        "Set GCVIDEO_TRACEBACK=1 to see where an error comes from.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit with 0 if it did its work, 1 on an error, 2 on wrong usage, 130 after Ctrl-C."""
    # What is answered without a command
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    _open_standard_streams()
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(USAGE + "\n")
        return
    name = arguments[0]
    if name == "--version":
        from gcvideo import __version__

        sys.stdout.write(f"gcvideo {__version__}\n")
        return
    if name not in COMMANDS:
        sys.exit(_complaint(f"gcvideo: no command {name!r}; one of {', '.join(COMMANDS)}", code=2))

    # Run the command; what it raises becomes a line and an exit code
    log_to_stderr()
    _silence_dependencies()
    try:
        if set(FLAGS) & set(arguments) and _helped(arguments):
            return
        command = importlib.import_module(COMMANDS[name].module)
        lightning_likewise()
        command.run(_trusting(with_named_files(arguments)))
    except KeyboardInterrupt:
        sys.exit(_complaint(f"gcvideo {name}: interrupted", code=INTERRUPTED))
    except SystemExit as ended:
        if isinstance(ended.__context__, KeyboardInterrupt):  # Lightning's way, with exit code 1
            sys.exit(_complaint(f"gcvideo {name}: interrupted", code=INTERRUPTED))
        raise
    except (ValueError, OSError, UnpicklingError, MemoryError, RuntimeError) as error:
        unforeseen = isinstance(error, RuntimeError) and shortage(error) is None
        if unforeseen or os.environ.get("GCVIDEO_TRACEBACK"):
            raise
        sys.exit(_complaint(f"gcvideo {name}: {error_message(error)}", code=1))


def _helped(arguments: Sequence[str]) -> bool:
    """Print the help that is asked for if that takes nothing heavy; return whether it does."""
    if arguments[0] in STARTS:
        return answer(arguments)
    of_pictures = ("--paper", "images") in pairwise(arguments)  # whose arguments are another parser's
    if (module := COMMANDS[arguments[0]].arguments) and not of_pictures:
        importlib.import_module(module).parser().parse_args(_trusting(arguments)[1:])
        return True
    return False


def _trusting(arguments: Sequence[str]) -> list[str]:
    """Trust the modules that the user names, and return the other arguments."""
    from gcvideo.cli.trust import named_modules, trust  # which imports the parsers' library

    modules, others = named_modules(arguments)
    trust(modules)
    return others


def error_message(error: Exception) -> str:
    """Return what went wrong, in a line."""
    if isinstance(error, UnpicklingError):  # whose own message advises to run the code
        return "the checkpoint is none, or names code that loading it would run; nothing was loaded"
    return shortage(error) or str(_of_the_class(error)).strip()


def _of_the_class(error: BaseException) -> BaseException:
    """Return what a class among the settings raised, of an error on all the types that it stands for."""
    while str(error).startswith(OF_ALL_TYPES) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _open_standard_streams() -> None:
    """Open those that are closed (`>&-`): the next file would get their number, and what is printed to it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _complaint(message: str, *, code: int) -> int:
    sys.stderr.write(printable_lines(message) + "\n")
    return code


def _silence_dependencies() -> None:
    """Leave out what dependencies say of each other's insides; it asks nothing of a user."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    for message in (
        r"`torch\.jit\.script` is deprecated",  # pytorchvideo and fvcore, when imported
        r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning on recent torch
        r"LightningCLI's args parameter is intended to run from within Python",  # as it does here
        r"You're using the WeightAveraging callback, but loading a checkpoint outside",  # as a test does
        r"Checkpoint directory .* exists and is not empty",  # when a run is resumed
        r"The `srun` command is available on your system but is not used",  # nor need be
        # DDP on CPUs, of kernels of one cell, which lie in memory alike by either strides.
        r"(?s)Grad strides do not match bucket view strides.*grad\.sizes\(\) = \[\d+, \d+(?:, 1)+\]",
    ):
        warnings.filterwarnings("ignore", message=message)
