"""The help of commands that run: in short what most runs need, and the parser's by topic.

The short one imports nothing, so that it is there at once. A test holds every key in it to the parser.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

ALL = "all"
FLAGS = ("-h", "--help")


class Topic(NamedTuple):
    """Arguments that belong together."""

    title: str
    arguments: dict[str, str]
    """What each does, by how it is written."""
    commands: Collection[str] = ()
    """Whose it is; every one's where none is named."""


STARTS = {
    "fit": (
        "Train a network, validating as it goes; everything that comes of it is in the run's folder.",
        "gcvideo fit --config base+folder+slow_r50+gc5 --data.root my_clips --run_dir runs/mine",
    ),
    "validate": (
        "Validate a checkpoint: one centre view of every video, as during training.",
        "gcvideo validate --config runs/mine/config.yaml --ckpt_path runs/mine/checkpoints/best.ckpt",
    ),
    "test": (
        "Test a checkpoint with all views of every video.",
        "gcvideo test --config runs/mine/config.yaml --ckpt_path runs/mine/checkpoints/best.ckpt",
    ),
    "preflight": (
        "Check, with the arguments of fit and under the same launcher (torchrun, srun), from every process:\n"
        "versions, configuration, files and clocks agree; videos are there and can be read; run_dir can be\n"
        "written to; gradients are exchanged; the loader keeps up. Prints one table, and exits with 1 if\n"
        "anything is wrong.",
        "torchrun --nproc_per_node 8 --no_python gcvideo preflight --config base+folder+slow_r50 ...",
    ),
    "tune": (
        "Find a learning rate or a batch size, with the arguments of fit. learning_rate raises the rate\n"
        "from step to step, plots the loss and says where it falls most steeply; batch_size doubles\n"
        "data.batch_size until memory ends. Nothing is trained, no run folder is touched.",
        "gcvideo tune learning_rate --config base+folder+slow_r50+gc5 --data.root my_clips",
    ),
    "peek": (
        "Draw training clips as the network will see them, cropped, augmented and blended, with their\n"
        "labels: clips.png and clips.mp4. No network is made.",
        "gcvideo peek --config base+folder+slow_r50+gc5 --data.root my_clips --out peek",
    ),
}

TOPICS = (
    Topic(
        "configuration",
        {
            "--config NAME+NAME": "files, and names as `gcvideo configs ls` lists them; the last one wins",
            "--print_config": "print what all arguments come to, and stop",
            "--seed_everything 0": "seed of weights, order, clips and crops",
        },
    ),
    Topic(
        "data",
        {
            "--data.root FOLDER": "folder of train.csv, val.csv, test.csv and the videos in them",
            "--data.train FILE": "another list: path,label (likewise --data.val, --data.test)",
            "--data.classes FILE": "class names, one a line; classes.txt by default",
            "--data.batch_size 8": "training clips per process",
            "--data.num_workers 8": "loader processes per training process",
        },
    ),
    Topic(
        "clips",
        {
            "--clip 8x8": "frames x stride: 8 frames, every eighth of the video",
            "--size 224": "side of a clip in pixels; crops and short sides follow: training crops of\n"
            "224 from short sides of 256 to 320, validation 224 from 256, test 256 from\n"
            "256; of another size 8/7 and 10/7 of it, as the papers have it. Both count\n"
            "more than --config, and less than keys of their own (--data.clip.stride)",
            "--data.test_views.num_clips 10": "views of a test: clips ...",
            "--data.test_views.num_crops 3": "... by crops",
        },
    ),
    Topic(
        "what is drawn",
        {
            "--out FOLDER": "where to: peek by default",
            "--num_clips 8": "so many clips",
            "--epoch 0": "of this epoch",
            "--batch 0": "from this batch of it on",
        },
        ("peek",),
    ),
    Topic(
        "what is tried",
        {
            "--tune.lowest 1e-5": "learning rate of the first step",
            "--tune.highest 10": "learning rate of the last step",
            "--tune.num_steps 100": "steps of the test of rates",
            "--tune.most 64": "largest batch size per process; must be given without a GPU",
            "--tune.out FILE": "plot of losses: learning_rate.png by default",
        },
        ("tune",),
    ),
    Topic(
        "what is checked",
        {
            "--preflight.timeout_seconds 60": "how long a rank may take to come, and for each part",
            "--preflight.num_videos 16": "training and validation videos that every rank reads",
            "--preflight.measure_seconds 10": "how long the loader is measured, and then the step",
            "--preflight.max_clock_skew_seconds 2": "how far a clock may be from that of rank 0",
        },
        ("preflight",),
    ),
    Topic(
        "network",
        {
            "--model.network CLASS": "a class instead of a named configuration, yours as well",
            "--model.network.block CLASS": "context block of a residual network, as gc5 has it",
            "--model.network.placement": "in which residual blocks: --model.network.placement.res4 all",
            "--model.weights.path FILE": "start from these weights, of this or another codebase",
            "--model.weights.new [blocks]": "parts that have none there and start fresh: head, blocks",
        },
        ("fit", "validate", "test", "preflight", "tune"),
    ),
    Topic(
        "training",
        {
            "--trainer.max_epochs 30": "how long",
            "--trainer.devices 8": "GPUs of each machine (--trainer.num_nodes of them); auto takes all",
            "--trainer.accelerator gpu": "or cpu; auto by default",
            "--trainer.precision bf16-mixed": "half precision, on GPUs that have it",
            "--model.learning_rate 0.1": "peak, of a batch of --model.reference_batch_size, scaled to yours",
            "--model.optimizer CLASS": "as torch.optim.AdamW; then --model.optimizer.weight_decay 0.05",
            "--model.lr_schedule CLASS": "HalfCosine, StepDecay or torch's",
            "--trainer.fast_dev_run 1": "one batch of everything, to see whether it runs",
        },
        ("fit", "preflight", "tune"),
    ),
    Topic(
        "the run",
        {
            "--run_dir FOLDER": "its folder; by default that of --ckpt_path or --config, or runs/DATE-TIME",
            "--resume auto": "go on from the newest whole checkpoint there, or start",
            "--ckpt_path FILE": "go on from this checkpoint",
        },
        ("fit", "preflight"),
    ),
    Topic(
        "the checkpoint",
        {
            "--ckpt_path FILE": "its network, names and configuration; --config is then optional",
            "--weights.state raw": "the weights before averaging, where a training averaged them",
            "--run_dir FOLDER": "where figures and predictions go; by default the checkpoint's run",
            "--trainer.devices 1": "GPUs; auto takes all",
            "--trainer.limit_test_batches 10": "so many batches and no more",
        },
        ("validate", "test"),
    ),
)

