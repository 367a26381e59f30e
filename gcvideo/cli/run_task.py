"""The task of a run: what a video's classes are, and which defaults follow from it.

Either of two keys names it, model.task and data.multi_label, and the other follows. It is settled before
anything is parsed, as the classes of a run are, so that --help and --print_config show the loss and the
metric of the task.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gcvideo.training.tasks import TASKS, TaskName

KEYS = ("model.task", "data.multi_label")
OF_SWITCH: dict[str, TaskName] = {"false": "single_label", "true": "multi_label"}


class NamedTask:
    """What arguments and config files say of the task, the last one of each key."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}

    def read(self, key: str, value: str) -> None:
        """Take in an argument, as --model.task."""
        name = key.removeprefix("--")
        if name in KEYS:
            self._said[name] = value

    def read_config(self, content: Mapping[str, Any]) -> None:
        """Take in the content of a config file, with or without classes of one's own."""
        for key in KEYS:
            section, _, name = key.partition(".")
            settings = content.get(section)
            if not isinstance(settings, Mapping):
                continue
            settings = settings.get("init_args", settings) if "class_path" in settings else settings
            if isinstance(settings, Mapping) and settings.get(name) is not None:
                self._said[key] = str(settings[name])

    @property
    def name(self) -> TaskName:
        """The task; what is no task is left for the parser to refuse."""
        for known in TASKS:
            if known == self._said.get("model.task"):
                return known
        return OF_SWITCH.get(self._said.get("data.multi_label", "").lower(), "single_label")


def task_defaults(
    task: TaskName, sections: Sequence[str] = ("model", "data", "checkpoint")
) -> dict[str, Any]:
    """Return what keys of these sections are by default, with this task."""
    kind = TASKS[task]
    loss = kind.loss
    path = (
        f"torch.nn.{loss.__name__}"
        if loss.__module__.startswith("torch.")
        else f"gcvideo.training.{loss.__name__}"
    )
    defaults: dict[str, Any] = {
        "model.loss": {"class_path": path},
        "checkpoint.monitor": f"val/{kind.figure}",
    }
    if task != "single_label":  # which classes of one's own that know of no task have, too
        defaults |= {"model.task": task, "data.multi_label": True}
    return {key: value for key, value in defaults.items() if key.partition(".")[0] in sections}
