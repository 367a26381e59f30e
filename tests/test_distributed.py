"""What a process knows of the others before they have met."""

import pytest

from gcvideo.distributed import RANKS, is_rank_zero


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0", "SLURM_PROCID": "3"}, True),  # torchrun on the fourth node of a job
        ({"RANK": "8", "LOCAL_RANK": "0", "SLURM_PROCID": "0"}, False),
        ({"SLURM_PROCID": "0"}, True),
        ({"SLURM_PROCID": "1"}, False),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, False),  # started by Lightning within a task
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"OMPI_COMM_WORLD_RANK": "2"}, False),
    ],
)
def test_rank_zero_is_known_under_every_launcher(monkeypatch, environment, expected):
    for name in ("RANK", *RANKS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_rank_zero() == expected
