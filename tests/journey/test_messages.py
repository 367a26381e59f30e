"""What the real command says to arguments and config files that are wrong: one line that would help."""

from pathlib import Path

import pytest

from gcvideo.cli import main

CONFIGS = Path(__file__).parents[2] / "configs"
STACK = [
    *("--config", str(CONFIGS / "base.yaml")),
    *("--config", str(CONFIGS / "data" / "folder.yaml")),
    *("--config", str(CONFIGS / "paper" / "slow_r50_gc5.yaml")),
    *("--data.root", "."),
]
BLOCKS = (
    "gcvideo.blocks has GlobalContextBlock, NonLocalBlock, SimplifiedNonLocalBlock, SqueezeExcitationBlock"
)
NETWORK = "model.network.init_args"


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]):
    """Runs a command of wrong usage, and gives the one line that it says, without the advice at its end."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([*arguments])
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "Union" not in line
        assert "Namespace" not in line
        command, _, said = line.partition(": ")
        assert said.endswith(f" see `{command} --help`")
        return said.removesuffix(f" see `{command} --help`").rstrip(";")

    return run


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        (
            "--model.learning_rat=1",
            "model.learning_rat is no setting; did you mean model.learning_rate or "
            "model.scale_learning_rate?",
        ),
        ("--learning_rate=1", "learning_rate is no setting; did you mean model.learning_rate?"),
        ("--trainer.max_epoch=3", "trainer.max_epoch is no setting; did you mean trainer.max_epochs"),
        ("--data.clip.num_frame=3", "data.clip.num_frame is no setting; did you mean data.clip.num_frames?"),
        (f"--{NETWORK}.widht=1", f"{NETWORK}.widht is no setting; did you mean width?"),
        (f"--{NETWORK}.zzz=1", f"{NETWORK}.zzz is no setting; expected one of architecture, block, depth, "),
        ("--zzz=1", "zzz is no setting"),
        (
            "--data.test_views={num_clip: 3}",
            "data.test_views.num_clip is no setting; did you mean data.test_views.",
        ),
        # values
        ("--model.learning_rate=fast", "model.learning_rate cannot take 'fast'; expected a number"),
        (
            "--trainer.max_epochs=many",
            "trainer.max_epochs cannot take 'many'; expected a whole number or null",
        ),
        ("--data.mean=[0.4,a,b]", "data.mean cannot take 'a'; expected 3 numbers"),
        ("--data.mean=[0.4]", "data.mean cannot take '[0.4]'; expected 3 numbers"),
        (
            "--data.backend=pyvav",
            "data.backend cannot take 'pyvav'; expected one of pyav, decord, torchcodec",
        ),
        (
            "--data.blend=[mixu]",
            "data.blend cannot take 'mixu'; expected a list of mixup, cutmix or a mapping of mixup_alpha, "
            "cutmix_alpha, probability, switch_probability or null",
        ),
        (
            "--data.augment=TimeReversal",
            "data.augment cannot take 'TimeReversal'; expected a list of class_paths or null, as "
            "[TimeReversal]",
        ),
        (
            "--data.blend=mixup",
            "data.blend cannot take 'mixup'; expected a list of mixup, cutmix or a mapping of mixup_alpha, "
            "cutmix_alpha, probability, switch_probability or null, as [mixup]",
        ),
        (
            "--trainer.precision=16-mixd",
            "trainer.precision cannot take '16-mixd'; expected one of 64, 32, 16, trans",
        ),
        (f"--{NETWORK}.depth=fifty", f"{NETWORK}.depth cannot take 'fifty'; expected a whole number"),
        (
            f"--{NETWORK}.architecture=slo",
            f"{NETWORK}.architecture cannot take 'slo'; expected one of slow, i3d, c2d",
        ),
        ("--model.weights=3", "model.weights cannot take '3'; expected a mapping of path, format, new"),
        # classes
        (
            "--data.train_transform=gcvideo.data.ScaleJiter",
            "data.train_transform names gcvideo.data.ScaleJiter, which does not exist; "
            "did you mean ScaleJitter? gcvideo.data has AreaJitter, ScaleJitter",
        ),
        (
            "--model.lr_schedule=gcvideo.training.StepDeca",
            "model.lr_schedule names gcvideo.training.StepDeca, which does not exist; did you mean "
            "StepDecay? gcvideo.training has Constant, CosineAfterWarmup, HalfCosine, LinearDecay, OneCycle, "
            "StepDecay, ThenConstant",
        ),
        (
            "--model.optimizer=torch.optim.AdamV",
            "model.optimizer names torch.optim.AdamV, which does not exist; did you mean Adam? "
            "torch.optim has ",
        ),
        (
            "--model.optimizer.lr=0.1",
            "model.optimizer.init_args.lr is no setting; expected one of momentum, weight_decay",
        ),
        (
            "--model.momentum=0.5",
            "model.momentum is no setting any more; it is model.optimizer.init_args.momentum",
        ),
        (
            "--model.network=gcvideo.backbone.VideoResNet",
            "model.network names gcvideo.backbone.VideoResNet, which does not exist; did you mean "
            "gcvideo.backbones.VideoResNet? there are gcvideo.backbones.CSN, "
            "gcvideo.backbones.FrameDifferenceResNet, gcvideo.backbones.MViT, "
            "gcvideo.backbones.R2Plus1D, gcvideo.backbones.S3D, gcvideo.backbones.SlowFast, "
            "gcvideo.backbones.Swin3D, gcvideo.backbones.TorchvisionResNet, gcvideo.backbones.VideoResNet, "
            "gcvideo.backbones.X3D",
        ),
        (
            "--trainer.callbacks+=lightning.pytorch.callbacks.EarlyStoping",
            "trainer.callbacks names lightning.pytorch.callbacks.EarlyStoping, which does not exist; "
            "did you mean EarlyStopping? lightning.pytorch.callbacks has ",
        ),
        (
            "--trainer.callbacks+=gcvideo.training.FreezeStages",
            "trainer.callbacks.init_args.stages must be given",
        ),
    ],
)
def test_an_argument_is_named_with_what_would_do(complaint, argument, said):
    assert complaint("fit", *STACK, argument).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "model:\n  learning_rat: 1\n",
            "2: model.learning_rat is no setting; did you mean model.learning_rate or "
            "model.scale_learning_rate?",
        ),
        (
            "modle:\n  learning_rate: 1\n",
            "2: modle.learning_rate is no setting; did you mean model.learning_rate?",
        ),
        ("model:\n  learning_rate: fast\n", "2: model.learning_rate cannot take 'fast'; expected a number"),
        (
            "model:\n  network:\n    init_args:\n      widht: 1\n",
            f"4: {NETWORK}.widht is no setting; did you mean width?",
        ),
        (
            "model:\n  network:\n    init_args:\n"
            "      block: {class_path: gcvideo.blocks.GlobalContexBlock}\n",
            f"4: {NETWORK}.block names gcvideo.blocks.GlobalContexBlock, which does not exist; "
            f"did you mean GlobalContextBlock? {BLOCKS}",
        ),
        (
            "model:\n  network:\n    init_args:\n      block: {class_path: gcvideo.training.HalfCosine}\n",
            f"4: {NETWORK}.block names gcvideo.training.HalfCosine, which is no ContextBlock; there are ",
        ),
        (
            "model:\n  network:\n    init_args:\n      block: GlobalContextBlok\n",
            f"4: {NETWORK}.block names GlobalContextBlok, which does not exist; "
            "did you mean gcvideo.blocks.GlobalContextBlock? there are gcvideo.blocks.GlobalContextBlock, ",
        ),
        (
            "model:\n  network:\n    init_args:\n      block:\n        init_args: {reduction_ration: 16}\n",
            f"5: {NETWORK}.block.init_args.reduction_ration is no setting; did you mean reduction_ratio?",
        ),
        (
            "trainer:\n  callbacks:\n"
            "  - class_path: gcvideo.training.FreezeStages\n    init_args: {stags: [res2]}\n",
            "4: trainer.callbacks.init_args.stags is no setting; did you mean stages?",
        ),
        ("model:\n  network: {init_args: [\ndata: x\n", "4: is no YAML: while parsing a flow sequence"),
        (
            "model:\n\tlearning_rate: 1\n",
            "2: is no YAML: while scanning for the next token, found character '\\t'",
        ),
        ("data:\n  clip: 8\n", "2: data.clip cannot take 8; expected a mapping of its settings"),
        ("model: 3\n", "1: model cannot take 3; expected a mapping of its settings"),
        (
            "trainer:\n  callbacks:\n"
            "    class_path: gcvideo.training.FreezeStages\n    init_args: {stags: [res2]}\n",
            "4: trainer.callbacks.init_args.stags is no setting; did you mean stages?",
        ),
        (
            "trainer:\n  callbacks:\n    class_path: gcvideo.training.FreezeStage\n",
            "2: trainer.callbacks names gcvideo.training.FreezeStage, which does not exist; did you mean Fre",
        ),
        ("- a\n- b\n", " holds no settings but list; expected a mapping"),
        ("", " holds no settings but NoneType; expected a mapping"),
    ],
)
def test_a_config_file_is_named_with_line_and_key(complaint, tmp_path, text, said):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    assert complaint("fit", *STACK, "--config", str(file)).startswith(f"{file}:{said}")


def test_a_file_that_is_not_to_blame_is_not_named(complaint, tmp_path):
    (tmp_path / "right.yaml").write_text("model:\n  learning_rate: 0.1\n")
    said = complaint("fit", *STACK, f"--config={tmp_path / 'right.yaml'}", "--model.learning_rate", "fast")
    assert said == "model.learning_rate cannot take 'fast'; expected a number"


def test_a_file_that_cannot_be_read_as_text_is_named(complaint, tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"model:\n  learning_rate: 1 # \xe9t\xe9\n")
    said = complaint("fit", *STACK, "--config", str(tmp_path / "latin.yaml"))
    assert said.startswith(f"{tmp_path / 'latin.yaml'}: is no YAML: 'utf-8' codec can't decode")


def test_a_missing_file_or_a_folder_is_named(complaint, tmp_path):
    assert (
        complaint("fit", *STACK, "--config", str(tmp_path))
        == f"{tmp_path}: is a folder; expected a YAML file"
    )
    assert complaint("fit", *STACK, "--config", "nowhere.yaml") == "nowhere.yaml: there is no such file"


def test_paths_of_config_files_are_relative_to_where_the_command_began(complaint, tmp_path, monkeypatch):
    """jsonargparse reads a file from within the file's own folder."""
    monkeypatch.chdir(CONFIGS.parent)
    (tmp_path / "wrong.yaml").write_text("model:\n  network: {init_args: {widht: 0.5}}\n")
    model = ("--config", "configs/model/slow_r50.yaml")
    said = complaint("fit", *model, "--config", f"{tmp_path}/wrong.yaml", "--data.root=.")
    assert said.startswith(f"{tmp_path}/wrong.yaml:2: {NETWORK}.widht is no setting; did you mean width?")