WIDTH = 34


def short_help(
    command: str,
    *,
    starts: Mapping[str, tuple[str, str]] = STARTS,
    topics: Sequence[Topic] = TOPICS,
    program: str = "gcvideo",
) -> str:
    """Return what most runs of a command need.

    Args:
        command: Its name.
        starts: By command what it does, and an example.
        topics: What is listed.
        program: What the commands belong to.
    """
    about, example = starts[command]
    lines = [f"usage: {program} {command} [--config NAME+NAME ...] [--KEY VALUE ...]", "", about, "", example]
    for topic in topics:
        if topic.commands and command not in topic.commands:
            continue
        lines += ["", f"{topic.title}:"]
        for argument, meaning in topic.arguments.items():
            first, *others = meaning.split("\n")
            lines.append(f"  {argument:<{WIDTH - 3}} {first}")
            lines += [" " * WIDTH + other for other in others]
    words = "model, data, trainer, optimizer, clip, weights, checkpoint, safeguard"
    lines += [
        "",
        f"`{program} {command} --help all` has every key, `--help WORD` those with a word in their name, as",
        f"{words}. The settings of a class are in",
        "--model.network.help CLASS, and likewise of every key that takes a class.",
    ]
    return "\n".join(lines)


def answer(
    arguments: Sequence[str],
    *,
    starts: Mapping[str, tuple[str, str]] = STARTS,
    topics: Sequence[Topic] = TOPICS,
    program: str = "gcvideo",
) -> bool:
    """Print the short help if that is what `arguments` ask for, and return whether they do."""
    if not set(FLAGS) & set(arguments) or asked_topic(arguments) is not None:
        return False
    sys.stdout.write(short_help(arguments[0], starts=starts, topics=topics, program=program) + "\n")
    return True


def asked_topic(arguments: Sequence[str]) -> str | None:
    """Return the word behind --help."""
    following = [*arguments[1:], ""]
    words = [word for flag, word in zip(arguments, following, strict=True) if flag in FLAGS]
    return next((word for word in words if word and not word.startswith("-")), None)


def without_topic(arguments: Sequence[str]) -> list[str]:
    """Return arguments without the word behind --help."""
    return [
        word
        for before, word in zip(("", *arguments), arguments, strict=False)
        if before not in FLAGS or word.startswith("-")
    ]
