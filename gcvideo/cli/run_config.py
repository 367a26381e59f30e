"""What a run was asked for: in its folder, in every checkpoint, and compared when the run goes on."""

import argparse
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, SaveConfigCallback
from lightning.pytorch.trainer.states import TrainerFn

from gcvideo import __version__
from gcvideo.agreement import flat
from gcvideo.atomic import write_text
from gcvideo.cli.config_forms import SECTIONS
from gcvideo.cli.trust import distrust
from gcvideo.keeping.checkpoint_file import read_training_state
from gcvideo.paths import user_path
from gcvideo.run_folder import Evaluated, RunFolder

log = logging.getLogger(__name__)

CONFIG = "config"
"""Under which name a checkpoint holds the configuration."""
HOW_STARTED = ("resume", "ckpt_path", "weights_only", "weights", "verbose", "pictures", "out", "clip", "size")
"""Arguments that say how a command was started, and not what the run is."""
OF_CLIPS = ("model.network.", "data.clip.", "data.mean", "data.std", "data.folds")
"""What an evaluation should have in common with the training."""
EVALUATED: dict[str, Evaluated] = {TrainerFn.VALIDATING: "val", TrainerFn.TESTING: "test"}
MOST_LETTERS = 60


def as_asked(parser: LightningArgumentParser, config: Namespace) -> dict[str, Any]:
    """Return a command's configuration as plain values.

    It is without how the command was started, and without where the run lies, since its folder may be moved.
    """
    asked = yaml.safe_load(parser.dump(config, skip_none=False))
    asked["checkpoint"]["dirpath"] = asked["trainer"]["default_root_dir"] = None
    return {key: value for key, value in asked.items() if key not in (*HOW_STARTED, "run_dir")}


class RunConfig(SaveConfigCallback):
    """Writes the configuration: of fit into config.yaml and every checkpoint, of others beside their results.

    config.yaml is the run's: only fit writes it, and a fit that goes on writes it when training begins, so
    that one that is refused leaves it as it was. `gcvideo validate` and `gcvideo test` write val_config.yaml
    and test_config.yaml.
    """

    def __init__(self, parser: LightningArgumentParser, config: Namespace, **kwargs: Any) -> None:
        super().__init__(parser, config, **kwargs)
        self.asked = as_asked(parser, config)
        self.logs_settings = config.trainer.enable_autolog_hparams is not False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        assert trainer.state.fn is not None
        if trainer.state.fn == TrainerFn.PREDICTING:
            return
        run = RunFolder(Path(trainer.default_root_dir))
        evaluated = EVALUATED.get(trainer.state.fn)
        if evaluated is not None:
            self._write(trainer, run.evaluation_config(evaluated))
        elif not run.config.exists():
            run.checkpoints.mkdir(parents=True, exist_ok=True)
            self._write(trainer, run.config)
        if evaluated is None and self.logs_settings:
            self._log(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer, RunFolder(Path(trainer.default_root_dir)).config)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint[CONFIG] = self.asked

    def _log(self, trainer: Trainer) -> None:
        """Tell the loggers the settings besides those of model and data, which Lightning logs."""
        settings = {key: value for key, value in self.asked.items() if key not in SECTIONS}
        settings["trainer"] = {key: value for key, value in settings["trainer"].items() if key != "logger"}
        for logger in trainer.loggers:
            logger.log_hyperparams(settings)

    def _write(self, trainer: Trainer, file: Path) -> None:
        if trainer.is_global_zero:
            write_text(file, f"# gcvideo {__version__}\n" + yaml.safe_dump(self.asked, sort_keys=False))


def run_of(config: Any) -> RunFolder | None:
    """Return the run of the checkpoint that is named, or else of the last --config file that is a run's."""
    runs = [RunFolder.of_config(Path(str(file))) for file in config.config or [] if file is not None]
    if config.ckpt_path is not None:
        runs.append(RunFolder.of_checkpoint(Path(config.ckpt_path)))
    return next((run for run in reversed(runs) if run is not None), None)


def with_config_of_checkpoint(arguments: Sequence[str]) -> list[str]:
    """Put the configuration that a checkpoint carries before arguments that name a checkpoint and no file.

    It may be a stranger's: from then on only trusted modules are imported. Where the run lies, and how it
    is started are not taken from it.
    """
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.add_argument("--config", "-c")
    options.add_argument("--ckpt_path")
    try:
        named, _ = options.parse_known_args(arguments)
    except argparse.ArgumentError:  # without a value, which the real parser says
        return list(arguments)
    if named.config is not None or named.ckpt_path is None:
        return list(arguments)
    file = user_path(named.ckpt_path)
    config = config_in(read_training_state(file))
    if config is None:
        return list(arguments)
    distrust(file, typed=[argument for argument in arguments if argument != named.ckpt_path])
    carried = {key: value for key, value in config.items() if key not in (*HOW_STARTED, "run_dir", "config")}
    return [arguments[0], "--config", yaml.safe_dump(carried), *arguments[1:]]


def config_in(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the configuration that a checkpoint carries, if it does."""
    config = state.get(CONFIG)
    return config if isinstance(config, dict) else None


def class_names_in(state: Mapping[str, Any], checkpoint: Path) -> list[str]:
    """Return the class names that a checkpoint carries.

    Raises:
        ValueError: It carries none, as those of other programs.
    """
    names = state.get("hyper_parameters", {}).get("class_names")
    if not isinstance(names, list):
        raise ValueError(
            f"{checkpoint}: holds no class names; expected a checkpoint that `gcvideo fit` wrote; weights of "
            "other programs are for --model.weights.path"
        )
    return names


class Change(NamedTuple):
    """A setting that is not what it was."""

    key: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.key} {_short(self.now)} (was {_short(self.before)})"


def defaults_of(parser: LightningArgumentParser) -> dict[str, Any]:
    """Return a command's configuration where nothing is asked, as plain values."""
    return yaml.safe_load(parser.dump(parser.get_defaults(), skip_none=False, skip_validation=True))


def changes(
    before: Mapping[str, Any], now: Mapping[str, Any], *, defaults: Mapping[str, Any]
) -> list[Change]:
    """Return the settings in which two configurations differ; one newer than a run had its default in it."""
    old, new, default = flat(before), flat(now), flat(defaults)
    return [
        Change(key, old.get(key, "unset"), new.get(key, "unset"))
        for key in sorted({*old, *new})
        if old.get(key, default.get(key, "null")) != new.get(key, default.get(key, "null"))
    ]


def accept_changes(found: Iterable[Change], *, fits: bool, checkpoint: Path) -> None:
    """Say which settings are not those of the checkpoint, where that matters.

    Raises:
        ValueError: A run that goes on is asked for another seed_everything, whose old one it keeps.
    """
    changed = {change.key: change for change in found}
    if fits and "seed_everything" in changed:
        seed = changed["seed_everything"]
        raise ValueError(
            f"seed_everything is {seed.now}, and {checkpoint} was trained with {seed.before}, which "
            f"a resumed run keeps; give --seed_everything {seed.before}, or start a new run"
        )
    if fits and changed:
        said = "settings that have changed since the checkpoint, used from here on"
        log.warning("%s: %s", said, "; ".join(map(str, changed.values())))
    if not fits:
        of_clips = [change for key, change in changed.items() if key.startswith(OF_CLIPS)]
        if of_clips:
            log.warning("not as in the training of %s: %s", checkpoint, "; ".join(map(str, of_clips)))


def _short(value: str) -> str:
    return value if len(value) <= MOST_LETTERS else f"{value[:MOST_LETTERS]}..."
