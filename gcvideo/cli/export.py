"""`gcvideo export`: a trained network for other programs, each file checked on real clips."""

import copy
import importlib.util
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from rich.table import Table
from torch import Tensor, nn

from gcvideo.atomic import replacing, write_text
from gcvideo.backbones.checkpoints import read_checkpoint, write_state
from gcvideo.backbones.checkpoints.folding import fold_batch_norms
from gcvideo.cli.arguments.export import parser
from gcvideo.cli.inputs import find_videos, load
from gcvideo.data import VideoDataModule
from gcvideo.data.dataset import collate
from gcvideo.data.on_device import OnDevice
from gcvideo.terminal import Terminal
from gcvideo.words import ExportKind as Kind

log = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]


class Export(NamedTuple):
    """One kind of file: how it is written, and how a network is read back from it."""

    file: str
    write: Callable[[nn.Module, Tensor, Path, int], None]
    read: Callable[[nn.Module, Path], Forward]


def run(arguments: Sequence[str]) -> None:
    """Export what `arguments` name.

    Raises:
        ValueError: An export differs from the network, or a package is missing.
    """
    options = parser().parse_args(list(arguments[1:]))

    # Refuse before work if a package is missing
    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if not importlib.util.find_spec(name)]
    if "onnx" in options.kinds and missing:
        raise ValueError(f"ONNX needs {', '.join(missing)}; pip install 'gcvideo[export]', or leave onnx out")

    # Load the network, and what it gives on clips
    model, data = load(options.checkpoint, device="cpu", state=options.weights.state)
    clips = clips_to_check_on(data, options.videos, num_videos=options.num_videos)
    network = copy.deepcopy(model.network).eval().to(memory_format=torch.contiguous_format)
    if options.fold_batch_norms:
        network, num_folded = fold_batch_norms(network)
        log.info("folded %d batch norms", num_folded)
    with torch.inference_mode():
        expected = model.network(clips)

    # Write each file and read it back
    options.out.mkdir(parents=True, exist_ok=True)
    differences = {}
    for kind in options.kinds:
        export = EXPORTS[kind]
        path = options.out / export.file
        export.write(network, clips, path, options.opset)
        found = export.read(network, path)
        differences[export.file] = max(
            difference(found(batch), expected[: len(batch)]) for batch in (clips, clips[:1])
        )

    # Describe the files
    description = {
        "input": {
            "name": "clips",
            "shape": ["batch", *clips.shape[1:]],
            "values": "(RGB in 0..255 - mean) / std",
        },
        "mean": data.normalize.mean.flatten().tolist(),
        "std": data.normalize.std.flatten().tolist(),
        "output": {"name": "logits", "classes": model.class_names, **model.task.as_plain()},
        "opset": options.opset,
        "batch_norms_folded": options.fold_batch_norms,
        "relative_differences": differences,
    }
    write_text(options.out / "export.json", json.dumps(description, indent=2) + "\n")
    print_differences(differences, clips, opset=options.opset)

    # Delete those that differ
    failed = {file: found for file, found in differences.items() if not found <= options.tolerance}
    for file in failed:
        (options.out / file).unlink()
    if failed:
        raise ValueError(
            "; ".join(f"{file} differs from the network by {found:.2g}" for file, found in failed.items())
            + f", more than {options.tolerance:g}, and is deleted"
        )


def clips_to_check_on(
    data: VideoDataModule, videos: Sequence[Path] | None, *, num_videos: int
) -> Float[Tensor, "B 3 T H W"]:
    """Return two clips of each video, as the network reads them in a test; without videos, clips of noise."""
    if videos is not None:
        records = list(find_videos(videos))
    elif data.lists["val"].is_file():
        records = data.records("val")
    else:
        log.warning("%s is not here: checked on noise; name real videos by --videos", data.lists["val"])
        size = data.test_views.crop_size
        noise = torch.Generator().manual_seed(0)
        return torch.randn(2, 3, data.clip.num_frames, size, size, generator=noise)
    dataset = data.evaluation_dataset(
        records[:num_videos], replace(data.test_views, num_clips=2, num_crops=1)
    )
    clips = [dataset[0, index] for index in range(len(dataset))]
    batch = collate(clips, num_classes=dataset.num_classes)
    return OnDevice(data, torch.device("cpu"))(batch).views.flatten(0, 1)


def difference(found: Float[Tensor, "B K"], expected: Float[Tensor, "B K"]) -> float:
    """Return max |found - expected| / max |expected|."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def print_differences(
    differences: dict[str, float], clips: Float[Tensor, "B 3 T H W"], *, opset: int
) -> None:
    """Print what was written and how far it is from the network."""
    opsets = {EXPORTS["onnx"].file: str(opset)}
    printed = Table("file", "opset", "difference")
    for file, found in differences.items():
        printed.add_row(file, opsets.get(file, "-"), f"{found:.2g}")
    Terminal().print(
        printed, f"max |logit - eager| / max |eager| over {len(clips)} clips of {list(clips.shape[1:])}"
    )


def export_program(network: nn.Module, clips: Float[Tensor, "B 3 T H W"]) -> torch.export.ExportedProgram:
    """Trace the network as a graph that takes any number of clips."""
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        return torch.export.export(network, (clips,), dynamic_shapes=({0: batch},))


def write_program(network: nn.Module, clips: Tensor, path: Path, opset: int) -> None:
    """Write the network as a program of torch.export."""
    with replacing(path) as unfinished, unfinished.open("wb") as stream:
        torch.export.save(export_program(network, clips), stream)  # pyright: ignore[reportArgumentType]


def read_program(network: nn.Module, path: Path) -> Forward:
    """Return how a program that was written computes."""
    return torch.export.load(path).module()


def write_onnx(network: nn.Module, clips: Tensor, path: Path, opset: int) -> None:
    """Write the network as ONNX."""
    program = torch.onnx.export(
        export_program(network, clips),
        (clips,),
        input_names=["clips"],
        output_names=["logits"],
        opset_version=opset,
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    with replacing(path) as unfinished:
        program.save(unfinished)


def read_onnx(network: nn.Module, path: Path) -> Forward:
    """Return how ONNX Runtime computes what was written."""
    import onnxruntime  # an extra of the package

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda clips: torch.from_numpy(session.run(["logits"], {"clips": clips.numpy()})[0])


def write_weights(network: nn.Module, clips: Tensor, path: Path, opset: int) -> None:
    """Write the weights alone."""
    write_state(path, network.state_dict())


def read_weights(network: nn.Module, path: Path) -> Forward:
    """Return the forward pass of a copy of the network that has its weights from the file alone."""
    empty = copy.deepcopy(network).to_empty(device="cpu")
    empty.load_state_dict(read_checkpoint(path).state, strict=True)
    return torch.inference_mode()(empty.forward)


EXPORTS: dict[Kind, Export] = {
    "onnx": Export("model.onnx", write_onnx, read_onnx),
    "program": Export("model.pt2", write_program, read_program),
    "state": Export("model.safetensors", write_weights, read_weights),
}
