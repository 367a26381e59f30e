"""`gcvideo data STEP`: from archives to lists that training reads, by the steps of data_prep."""

import importlib
import sys
from collections.abc import Sequence

STEPS = {
    "download": "the archives of a data set, or any list of addresses",
    "extract": "the videos of archives",
    "annotations": "official annotation files as train.csv, val.csv, test.csv, classes.txt",
    "transcode": "small H.264 videos that training reads fast and exactly",
    "verify": "the lists that training uses, and the list of bad files",
    "stats": "a table, and one page with plots",
    "pack": "shards, for network file systems and object stores",
}

USAGE = "\n".join(
    [
        "usage: gcvideo data STEP [--help] [arguments]",
        "",
        "Prepare Kinetics, UCF101, HMDB51, Something-Something v2, ActivityNet, HACS, Charades, AVA,",
        "Multi-Moments in Time, or a folder of class folders, in this order:",
        "",
        *(f"  {name:<13}{makes}" for name, makes in STEPS.items()),
        "",
        "`gcvideo data STEP --help` explains the step's arguments. Each can be stopped at any moment and",
        "started again with the same command.",
    ]
)


def run(arguments: Sequence[str]) -> None:
    """Run the step that `arguments`, behind the word data, begin with, and exit with its code."""
    named = list(arguments[1:])
    if not named or named[0] in ("-h", "--help"):
        sys.stdout.write(USAGE + "\n")
        return
    if named[0] not in STEPS:
        sys.stderr.write(f"gcvideo data: no step {named[0]!r}; one of {', '.join(STEPS)}\n")
        sys.exit(2)
    step = importlib.import_module(f"data_prep.{named[0]}")
    importlib.import_module("data_prep.running.console").run_step(lambda _: step.main(named[1:]))
