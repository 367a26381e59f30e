"""What README and pages name is there: files, commands, configurations, classes."""

import re
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import pytest
import yaml

from gcvideo.cli.main import COMMANDS, main
from gcvideo.cli.named_configs import with_named_files

PROJECT = Path(__file__).parents[1]
DOCS = PROJECT / "scripts" / "docs"
PAGES = [
    *(
        PROJECT / name
        for name in ("README.md", "CONTRIBUTING.md", "data_prep/README.md", "scripts/README.md")
    ),
    *sorted(DOCS.glob("*.md")),
]
PLACEHOLDERS = {"FILE", "...", "run.yaml", "NAME", "NAMES"}

pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(PROJECT)) for page in PAGES])


def in_nav(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    return [name for part in (entry.values() if isinstance(entry, dict) else entry) for name in in_nav(part)]


def test_every_page_is_in_the_navigation_and_the_front_page_is_short() -> None:
    settings = yaml.safe_load((PROJECT / "scripts" / "mkdocs.yml").read_text())
    assert sorted(in_nav(settings["nav"])) == sorted(page.name for page in DOCS.glob("*.md"))
    assert len((PROJECT / "README.md").read_text().split()) <= 1200


@pages
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pages
def test_commands_and_configurations_are_there(page: Path) -> None:
    text = page.read_text()
    of_images = ["image"] if page.name == "images.md" else []  # where names are others
    code = re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL)
    for command in re.findall(r"(?:^|`|&& )gcvideo ([a-z]+)", "\n".join(code), re.MULTILINE):
        assert command in COMMANDS
    for stack in re.findall(r"--config[ =]([^\s`\\]+)", text):
        if stack not in PLACEHOLDERS and not stack.startswith("runs/"):
            files = with_named_files([*of_images, "--config", stack])[len(of_images) + 1 :: 2]
            assert all(Path(file).is_file() for file in files), stack
    for file in re.findall(r"\bconfigs/[\w/]+\.yaml", text):
        assert (PROJECT / file).is_file(), file


def test_keys_of_other_codebases_are_translated_into_keys_that_are_there(capsys) -> None:
    stack = "base+folder+slow_r50+nl5+randaugment+erasing_and_blending"
    with pytest.raises(SystemExit):
        main(["fit", "--config", stack, "--data.root", ".", "--print_config"])
    there = dotted(yaml.safe_load(capsys.readouterr().out))
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|", (DOCS / "from_others.md").read_text(), re.MULTILINE)
    named = {key for row in rows for key in re.findall(r"`((?:data|model|trainer)\.\w[\w.]*)`", row)}
    in_parts = {"model.class_path", "model.weights.path", "model.weights.new"}  # none unless they are given
    assert named - there - in_parts == set()
    assert len(named) > 40


def dotted(settings: object, inside: str = "") -> set[str]:
    """Return the keys of nested settings, as the command line has them."""
    if not isinstance(settings, dict):
        return set()
    names = {f"{inside}{key}": value for key, value in settings.items()}
    return names.keys() | {key for name, value in names.items() for key in dotted(value, f"{name}.")}


@pages
def test_classes_are_there(page: Path) -> None:
    for name in sorted(set(re.findall(r"\bgcvideo(?:\.[a-z_]+)+\.[A-Z]\w+", page.read_text()))):
        assert resolve_name(name) is not None
