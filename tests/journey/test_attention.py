"""`gcvideo attention` as a researcher types it, on real encoded videos."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from gcvideo.cli import main
from gcvideo.data.synthetic import write_synthetic

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = ["--model.network.init_args.width", "0.0625"]


def configs(*model: str) -> list[str]:
    files = ("base", "data/synthetic", *model)
    return [argument for file in files for argument in ("--config", str(CONFIGS / f"{file}.yaml"))]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "videos"
    write_synthetic(root, num_train_per_class=1, num_val_per_class=1, num_test_per_class=1, num_frames=29)
    return root


@pytest.fixture(scope="module")
def run_dir(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of one step, of a network with five non-local blocks."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    settings = {
        "trainer.max_epochs": "1",
        "trainer.limit_train_batches": "1",
        "trainer.limit_val_batches": "1",
        "trainer.accelerator": "cpu",
        "trainer.logger": "false",
        "trainer.enable_progress_bar": "false",
        "data.root": str(dataset),
        "data.num_workers": "0",
        "data.batch_size": "4",
        "run_dir": str(folder),
    }
    main(
        [
            "fit",
            *configs("paper/slow_r50_nl5"),
            *SMALL,
            *(f"--{key}={value}" for key, value in settings.items()),
        ]
    )
    return folder


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """Runs a command that must fail with exit code 1, and gives the one line that it says."""

    def run(arguments: list[str]) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(["attention", *arguments])
        assert stopped.value.code == 1
        said = capsys.readouterr().err
        assert "Traceback" not in said
        lines = said.splitlines()
        assert lines[0].startswith("gcvideo attention: ")
        return "\n".join(lines)

    return run


def test_a_checkpoint_alone_is_measured_on_its_own_test_set(
    run_dir: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    main(["attention", "--checkpoint", str(checkpoint), "--maps", "1", "--blocks", "res3.1", "res4.5"])
    out = run_dir / "attention"
    table = pd.read_csv(out / "distances.csv")
    assert list(table["block"].unique()) == ["res3.1", "res4.5"]
    assert (table["num_clips"] == len(pd.read_csv(dataset / "test.csv"))).all()
    assert table["mean"].between(0, 1).all()
    shown = capsys.readouterr().out
    all_pairs = table[table["pairs"].eq("all") & table["measured"].eq("input")].set_index("block")["mean"]
    assert f"{all_pairs['res4.5']:.4f}" in shown
    assert f"{all_pairs['res4.5']:.4f} ± " in (out / "distances.md").read_text()
    videos = sorted(pd.read_csv(dataset / "test.csv")["path"].map(lambda path: Path(path).stem))
    for block in table["block"].unique():
        for picture in (f"distances_{block}.png", f"map_{videos[0]}_{block}.png"):
            with Image.open(out / picture) as image:
                assert min(image.size) > 200
        for film in ("mp4", "gif"):
            assert (out / "films" / f"map_{videos[0]}_{block}.{film}").stat().st_size > 1000
    assert (out / "distances.png").is_file()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table(run_dir: Path, tmp_path: Path) -> None:
    checkpoint = ["--checkpoint", str(run_dir / "checkpoints" / "last.ckpt")]
    few = ["--num_videos", "2", "--maps", "0", "--num_pairs", "30", "--blocks", "res4.3"]
    tables = []
    for name, seed in (("first", "0"), ("again", "0"), ("other", "1")):
        main(["attention", *checkpoint, *few, "--out", str(tmp_path / name), "--seed", seed])
        table = pd.read_csv(tmp_path / name / "distances.csv").set_index(["distance", "measured", "pairs"])
        tables.append(table["mean"])
    assert tables[0].equals(tables[1])
    assert (tables[0]["cosine"] == tables[2]["cosine"]).all()
    first, other = (table["jensen_shannon", "attention", "neither"] for table in (tables[0], tables[2]))
    assert first != other
    assert first == pytest.approx(other, rel=1)


def test_a_network_is_measured_before_training_from_its_configs(dataset: Path, tmp_path: Path) -> None:
    here = ["--data.root", str(dataset), "--num_videos", "2", "--maps", "1", "--out", str(tmp_path)]
    # Before training the last norm of a residual branch is zero, and so is what a block within it is given.
    started = ["--model.network.init_args.zero_init_residual", "false"]
    main(
        [
            "attention",
            *configs("model/slow_r50", "block/se_all"),
            *SMALL,
            *started,
            *here,
            "--blocks",
            "res5.2",
            "res3.0",
        ]
    )
    table = pd.read_csv(tmp_path / "distances.csv").set_index(["block", "measured", "pairs"])
    assert list(table.index.unique("block")) == ["res5.2", "res3.0"]
    assert (table["mean"].drop("input", level="measured") == 0).all()
    assert (table["mean"].xs("input", level="measured") > 0).all()
    assert set(table["note"].dropna()) == {"one attention map for all queries"}
    assert {file.stem.split("_")[0] for file in tmp_path.glob("*.png")} == {"channels", "distances"}


def test_a_list_of_segments_needs_no_data_set_and_its_pictures_name_them(
    dataset: Path, tmp_path: Path
) -> None:
    video = pd.read_csv(dataset / "val.csv")["path"][0]
    rows = [f"{video},{start},{start + 8}" for start in (0, 8)]
    (tmp_path / "list.csv").write_text("\n".join(["path,start_frame,end_frame", *rows]) + "\n")
    network = ["--config", str(CONFIGS / "paper" / "slow_r50_gc5.yaml"), *SMALL]
    views = ["--data.test_views.short_side", "64", "--data.test_views.crop_size", "64"]
    there = ["--data", str(tmp_path / "list.csv"), "--root", str(dataset), "--out", str(tmp_path)]
    main(
        [
            "attention",
            *network,
            *views,
            *there,
            "--data.clip.stride",
            "1",
            "--maps",
            "2",
            "--blocks",
            "res4.5",
        ]
    )
    table = pd.read_csv(tmp_path / "distances.csv")
    assert (table["num_clips"] == 2).all()
    stem = Path(video).stem
    assert sorted(file.name for file in tmp_path.glob("map_*.png")) == [
        f"map_{stem}_frames_{bounds}_res4.5.png" for bounds in ("0-8", "8-16")
    ]
    assert (table["num_frames"] == 8).all()


def test_maps_of_chosen_videos_and_points_are_drawn(run_dir: Path, dataset: Path, tmp_path: Path) -> None:
    videos = [str(next((dataset / "test" / name).glob("*.mp4"))) for name in ("move_left", "move_right")]
    checkpoint = ["--checkpoint", str(run_dir / "checkpoints" / "last.ckpt"), "--out", str(tmp_path)]
    points = ["--query", "0,0,0", "1,0.5,0.5"]
    what = ["--blocks", "res3.1", "res4.3", "--gradcam", "res5"]
    main(["attention", *checkpoint, "--num_videos", "0", "--videos", *videos, *points, *what])
    stem = Path(videos[0]).stem
    of_both = [stem, f"{stem}-2"]  # files of one name
    assert {file.name for file in tmp_path.glob("*.png")} == {
        *(f"map_{video}_{block}.png" for video in of_both for block in ("res3.1", "res4.3")),
        *(f"gradcam_{video}_res5.png" for video in of_both),
    }
    with Image.open(tmp_path / "films" / f"map_{stem}_res4.3.gif") as two_points:
        assert two_points.size == (3 * 192, 192)
        assert two_points.n_frames == 8
    assert not (tmp_path / "distances.csv").exists()


def test_grad_cam_needs_no_context_blocks(dataset: Path, tmp_path: Path) -> None:
    here = ["--data.root", str(dataset), "--maps", "1", "--out", str(tmp_path), "--gradcam", "res3", "res5"]
    main(["attention", *configs("model/slow_r50"), *SMALL, *here])
    assert len(list(tmp_path.glob("gradcam_*.png"))) == 2


def test_a_video_shorter_than_a_clip_is_measured_and_said(
    run_dir: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_synthetic(
        tmp_path / "short", num_train_per_class=1, num_val_per_class=1, num_test_per_class=1, num_frames=4
    )
    folder = tmp_path / "both"
    folder.mkdir()
    shutil.copy(next((tmp_path / "short" / "test").rglob("*.mp4")), folder / "short.mp4")
    shutil.copy(next((dataset / "test").rglob("*.mp4")), folder / "whole.mp4")
    checkpoint = ["--checkpoint", str(run_dir / "checkpoints" / "last.ckpt"), "--out", str(tmp_path)]
    main(["attention", *checkpoint, "--data", str(folder), "--maps", "0"])
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 2 videos are shorter than a clip of 29 frames: their last frame is held" in said
    assert "1 of 2 videos are shorter" in (tmp_path / "distances.md").read_text()


def test_readable_videos_are_measured_and_the_others_named(
    run_dir: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(next((dataset / "test").rglob("*.mp4")), folder / "good.mp4")
    (folder / "noise.mp4").write_bytes(bytes(range(256)) * 40)
    checkpoint = ["--checkpoint", str(run_dir / "checkpoints" / "last.ckpt"), "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main(["attention", *checkpoint, "--data", str(folder), "--blocks", "res3.1", "--maps", "2"])
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert "gcvideo attention: 1 of the videos could not be read:\n" in said
    assert "noise.mp4" in said.splitlines()[-1]
    assert (pd.read_csv(tmp_path / "distances.csv")["num_clips"] == 1).all()
    assert (tmp_path / "map_good_res3.1.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--blocks", "res4.2"],
            "there is no context block 'res4.2'; this network has res3.1, res3.3, ",
        ),
        (["--query", "0.5,0.5,1.5"], "query '0.5,0.5,1.5': x is 1.5; expected 0..1"),
        (["--query", "middle"], "query 'middle' is not three numbers; expected T,Y,X"),
        (["--gradcam", "res9"], "Grad-CAM of 'res9': VideoResNet has stem, res2, res3, res4, res5"),
        (["--data", "{empty}"], "empty: no video in this folder"),
        (["--videos", "{empty}"], "empty: no video in this folder"),
        (["--data", "missing.csv"], "missing.csv: no such file or folder"),
        (["--config", str(CONFIGS / "base.yaml")], "name a network with either --checkpoint or --config"),
        (["--model.network.init_args.width", "1"], "overrides a --config; a checkpoint is taken as it is"),
        (["--num_pairs", "1"], "1 pairs of each kind; a standard error needs at least 2"),
    ],
)
def test_bad_input_ends_in_one_line(
    arguments: list[str], said: str, run_dir: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    (tmp_path / "empty").mkdir()
    named = [argument.format(empty=tmp_path / "empty") for argument in arguments]
    checkpoint = ["--checkpoint", str(run_dir / "checkpoints" / "last.ckpt"), "--out", str(tmp_path / "out")]
    line = complaint([*checkpoint, *named])
    assert said in line
    assert "\n" not in line


def test_a_network_without_context_blocks_ends_in_one_line(
    dataset: Path, tmp_path: Path, complaint: Callable[..., str]
) -> None:
    here = ["--data.root", str(dataset), "--out", str(tmp_path)]
    line = complaint([*configs("model/slow_r50"), *SMALL, *here])
    assert "this VideoResNet has no context blocks" in line
    assert "\n" not in line


def test_a_network_must_be_named(complaint: Callable[..., str]) -> None:
    assert "either --checkpoint or --config" in complaint([])
    assert "no model.network in them" in complaint(["--config", str(CONFIGS / "base.yaml")])
