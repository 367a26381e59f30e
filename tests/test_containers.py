"""Container files and the workflow build and test what is here."""

import re
from pathlib import Path

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from gcvideo.cli.main import COMMANDS

PROJECT = Path(__file__).parents[1]
DOCKERFILES = sorted((PROJECT / "scripts" / "docker").glob("*.Dockerfile"))
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))

dockerfiles = pytest.mark.parametrize("file", DOCKERFILES, ids=[file.name for file in DOCKERFILES])


def instructions(file: Path) -> list[tuple[str, str]]:
    parser = DockerfileParser(path=str(file))
    return [(step["instruction"], step["value"]) for step in parser.structure]


def test_there_is_one_for_processors_and_one_for_gpus() -> None:
    assert [file.name for file in DOCKERFILES] == ["cpu.Dockerfile", "cuda.Dockerfile"]


@dockerfiles
def test_what_is_copied_is_there_and_is_all_that_an_installation_reads(file: Path) -> None:
    copied = {source for name, value in instructions(file) if name == "COPY" for source in value.split()[:-1]}
    assert [source for source in copied if not (PROJECT / source).exists()] == []
    linked = [path for path in (PROJECT / "configs").rglob("*") if path.is_symlink()]
    needed = {path.resolve().relative_to(PROJECT) for path in linked}
    needed |= {Path(name) for name in ("pyproject.toml", "README.md", "LICENSE", "gcvideo", "configs")}
    assert needed <= {Path(source) for source in copied}


@dockerfiles
def test_versions_are_those_of_the_constraints(file: Path) -> None:
    installed = [value for name, value in instructions(file) if name == "RUN" and "pip install" in value]
    assert len(installed) == 2
    assert all("--constraint constraints.txt" in value for value in installed)
    allowed = re.search(r'requires-python = ">=3\.(\d+)"', (PROJECT / "pyproject.toml").read_text())
    (image,) = (value for name, value in instructions(file) if name == "FROM")
    python = re.fullmatch(r"python:3\.(\d+)-slim", image)
    assert allowed is not None
    assert python is not None
    assert int(python[1]) >= int(allowed[1])


@dockerfiles
def test_a_container_runs_the_command_and_its_own_examples_name_commands_that_are_there(file: Path) -> None:
    settings = dict(instructions(file))
    assert settings["ENTRYPOINT"] == '["gcvideo"]'
    examples = re.sub(r"\\\n#\s+", "", file.read_text())
    (command,) = re.findall(r"docker run .* gcvideo:\w+ +(\w+)", examples)
    assert command in COMMANDS


def test_the_workflow_makes_targets_that_are_there() -> None:
    (file,) = WORKFLOWS
    jobs = yaml.safe_load(file.read_text())["jobs"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = re.findall(r"^(\S+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert commands == ["make test", "make docs"]
    assert {command.removeprefix("make ") for command in commands} <= set(targets)
