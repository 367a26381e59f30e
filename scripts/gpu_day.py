"""All that is to be measured on a GPU, in parts that each end in time.

    scripts/gpu_day.sh OUT --wheels FOLDER         # everything, at most 25 minutes
    scripts/gpu_day.sh OUT --only kernels steps    # parts of it
    scripts/gpu_day.sh OUT --device cpu --quick    # the same commands on something small, to try them

A part that has ended well is not done again when the command is; one that was cut keeps what it had measured.
OUT/results.json, results.md and pictures have what is there so far, after every part. With --publish they are
put into the documentation.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).resolve().parent
PROJECT = SCRIPTS.parent
GCVIDEO = [sys.executable, "-c", "from gcvideo.cli import main; main()"]
MINUTES = 25
SLOWER_ON_CPU = 5
"""How many times as long a part may take there: small as it is, the machine may have other things to do."""
SECONDS_TO_END = 5
"""Between asking a part to end and killing it."""
SMALL_STEPS = "--num-frames 4 --crop-size 32 --width 0.0625 --rounds 1 --seconds-per-turn 0.001"
SMALL_MAPS = "--size 1 8 2 3 3 --mib 0.0001 --rounds 1 --compile-with eager"


class Day(NamedTuple):
    """Where and how everything is measured."""

    out: Path
    device: str
    quick: bool

    def script(self, name: str, *options: str, save: str = "") -> list[str]:
        """Return the command of a benchmark, options split at spaces."""
        words = [word for option in options for word in option.split()]
        saved = ["--save", str(self.folder(save) / "figures.csv")] if save else []
        return [sys.executable, "-u", str(SCRIPTS / name), *words, *saved]

    def folder(self, part: str) -> Path:
        return self.out / "parts" / part


class Part(NamedTuple):
    """Commands one after another, and the seconds that all of them together may take."""

    seconds: int
    about: str
    commands: Callable[[Day], list[list[str]]]


def tests(day: Day) -> list[list[str]]:
    report = f"--junitxml={day.folder('tests') / 'tests.xml'}"
    where = ["tests/kernels"] if day.quick else ["tests"]
    common = ["-m", "gpu", "-q", "-p", "no:cacheprovider", "--timeout=120", report]
    return [[sys.executable, "-m", "pytest", *common, *where]]


def kernels(day: Day) -> list[list[str]]:
    small = SMALL_MAPS if day.quick else "--rounds 7"
    return [day.script("bench_pooling.py", f"--device {day.device}", small, save="kernels")]


def steps(day: Day) -> list[list[str]]:
    if day.quick:
        small = f"{SMALL_STEPS} --compiled --compile-with eager --precision float32 --batch-size 2"
        return [day.script("bench_steps.py", f"plain --device {day.device}", small, save="steps")]
    run = f"plain --device {day.device} --rounds 5"
    return [
        day.script("bench_steps.py", run, "--precision bfloat16 --batch-size 32", save="steps"),
        day.script("bench_steps.py", run, "--precision float32 --batch-size 32", save="steps"),
        day.script("bench_steps.py", run, "--compiled --precision bfloat16 --batch-size 16", save="steps"),
        day.script("bench_steps.py", run, "--compiled --precision float32 --batch-size 16", save="steps"),
        day.script("bench_steps.py", run, "--precision bfloat16 float32 --batch-size 8", save="steps"),
    ]


def graphs(day: Day) -> list[list[str]]:
    small = f"{SMALL_STEPS} --batch-size 2" if day.quick else "--batch-size 1 8 --precision bfloat16 float32"
    return [day.script("bench_steps.py", f"captured --device {day.device}", small, save="graphs")]


def blocks(day: Day) -> list[list[str]]:
    small = "--rounds 1 --only global --quick" if day.quick else "--rounds 9"
    return [day.script("bench_blocks.py", f"--device {day.device}", small, save="blocks")]


def network(day: Day) -> list[list[str]]:
    """The sections of bench_network.py that `steps` has not."""
    if day.quick:
        small = "formats --rounds 1 --num-frames 2 --crop-size 32"
        return [day.script("bench_network.py", f"--device {day.device}", small, save="network")]
    options = f"formats precisions checkpointing folding --device {day.device} --batch-size 8 --rounds 5"
    return [day.script("bench_network.py", options, save="network")]


def complexity(day: Day) -> list[list[str]]:
    small = ["--num_frames=2", "--crop_size=32"] if day.quick else []
    out = f"--out={day.folder('complexity')}"
    return [[*GCVIDEO, "complexity", "--paper", f"--device={day.device}", out, *small]]


def quickstart(day: Day) -> list[list[str]]:
    root, run = day.folder("quickstart") / "data", day.folder("quickstart") / "run"
    accelerator = "gpu" if day.device.startswith("cuda") else "cpu"
    few = [f"--num_{split}_per_class=1" for split in ("train", "val", "test")]
    fewer = ["--trainer.max_epochs=1", "--data.batch_size=4", "--data.test_views.num_clips=1"]
    short = [*fewer, "--model.network.init_args.width=0.0625", "--data.num_workers=0"] if day.quick else []
    options = [f"--trainer.accelerator={accelerator}", "--trainer.logger=false"]
    config = "base+synthetic+slow_r50+gc_all+quickstart"
    stack = [f"--config={config}", f"--data.root={root}", f"--run_dir={run}", *options, *short]
    tested = [f"--config={run / 'config.yaml'}", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"]
    return [
        [*GCVIDEO, "synthetic", str(root), *(few if day.quick else [])],
        [*GCVIDEO, "fit", *stack],
        [*GCVIDEO, "test", *tested],
    ]


def loader(day: Day) -> list[list[str]]:
    cores = len(os.sched_getaffinity(0))
    numbers = sorted({0, 1, *(2**n for n in range(1, 8) if 2**n < cores), cores})
    some = "0 1 --rounds 1" if day.quick else f"{' '.join(map(str, numbers))} --rounds 3"
    return [day.script("bench_loader.py", f"workers --num-workers {some}", save="loader")]


PARTS = {
    "tests": Part(200, "pytest -m gpu", tests),
    "kernels": Part(180, "attention pooling against float64 and the bandwidth of a copy", kernels),
    "steps": Part(420, "training steps beside pytorchvideo's in a plain loop", steps),
    "graphs": Part(120, "training steps as one CUDA graph", graphs),
    "blocks": Part(120, "blocks beside pytorchvideo's and 1x1x1 convolutions", blocks),
    "network": Part(120, "formats, precisions, checkpointing and folding", network),
    "complexity": Part(80, "gcvideo complexity --paper", complexity),
    "quickstart": Part(160, "the embedded set: fit, test with 30 views", quickstart),
    "loader": Part(100, "clips per second of loader processes", loader),
}
"""In the order of what matters most, should the time run out."""


def main() -> None:
    arguments = _parser().parse_args()
    require_packages()
    day = Day(arguments.out.resolve(), arguments.device, arguments.quick)
    require_device(day.device)
    from gpu_day_report import publish, write_report  # needs the packages

    ends, unfinished = time.monotonic() + 60 * arguments.minutes, 0
    for number, name in enumerate(arguments.only or PARTS, start=1):
        line = f"[{number}/{len(arguments.only or PARTS)}] {name}: {PARTS[name].about}"
        if ended_well(day, name):
            print(f"{line}: done before", flush=True)
            continue
        seconds = PARTS[name].seconds * (SLOWER_ON_CPU if day.device == "cpu" else 1)
        left = min(seconds, ends - time.monotonic())
        if left < SECONDS_TO_END:
            print(f"{line}: no time is left", flush=True)
            unfinished += 1
            continue
        print(f"{line} (at most {left:.0f} s)", flush=True)
        found = run_part(day, name, left)
        unfinished += found["ended"] != "done"
        print(
            f"    {found['ended']} after {found['seconds']:.0f} s: {day.folder(name) / 'log.txt'}", flush=True
        )
        write_report(day.out)  # which is there when the next part is cut
    summary = write_report(day.out)
    print(summary)
    if arguments.publish:
        print(f"wrote {publish(day.out, PROJECT / 'scripts' / 'docs')}")
    sys.exit(1 if unfinished else 0)


def run_part(day: Day, name: str, seconds: float) -> dict[str, object]:
    """Run the commands of a part until one fails or the time is over, and write down how it ended."""
    folder = day.folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "figures.csv").unlink(missing_ok=True)
    began, ended = time.monotonic(), "done"
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "150"}
    if day.device == "cpu" and name == "kernels":
        environment["TRITON_INTERPRET"] = "1"
    with (folder / "log.txt").open("w") as log:
        for command in PARTS[name].commands(day):
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            code = call(command, log, environment, began + seconds - time.monotonic())
            if code != 0:
                ended = "cut" if code is None else f"failed with exit code {code}"
                break
    found = {"ended": ended, "seconds": time.monotonic() - began, "settings": settings_of(day)}
    (folder / "ended.json").write_text(json.dumps(found))
    return found


def call(command: list[str], log, environment: dict[str, str], seconds: float) -> int | None:
    """Return the exit code of a command, with all its children; None if it was ended for its time."""
    process = subprocess.Popen(
        command, stdout=log, stderr=log, env=environment, cwd=PROJECT, start_new_session=True
    )
    try:
        return process.wait(max(seconds, 0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(SECONDS_TO_END)
                except subprocess.TimeoutExpired:
                    continue


def ended_well(day: Day, name: str) -> bool:
    """Return whether a part was done before, with the same settings."""
    file = day.folder(name) / "ended.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    return found.get("ended") == "done" and found["settings"] == settings_of(day)


def settings_of(day: Day) -> dict[str, object]:
    return {"device": day.device, "quick": day.quick}


def require_packages() -> None:
    """End with the packages that this Python lacks."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    from packaging.requirements import Requirement  # which torch's own dependencies bring

    wanted = [Requirement(line) for line in project["dependencies"]]
    wanted += [Requirement(line) for line in project["optional-dependencies"]["dev"] if "pytest" in line]
    wanted += [Requirement("gcvideo"), Requirement("hypothesis"), Requirement("beartype")]
    missing = []
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            missing.append(str(requirement))
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            missing.append(f"{requirement} (found {found})")
    if missing:
        sys.exit(
            f"gpu_day: {sys.executable} lacks {', '.join(missing)}; put wheels of them, of what they need "
            "and of gcvideo (pip wheel --no-deps .) into a folder and give --wheels FOLDER"
        )


def require_device(name: str) -> None:
    """End if torch cannot use the device."""
    import torch

    try:
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        sys.exit(
            f"gpu_day: --device {name} cannot be used here ({reason}); --device cpu --quick tries the script"
        )


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"    {name:<11}{part.seconds:>4} s  {part.about}" for name, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="scripts/gpu_day.sh",
        description=f"{__doc__}\nParts, and the most seconds that each takes:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help="do these parts only")
    parser.add_argument("--device", default="cuda", help="(default: cuda)")
    parser.add_argument("--quick", action="store_true", help="measure something small, which says nothing")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"of all parts (default: {MINUTES})")
    parser.add_argument(
        "--publish", action="store_true", help="put results and pictures into scripts/docs when all is done"
    )
    parser.add_argument(
        "--wheels", type=Path, help="of gpu_day.sh, behind OUT: install these first, without a network"
    )
    return parser


if __name__ == "__main__":
    main()
