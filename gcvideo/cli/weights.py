"""`gcvideo weights inspect | convert`: what a file of weights holds, and the same under other names."""

import logging
from collections.abc import Sequence

from gcvideo.backbones.checkpoints import (
    NAMINGS,
    Checkpoint,
    Recognised,
    conversion,
    find_network,
    read_checkpoint,
    read_naming,
    recognise,
    write_state,
)
from gcvideo.backbones.checkpoints.configurations import ours, read_configuration
from gcvideo.backbones.checkpoints.files import non_finite
from gcvideo.backbones.checkpoints.kinds import count_blocks, kinds_of_blocks
from gcvideo.backbones.checkpoints.others import Other, other_network
from gcvideo.backbones.checkpoints.recognition import is_residual
from gcvideo.cli.arguments.weights import parser
from gcvideo.cli.pretrained import numbers
from gcvideo.terminal import Terminal

log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> None:
    """Do what `arguments` say."""
    options = parser().parse_args(list(arguments[1:]))
    chosen = options[options.action]

    # Inspect
    checkpoint = find_network(read_checkpoint(chosen.path, state=chosen.state))
    class_path = ours.network_class(checkpoint.record)
    if options.action == "inspect" and class_path is not None and not is_residual(checkpoint.state):
        print_own(checkpoint, class_path, tensors=chosen.tensors)
        return
    other = other_network(checkpoint.state)
    if options.action == "inspect" and other is not None and not is_residual(checkpoint.state):
        print_other(checkpoint, other, tensors=chosen.tensors)
        return
    source = recognise(checkpoint, format=chosen.format)
    if options.action == "inspect":
        print_contents(checkpoint, source, tensors=chosen.tensors)
        return

    # Convert
    if chosen.to in conversion.WRAPPED and chosen.out.suffix == ".safetensors":
        raise ValueError(
            f"{chosen.out}: {NAMINGS[chosen.to].title} reads no safetensors; write .pth or .pyth"
        )
    state, settings = conversion.convert(
        checkpoint, source, to=chosen.to, architecture=chosen.architecture, inflation=chosen.inflation
    )
    log.info("%s: %s", chosen.path, source)

    # Write, as the codebase keeps its checkpoints
    if chosen.to in conversion.WRAPPED:
        wrapped = conversion.WRAPPED[chosen.to]
        there = wrapped.configuration(settings, source.skeleton)
        write_state(chosen.out, state, inside=wrapped.inside, beside=wrapped.beside(there))
        log.info("%s computes the same with %s", NAMINGS[chosen.to].title, there.strip())
    else:
        names = [*ours.hyperparameters(checkpoint.record).get("class_names", ())]
        record = ours.write(settings, source.input, block=source.block, class_names=names)
        record["source"] = f"{chosen.path.name}: {source}"
        write_state(chosen.out, state, record=record)
        log.info("its network has %s", ", ".join(f"{name} {value}" for name, value in settings.items()))
    log.info("wrote %d tensors as %s names them to %s", len(state), chosen.to, chosen.out)


def print_own(checkpoint: Checkpoint, class_path: str, *, tensors: bool) -> None:
    """Print what a checkpoint of a network of one's own holds, whose names no table knows."""
    blocks = count_blocks(kinds_of_blocks(checkpoint.state, read_configuration(checkpoint).block))
    lines = [f"{checkpoint.path}: {', '.join([class_path, *blocks])}", _count(checkpoint)]
    _print(lines + _not_finite(checkpoint) + _own_tensors(checkpoint) * tensors)


def _own_tensors(checkpoint: Checkpoint) -> list[str]:
    return [f"  {key} {list(tensor.shape)}" for key, tensor in checkpoint.state.items()]


def print_other(checkpoint: Checkpoint, other: Other, *, tensors: bool) -> None:
    """Print what a file of another library's network holds, which keeps its names here."""
    lines = [f"{checkpoint.path}: {other.describe(checkpoint.state)}; {other.advice}", _count(checkpoint)]
    lines += _not_finite(checkpoint)
    mean, std = (numbers(values or ()) for values in (other.input.mean, other.input.std))
    lines.append(f"published weights have mean {mean}, std {std}; compare data.mean, data.std")
    _print(lines + _own_tensors(checkpoint) * tensors)


def print_contents(checkpoint: Checkpoint, source: Recognised, *, tensors: bool) -> None:
    """Print what the file holds."""
    lines = [f"{checkpoint.path}: {source}", _count(checkpoint)]
    if source.named.unknown:
        lines.append(f"no name here for {len(source.named.unknown)}: {', '.join(source.named.unknown)}")
    if source.named.not_ours:
        lines.append(f"{len(source.named.not_ours)} of no classifier")
    lines += [*_not_finite(checkpoint), *_left_open(source), _pixels(source)]
    if tensors:
        lines += [
            f"  {theirs} -> {ours} {list(source.named.state[ours].shape)}"
            for theirs, ours in _pairs(checkpoint, source)
        ]
    _print(lines)


def _print(lines: Sequence[str]) -> None:
    console = Terminal()
    for line in lines:
        console.print(line, soft_wrap=True)


def _count(checkpoint: Checkpoint) -> str:
    """Return how many tensors and numbers there are, and of which types."""
    num_millions = sum(tensor.numel() for tensor in checkpoint.state.values()) / 1e6
    kinds = ", ".join(sorted({str(t.dtype).removeprefix("torch.") for t in checkpoint.state.values()}))
    return f"{len(checkpoint.state)} tensors, {num_millions:.2f} M numbers, {kinds}"


def _not_finite(checkpoint: Checkpoint) -> list[str]:
    """Return a line for every tensor with numbers that are nan or infinite."""
    counts = non_finite(checkpoint.state)
    return [f"{key}: {count} numbers are nan or infinite" for key, count in counts.items()]


def _pixels(source: Recognised) -> str:
    """Say what the file's network normalises pictures with, or else what its codebase's recipes do."""
    if source.input.mean and source.input.std:
        return f"trained with mean {numbers(source.input.mean)}, std {numbers(source.input.std)}"
    usual = NAMINGS[source.format].pixels
    return f"recipes of this naming normalise with {usual}; compare data.mean, data.std"


def _left_open(source: Recognised) -> list[str]:
    """Say what the file may be set to, if its configuration does not."""
    settings = [f"{name} ({' or '.join(v)})" for name, v in source.settings.items() if len(v) > 1]
    return [f"left open by the file: {', '.join(settings)}"] if settings else []


def _pairs(checkpoint: Checkpoint, source: Recognised) -> list[tuple[str, str]]:
    """Return every key of the file with the name that it has between two namings."""
    return [
        (key, ours)
        for key, tensor in checkpoint.state.items()
        for ours in read_naming({key: tensor}, source.format).state
        if ours.rpartition(".")[2] == key.rpartition(".")[2]
    ]