def test_what_stands_before_its_network_is_told_where_to_stand(complaint, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    stack = [f"--config=configs/{file}.yaml" for file in ("base", "recipe/quickstart", "model/slow_r50")]
    said = complaint("fit", *stack, "--data.root=.")
    assert said.startswith(
        "configs/recipe/quickstart.yaml:8: model.network has settings, but no file before this one"
    )
    assert said.endswith("stack one of configs/model before those of configs/block and configs/recipe")


def test_a_module_that_cannot_be_imported_is_not_said_to_be_missing(complaint, tmp_path, monkeypatch):
    (tmp_path / "own_network.py").write_text("import not_installed\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = complaint("fit", *STACK, "--model.network=own_network.Net")
    assert said.startswith(
        "model.network names own_network.Net, which is refused: No module named 'not_installed'"
    )


def test_what_is_missing_is_named(complaint):
    assert complaint("fit") == "model.network and data.root must be given"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict", "a.mp4", "--chekpoint", "b"], "chekpoint is no setting; did you mean checkpoint?"),
        (["complexity", "--papr"], "papr is no setting; did you mean paper?"),
        (["synthetic", "data", "--heigth", "40"], "heigth is no setting; did you mean height?"),
        (["synthetic", "data", "--height", "tall"], "height cannot take 'tall'; expected a whole number"),
        (
            ["preflight", *STACK, "--data.bach_size=2"],
            "data.bach_size is no setting; did you mean data.batch_size",
        ),
        (["features", "a.mp4", "--out"], "argument --out: expected one argument"),
    ],
)
def test_every_command_says_it_so(complaint, arguments, said):
    assert complaint(*arguments).startswith(said)
