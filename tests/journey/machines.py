"""Ranks on machines of their own, some of which are not as the others."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path

from tests.data.annotated import write_dataset
from tests.training.runs import context, free_port, write_config


def write_machines(folder: Path) -> Path:
    """Folders of five machines that hold the same videos, and a run folder that all see.

    The training list of machine 3 is in another order, and a video of machine 4 is empty.
    """
    videos = write_dataset(folder / "videos", train=10, val=5, test=2)
    for rank in range(5):
        shutil.copytree(videos, folder / f"machine{rank}" / "videos")
    rows = (videos / "train.csv").read_text().splitlines()
    (folder / "machine3" / "videos" / "train.csv").write_text("\n".join([rows[0], *rows[:0:-1]]) + "\n")
    (folder / "machine4" / "videos" / "09.mp4").write_bytes(b"")
    write_config(folder, Path("videos"))
    return folder


def on_machines(
    command: str,
    folder: Path,
    *arguments: str,
    ranks: int = 2,
    faults: Mapping[int, Callable[[], None]] | None = None,
    waited_for: int = 0,
    seconds: float = 90.0,
) -> tuple[list[int | None], str]:
    """The exit codes of processes that are on a machine each, and what they say.

    Args:
        faults: What is done on a machine before the command begins.
        waited_for: The rank that must end by itself; the others have little more time.
        seconds: How long it has.
    """
    port = str(free_port())
    line = [command, "--config", str(folder / "run.yaml"), "--trainer.devices=1"]
    line += [f"--trainer.num_nodes={ranks}", *arguments]
    started = []
    for rank in range(ranks):
        environment = {
            "RANK": str(rank),
            "GROUP_RANK": str(rank),
            "LOCAL_RANK": "0",
            "WORLD_SIZE": str(ranks),
        }
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
        fault = (faults or {}).get(rank, bool)
        process = context.Process(target=be, args=(folder / f"machine{rank}", environment, line, fault))
        process.start()
        started.append(process)
    for process in [started[waited_for], *started]:
        process.join(seconds if process is started[waited_for] else 10)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
        process.join()
    return codes, "".join((folder / f"machine{rank}" / "said").read_text() for rank in range(ranks))


def be(machine: Path, environment: dict[str, str], line: list[str], fault: Callable[[], None]) -> None:
    """The life of one process."""
    os.chdir(machine)
    os.environ.update(environment)
    stream = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, sys.stdout.fileno())
    os.dup2(stream, sys.stderr.fileno())
    sys.argv = ["gcvideo", *line]
    from gcvideo.cli import main

    fault()
    main(sys.argv[1:])


def other_version() -> None:
    version = metadata.version
    metadata.version = lambda name: "1.0" if name == "torch" else version(name)


def other_configuration() -> None:
    sys.argv.append("--model.learning_rate=0.2")
