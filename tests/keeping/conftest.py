"""What runs that are stopped are compared with."""

from pathlib import Path

import pytest

from tests.data.annotated import write_dataset
from tests.training.trials import NUM_VIDEOS, whole_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "videos", **NUM_VIDEOS)


@pytest.fixture(scope="module")
def whole(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Folders of runs that were never stopped, by the number of processes."""
    return {
        processes: whole_run(tmp_path_factory.mktemp(f"whole{processes}"), root, processes=processes)
        for processes in (1, 2)
    }
