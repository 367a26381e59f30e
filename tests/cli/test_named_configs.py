"""Configurations by name, and the command that lists, shows and copies them."""

from pathlib import Path

import pytest
import yaml

from gcvideo.cli import main
from gcvideo.cli.named_configs import configurations, with_named_files

CONFIGS = Path(__file__).parents[2] / "configs"


def paths(*names: str) -> list[str]:
    return [part for name in names for part in ("--config", str(CONFIGS / f"{name}.yaml"))]


def resolved(arguments: list[str]) -> list[str]:
    return [
        str(Path(word).resolve()) if word.endswith(".yaml") else word for word in with_named_files(arguments)
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "base+slow_r50+gc_all"],
        ["--config=base+model/slow_r50+block/gc_all.yaml"],
        ["--config", "configs/base.yaml", "--config", "slow_r50", "--config=gc_all"],
    ],
)
def test_names_stand_for_the_files_of_the_package_in_any_folder(arguments, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    expected = ["fit", *paths("base", "model/slow_r50", "block/gc_all"), "--run_dir", "base"]
    assert resolved(["fit", *arguments, "--run_dir", "base"]) == expected


def test_every_name_is_of_one_file_and_its_short_form_too() -> None:
    files = {str(file.relative_to(CONFIGS).with_suffix("")): file for file in CONFIGS.glob("**/*.yaml")}
    assert {name: file.resolve() for name, file in configurations().items()} == files
    for kind, twice in {"videos": {"slow_r50"}, "images": set()}.items():  # of paper, which is that of model
        of_kind = [name for name in files if name.startswith("images/") == (kind == "images")]
        short = [name.rpartition("/")[2] for name in of_kind]
        assert {name for name in short if short.count(name) > 1} == twice


def test_names_of_gcvideo_image_stand_for_its_own_files_and_the_training_toolbox() -> None:
    files = ["--config", "base+folder+ema"]
    assert resolved(["image", "fit", *files]) == [
        *("image", "fit"),
        *paths("images/base", "images/data/folder", "training/ema"),
    ]
    assert resolved(["fit", *files]) == ["fit", *paths("base", "data/folder", "training/ema")]
    with pytest.raises(ValueError, match="no configuration is called slow_r50"):
        with_named_files(["image", "fit", "--config", "base+slow_r50"])


def test_a_file_that_exists_is_meant_before_a_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for own in ("base", "a+b"):
        (tmp_path / own).write_text("seed_everything: 7\n")
    text = "seed_everything: 1\ntrainer: {}\n"
    kept = ["fit", "--config", "a+b", "-c", text, "--config"]
    assert with_named_files(kept) == kept
    assert resolved(["fit", "-c", "base+slow_r50"]) == ["fit", "-c", "base", "-c", paths("model/slow_r50")[1]]
    (tmp_path / "synthetic").mkdir()  # as its data set may be called
    assert resolved(["fit", "-c", "synthetic"]) == ["fit", "-c", paths("data/synthetic")[1]]
    (tmp_path / "other").mkdir()
    assert with_named_files(["fit", "-c", "other"]) == ["fit", "-c", "other"]
    missing = ["fit", "--config", "nowhere/run.yaml"]
    assert with_named_files(missing) == missing


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fit", "--config", "base+slow_r5"], "no configuration is called slow_r5; did you mean slow_r50?"),
        (["complexity", "--config=xyz"], "no configuration is called xyz; `gcvideo configs ls` lists them"),
        (["configs", "show"], "show was given no name"),
        (["configs", "cp", "gc5"], "cp takes one name or more, and a folder"),
        (["configs", "ls", "networks"], "nothing begins with networks"),
    ],
)
def test_a_name_that_is_none_is_said_in_a_line(arguments, said, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 1
    assert said in error
    assert error.count("\n") == 1


def test_files_are_listed_shown_and_copied_but_never_over_others(tmp_path, capsys) -> None:
    main(["configs", "ls"])
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")}
    assert listed == {*configurations(), "launch/train_torchrun.sh", "launch/train_slurm.sbatch"}

    main(["configs", "show", "gc5"])
    shown = capsys.readouterr().out
    assert yaml.safe_load(shown) == yaml.safe_load((CONFIGS / "block/gc5.yaml").read_text())

    main(["configs", "cp", "gc5", "launch/train_torchrun.sh", str(tmp_path)])
    assert (tmp_path / "block" / "gc5.yaml").read_text() == shown
    script = tmp_path / "launch" / "train_torchrun.sh"
    assert not script.is_symlink()
    assert script.stat().st_mode & 0o100

    (tmp_path / "block" / "gc5.yaml").write_text("mine")
    with pytest.raises(SystemExit):
        main(["configs", "cp", "nl5", "gc5", str(tmp_path)])
    assert "is there already" in capsys.readouterr().err
    assert sorted(file.name for file in (tmp_path / "block").iterdir()) == ["gc5.yaml"]
    assert (tmp_path / "block" / "gc5.yaml").read_text() == "mine"
