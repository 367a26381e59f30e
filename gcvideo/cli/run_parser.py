"""The parser of the commands that run, whose help may be about one topic."""

from typing import Any

import yaml
from lightning.pytorch.cli import LightningArgumentParser

from gcvideo.cli.config_forms import with_classes
from gcvideo.cli.parser import CommandParser
from gcvideo.cli.peak import peak_of


class RunParser(CommandParser, LightningArgumentParser):
    """The parser of a command of Lightning's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"prog": "gcvideo", **kwargs})
        self.classes: dict[str, type] = {}
        """By section, the classes of one's own whose settings are parsed."""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        self.usage = f"{self.prog.replace(' [options]', '')} [--config NAME+NAME ...] [--KEY VALUE ...]"
        return super().format_help(*args, **kwargs)

    def dump(self, *args: Any, **settings: Any) -> str:
        """Return a configuration as text, which names them."""
        text = super().dump(*args, **settings)
        named = with_classes(config := yaml.safe_load(text), self.classes)
        text = text if named == config else yaml.safe_dump(named, sort_keys=False)
        is_printed = hasattr(getattr(self, "parent_parser", None), "print_config")  # by --print_config
        trains = getattr(self, "subcommand", None) == "fit"
        return f"# {peak_of(args[0])}\n{text}" if is_printed and trains else text
