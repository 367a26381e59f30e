"""The short help of `gcvideo image fit | validate | test | predict | attention`."""

from collections.abc import Sequence

from gcvideo.cli import run_help
from gcvideo.cli.run_help import Topic

STARTS = {
    "fit": (
        "Train a network on pictures; everything that comes of it is in the run's folder.",
        "gcvideo image fit --config base+folder+recipe --data.root pictures --run_dir runs/mine",
    ),
    "validate": (
        "Validate a checkpoint.",
        "gcvideo image validate --config runs/mine/config.yaml --ckpt_path runs/mine/checkpoints/best.ckpt",
    ),
    "test": (
        "Test a checkpoint.",
        "gcvideo image test --config runs/mine/config.yaml --ckpt_path runs/mine/checkpoints/best.ckpt",
    ),
    "predict": (
        "Predict on pictures, and folders of them; the results are files in the run's folder, or in --out.",
        "gcvideo image predict new/ --ckpt_path runs/mine/checkpoints/best.ckpt",
    ),
    "attention": (
        "Measure how far apart positions are in every context block (GCNet, table 1), and draw maps.",
        "gcvideo image attention new/ --ckpt_path runs/mine/checkpoints/best.ckpt",
    ),
}
TRAINING = next(topic for topic in run_help.TOPICS if topic.title == "training")
RUN = next(topic for topic in run_help.TOPICS if topic.title == "the run")
TOPICS = (
    next(topic for topic in run_help.TOPICS if topic.title == "configuration"),
    Topic(
        "data and network",
        {
            "--data CLASS": "ImageFolderData, CocoData, MaskFolderData, or yours",
            "--data.root FOLDER": "folder of the pictures and their lists",
            "--data.batch_size 8": "training pictures per process",
            "--data.num_workers 8": "loader processes per training process",
            "--model CLASS": "ImageClassifier, Detector, Segmenter, or yours",
            "--model.weights.path FILE": "start from these weights",
        },
    ),
    TRAINING,
    RUN,
    Topic(
        "the checkpoint",
        {
            "--ckpt_path FILE": "its network, names and configuration; --config is then optional",
            "--weights.state raw": "the weights before averaging, where a training averaged them",
            "--run_dir FOLDER": "where results go; by default the checkpoint's run",
            "--trainer.devices 1": "GPUs; auto takes all",
        },
        ("validate", "test", "predict", "attention"),
    ),
    Topic("results", {"--out FOLDER": "`predictions` in the run's folder by default"}, ("predict",)),
    Topic(
        "what is measured and drawn",
        {
            "--blocks c4.4": "these context blocks; all if unset",
            "--num_pairs 2000": "pairs of positions of a picture, for the Jensen-Shannon divergence",
            "--maps 2": "draw maps of so many pictures, the first ones",
            "--query 0.5,0.3,0.7": "draw maps of these points: T,Y,X in shares, T of no account",
            "--out FOLDER": "`attention` in the run's folder by default",
        },
        ("attention",),
    ),
)


def answer(arguments: Sequence[str]) -> bool:
    """Print the short help if that is what `arguments` ask for, and return whether they do."""
    return run_help.answer(arguments, starts=STARTS, topics=TOPICS, program="gcvideo image")
