"""Videos with any number of labels, from fit to report: one key says so, and the checkpoint knows it."""

import json
import shutil
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

import gcvideo
from gcvideo.cli import main
from tests.evaluation.test_multi_label import average_precision
from tests.journey.several import CLASS_NAMES, write_videos
from tests.journey.trained import CONFIGS
from tests.training.runs import run

VIEWS = "{num_clips: %d, num_crops: 1, short_side: 32, crop_size: 32}"


def fit(folder: Path, *arguments: str, task: str = "multi_label") -> list[str]:
    return [
        "fit",
        *(f"--config={CONFIGS / file}.yaml" for file in ("base", "data/folder")),
        *("--model.task", task, "--data.root", str(folder / "videos"), "--run_dir", str(folder / "run")),
        *("--model.network", "tests.journey.several.ColourAndBlinking"),
        *("--model.learning_rate", "2", "--model.scale_learning_rate", "none"),
        *("--data.clip", "{num_frames: 4, stride: 1}"),
        *("--data.train_transform.init_args.crop_size", "32"),
        *("--data.train_transform.init_args.min_short_side", "32"),
        *("--data.train_transform.init_args.max_short_side", "36"),
        *("--data.val_views", VIEWS % 1, "--data.test_views", VIEWS % 2),
        *("--data.batch_size", "4", "--data.num_workers", "0", "--data.blend", "[mixup, cutmix]"),
        *("--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--trainer.log_every_n_steps", "1"),
        *("--trainer.enable_progress_bar", "false"),
        *arguments,
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs; the folder must stay as it is."""
    folder = tmp_path_factory.mktemp("several")
    write_videos(folder / "videos")
    main(fit(folder, "--trainer.callbacks+=gcvideo.training.LogPictures"))
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def checkpoint(folder: Path, name: str = "best") -> str:
    return str(folder / "run" / "checkpoints" / f"{name}.ckpt")


def evaluate(folder: Path, name: str, *arguments: str) -> None:
    """Evaluate a run by its checkpoint alone."""
    here = ["--data.root", str(folder / "videos"), "--run_dir", str(folder / "run")]
    main([name, "--ckpt_path", checkpoint(folder), "--trust", "tests", *here, *arguments])


def predictions_of_test(folder: Path, *arguments: str) -> pd.DataFrame:
    """Test a run, and return its table of predictions."""
    evaluate(folder, "test", *arguments)
    return pd.read_csv(folder / "run" / "predictions.csv", dtype=str, keep_default_na=False)


def test_one_key_settles_data_loss_and_the_best_checkpoint(trained, capsys):
    config = yaml.safe_load((trained / "run" / "config.yaml").read_text())
    assert config["data"]["multi_label"] is True
    assert config["model"]["loss"]["class_path"] == "gcvideo.training.BinaryCrossEntropy"
    assert config["checkpoint"]["monitor"] == "val/map"
    assert {picture.name for picture in (trained / "run" / "pictures").iterdir()} == {
        "training_clips.png",
        "average_precision.png",
    }
    for key in ("--model.task=multi_label", "--data.multi_label=true"):
        with pytest.raises(SystemExit):
            main(["fit", key, "--model.network", "tests.journey.several.ColourAndBlinking", "--print_config"])
        printed = yaml.safe_load(capsys.readouterr().out)
        found = printed["model"]["task"], printed["data"]["multi_label"], printed["checkpoint"]["monitor"]
        assert found == ("multi_label", True, "val/map"), key


def test_test_figures_are_those_of_the_table_and_far_above_chance(folder, capsys):
    table = predictions_of_test(folder)
    said = capsys.readouterr()
    assert "mAP" in said.out
    assert "top-1" not in said.out
    # The five classes of a video are all there are, so that the table has every probability.
    rows = table.to_dict("records")
    of_class = {
        name: [
            float(row[f"top{n}_probability"]) for row in rows for n in range(1, 6) if row[f"top{n}"] == name
        ]
        for name in CLASS_NAMES
    }
    labels = {name: [float(name in row["label"].split(";")) for row in rows] for name in CLASS_NAMES}
    expected = {
        name: average_precision(torch.tensor(of_class[name]), torch.tensor(labels[name]))
        for name in CLASS_NAMES[:4]
    }
    figures = json.loads((folder / "run" / "test_metrics.json").read_text())
    assert figures["test/map"] == pytest.approx(sum(expected.values()) / 4, abs=1e-4)
    assert figures["test/map"] > 0.9  # chance is a half
    classes = pd.read_csv(folder / "run" / "test_classes.csv")
    assert classes["class"].tolist() == CLASS_NAMES
    assert classes["videos"].tolist() == [8, 8, 8, 8, 0]
    assert classes["average_precision"].tolist()[:4] == pytest.approx([*expected.values()], abs=1e-4)
    assert classes["average_precision"].isna().tolist() == [False] * 4 + [True]
    # Sixteen sets of labels, one of them empty, and what is told of each is what is above a half.
    assert {row["label"] for row in rows} == {
        ";".join(name for name, there in zip(CLASS_NAMES, which, strict=False) if there)
        for which in product((0, 1), repeat=4)
    }
    for row in rows:
        told = [row[f"top{n}"] for n in range(1, 6) if float(row[f"top{n}_probability"]) > 0.5]
        assert row["prediction"] == ";".join(told)


def test_another_task_than_that_of_the_checkpoint_or_the_data_is_refused_by_name(folder, refused):
    goes_on = ["--resume", "auto", "--trainer.max_epochs", "3"]
    line = refused(fit(folder, *goes_on, task="single_label"))
    assert "model.task is single_label, and" in line
    assert "was trained for multi_label; give --model.task multi_label" in line
    line = refused(fit(folder, "--data.multi_label", "false"))
    assert "model.task is multi_label, and data.multi_label false; give one of them" in line
    line = refused(fit(folder, *goes_on, "--model.loss", "torch.nn.CrossEntropyLoss"))
    assert "CrossEntropyLoss: its softmax shares out one among the classes" in line
    line = refused(fit(folder, "--checkpoint.monitor", "val/top1", "--run_dir", str(folder / "new")))
    assert "monitors val/top1, which is not logged; expected one of" in line
    assert "val/map" in line


def test_a_run_goes_on_with_another_loss_and_pooling(folder):
    main(
        fit(
            folder,
            *("--resume", "auto", "--trainer.max_epochs", "3", "--model.over_views", "max"),
            *("--model.loss", "gcvideo.training.AsymmetricLoss"),
        )
    )
    table = predictions_of_test(folder, "--model.over_views", "max")
    mean = predictions_of_test(folder, "--model.over_views", "mean")
    largest = table["top1_probability"].astype(float).to_numpy()
    assert (largest >= mean["top1_probability"].astype(float).to_numpy() - 1e-6).all()


def test_predict_tells_every_class_above_its_threshold(folder, capsys, refused):
    videos, out = folder / "videos", folder / "out"
    one = ["predict", str(videos / "15.mp4"), "--checkpoint", checkpoint(folder), "--out", str(out)]
    one += ["--trust", "tests"]
    main(one)
    (said,) = json.loads((out / "predictions.json").read_text())["videos"]
    assert {named["class"] for named in said["classes"]} == set(CLASS_NAMES[:4])
    printed = capsys.readouterr().out
    assert all(name in printed for name in CLASS_NAMES[:4])
    assert "ultraviolet" not in printed
    recognised = gcvideo.load(checkpoint(folder))(videos / "15.mp4")
    assert recognised.told is not None
    assert [named.as_json() for named in recognised.told] == said["classes"]
    main([*one, "--threshold", "1"])
    assert "no class is above its threshold; the likeliest is" in capsys.readouterr().out
    # Thresholds of the best F1, by class
    evaluate(folder, "validate")
    main([*one, "--threshold", str(folder / "run" / "val_classes.csv"), "--timeline"])
    (said,) = json.loads((out / "predictions.json").read_text())["videos"]
    assert {segment["class"] for segment in said["segments"]} >= set(CLASS_NAMES[:3])
    assert refused([*one, "--threshold", "1.5"]).endswith("threshold is 1.5; expected 0..1")
    line = refused([*one, "--threshold", str(folder / "run" / "config.yaml")])
    assert "config.yaml: cannot be read as thresholds" in line


def test_the_report_has_classes_false_positives_and_missed_labels(folder, refused):
    predictions_of_test(folder)
    file = folder / "run" / "predictions.csv"
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.loc[0, ["label", "label_probability", "prediction", "probability"]] = [
        "red",
        "0.0625",
        "blue",
        "0.875",
    ]
    table.to_csv(file, index=False)
    main(["report", "--trust", "tests", str(folder / "run")])
    page = (folder / "run" / "report.html").read_text()
    assert "Average precision per class" in page
    assert '<b class="wrong">blue</b> told at 87.5' in page
    assert '<b class="wrong">red</b> missed at 6.2' in page
    assert "Validation mAP" in page
    assert "Confusions" not in page
    shutil.copytree(folder / "run", folder / "other")
    config = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    config["model"]["task"] = "single_label"
    (folder / "other" / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "other" / "predictions.csv").unlink()
    line = refused(["report", str(folder / "run"), str(folder / "other")])
    assert "model.task of run multi_label and other single_label: they have no figure in common" in line


def test_other_commands_know_the_task_of_data_and_checkpoint(folder, capsys):
    root = ["--data.root", str(folder / "videos")]
    run = ["--config", str(folder / "run" / "config.yaml"), *root]
    main(["peek", *run, "--out", str(folder / "peek"), "--num_clips", "4", "--data.blend", "[]"])
    said = capsys.readouterr().err
    assert " + " in said
    assert "0." not in said.partition("clip 1:")[2].partition("wrote")[0]
    main(
        [
            "export",
            "--checkpoint",
            checkpoint(folder),
            "--out",
            str(folder / "export"),
            "--kinds",
            "[state]",
            "--trust",
            "tests",
        ]
    )
    output = json.loads((folder / "export" / "export.json").read_text())["output"]
    assert (output["task"], output["of_views"]) == ("multi_label", "sigmoid")


@pytest.mark.slow
def test_two_processes_find_what_one_finds(folder):
    found = []
    for processes in (1, 2):
        here = ("--data.root", str(folder / "videos"), "--run_dir", str(folder / "run"))
        arguments = ("--ckpt_path", checkpoint(folder), "--trust", "tests", *here)
        config = folder / "run" / "config.yaml"
        assert run(config, *arguments, command="test", processes=processes) == [0] * processes
        classes = pd.read_csv(folder / "run" / "test_classes.csv")
        figures = json.loads((folder / "run" / "test_metrics.json").read_text())
        found.append((classes, {name: figures[name] for name in figures if name != "protocol"}))
    (of_one, one), (of_two, two) = found
    pd.testing.assert_frame_equal(of_one, of_two, atol=1e-6)
    assert two == pytest.approx(one, abs=1e-6)
