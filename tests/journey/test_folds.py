"""Every video of a list is tested once, by a network that was not trained on it."""

import pandas as pd

from gcvideo.cli import main
from tests.data.annotated import write_dataset
from tests.training.runs import batches, run, said, write_config


def test_the_folds_of_a_list_are_trained_tested_and_reported_together(tmp_path):
    root = write_dataset(tmp_path / "videos", train=6, val=1, test=1)
    (root / "val.csv").unlink()
    (root / "test.csv").unlink()
    tested, top1 = {}, []
    for fold in (0, 1):
        folder = tmp_path / str(fold)
        config = write_config(folder, root, data={"folds": {"fold": fold, "num_folds": 2}, "batch_size": 1})
        assert run(config) == [0], said(folder)
        own = folder / "run" / "config.yaml"
        assert run(own, "--ckpt_path", str(folder / "run/checkpoints/last.ckpt"), command="test") == [0]
        table = pd.read_csv(folder / "run" / "predictions.csv")
        tested[fold] = set(table["video"])
        top1.append((table["label"] == table["prediction"]).mean())
        trained = {video for facts in batches(folder).values() for video in facts.get("videos", [])}
        assert trained == {f"0{n}.mp4" for n in range(6)} - tested[fold]
        assert sorted(table["label"]) == ["one", "three", "two"]
    assert not tested[0] & tested[1]
    # Together
    runs = [str(tmp_path / str(fold) / "run") for fold in (0, 1)]
    main(["report", "--trust", "tests", "--cost", "false", *runs, "--out", str(tmp_path / "r.html")])
    page = (tmp_path / "r.html").read_text()
    mean, deviation = pd.Series(top1).mean(), pd.Series(top1).std()
    assert "mean ± deviation of 2 of 2 folds" in page
    assert f"<td>{mean:.2%} ± {deviation:.2%}</td>" in page
    assert "train.csv, fold 1 of 2" in page
    # Another fold in the same run, or beside a list of its own
    config = str(tmp_path / "0" / "run" / "config.yaml")
    for arguments, words in (
        (
            ["--resume", "auto", "--data.folds.fold", "1"],
            "data.folds.fold is 1, and the run was begun",
        ),
        (
            ["--run_dir", str(tmp_path / "new"), "--data.folds.group", "("],
            "data.folds.group is '(', which is no",
        ),
        (["--run_dir", str(tmp_path / "new"), "--data.val", "other.csv"], "data.val is other.csv, but with"),
    ):
        assert run(tmp_path / "0" / "run.yaml", "--config", config, *arguments) == [1]
        assert words in said(tmp_path / "0").splitlines()[-1]
