"""Many processes compute what one computes."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.data.annotated import write_dataset
from tests.training.runs import batches, fault, last_checkpoint, run, said, write_config

NUM_CLASSES = 7


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred videos of seven classes, most of them copies, and lists test-N.csv of the first N."""
    root = write_dataset(tmp_path_factory.mktemp("data") / "videos", train=16, val=1, test=1)
    names = [f"{index:02d}.mp4" for index in range(16)]
    for index in range(16, 100):
        shutil.copy(root / names[index % 16], root / f"{index:02d}.mp4")
        names.append(f"{index:02d}.mp4")
    (root / "classes.txt").write_text("".join(f"class {k}\n" for k in range(NUM_CLASSES)))
    for num_videos in (1, 7, 21, 100):
        rows = [f"{name},{index * index % NUM_CLASSES}" for index, name in enumerate(names[:num_videos])]
        (root / f"test-{num_videos}.csv").write_text("\n".join(["path,label", *reversed(rows)]) + "\n")
    return root


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a network that is of different minds about different videos."""
    folder = tmp_path_factory.mktemp("trained")
    assert run(write_config(folder, root, model={"learning_rate": 5.0})) == [0]
    return folder / "run" / "checkpoints" / "last.ckpt"


def figures(
    folder: Path, root: Path, trained: Path, *, num_videos: int, processes: int, command: str = "test"
) -> tuple[dict[str, float], pd.DataFrame | None]:
    """Metrics and, of a test, the table."""
    lists = {"test": f"test-{num_videos}.csv", "val": f"test-{num_videos}.csv"}
    config = write_config(folder / str(processes), root, data=lists)
    codes = run(config, "--ckpt_path", str(trained), command=command, processes=processes)
    assert codes == [0] * processes, said(config.parent)
    run_dir = config.parent / "run"
    stage = {"test": "test", "validate": "val"}[command]
    metrics = json.loads((run_dir / f"{stage}_metrics.json").read_text())
    return metrics, pd.read_csv(run_dir / "predictions.csv") if command == "test" else None


def assert_equal_figures(folder: Path, root: Path, trained: Path, num_videos: int, *counts: int) -> None:
    metrics, table = figures(folder, root, trained, num_videos=num_videos, processes=1)
    assert table["video"].tolist() == sorted(f"{index:02d}.mp4" for index in range(num_videos))
    for processes in counts:
        same, same_table = figures(folder, root, trained, num_videos=num_videos, processes=processes)
        assert same == pytest.approx(metrics, abs=1e-6)
        pd.testing.assert_frame_equal(table, same_table, atol=2e-6, rtol=0)


def test_a_test_on_several_processes_has_the_figures_of_one(tmp_path, root, trained):
    for num_videos, counts in ((1, [3]), (7, [2])):
        assert_equal_figures(tmp_path / str(num_videos), root, trained, num_videos, *counts)


@pytest.mark.slow
@pytest.mark.parametrize("num_videos", [1, 7, 21, 100])
def test_any_number_of_videos_on_any_number_of_processes_has_the_figures_of_one(
    tmp_path, root, trained, num_videos
):
    assert_equal_figures(tmp_path, root, trained, num_videos, 2, 3)


def test_fewer_validation_videos_than_processes_are_validated_and_trained_with(tmp_path, root, trained):
    alone, _ = figures(tmp_path, root, trained, num_videos=1, processes=1, command="validate")
    three, _ = figures(tmp_path, root, trained, num_videos=1, processes=3, command="validate")
    assert three == pytest.approx(alone, abs=1e-6)
    config = write_config(tmp_path / "fit", root)
    assert run(config, processes=3) == [0] * 3, said(tmp_path / "fit")


def test_two_and_four_processes_have_the_loss_trace_of_one(tmp_path, root):
    """At one global batch of 4 clips, with norms in evaluation; each rank's loss is the mean of its clips."""
    traces, weights = {}, {}
    for processes in (1, 2, 4):
        folder = tmp_path / str(processes)
        data = {"batch_size": 4 // processes, "blend": []}
        config = write_config(folder, root, fault("InEvaluation"), data=data, model={"learning_rate": 2.0})
        assert run(config, processes=processes) == [0] * processes, said(folder)
        facts = batches(folder)
        traces[processes] = torch.tensor(
            [[float.fromhex(facts[p, b]["loss"]) for b in range(1, 9)] for p in range(processes)]
        ).mean(0)
        weights[processes] = last_checkpoint(folder)["state_dict"]
    assert traces[1].std() > 0.01
    for processes in (2, 4):
        torch.testing.assert_close(traces[processes], traces[1], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(weights[processes], weights[1], rtol=1e-4, atol=1e-6)


def test_precise_norms_of_several_processes_are_those_of_one(tmp_path, root):
    """Of the first norm, whose inputs do not depend on which clips were together in a batch."""
    found = {}
    for processes in (1, 2, 4):
        folder = tmp_path / str(processes)
        precise = {
            "class_path": "gcvideo.training.PreciseBatchNorm",
            "init_args": {"num_batches": 8 // processes},
        }
        trainer = {"callbacks": [precise], "max_epochs": 1}
        config = write_config(folder, root, trainer=trainer, model={"learning_rate": 0.0})
        assert run(config, processes=processes) == [0] * processes, said(folder)
        found[processes] = last_checkpoint(folder)["state_dict"]
    for name in ("network.first_norm.running_mean", "network.first_norm.running_var"):
        for processes in (2, 4):
            torch.testing.assert_close(found[processes][name], found[1][name], rtol=1e-5, atol=1e-6)
