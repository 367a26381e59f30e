"""Shape annotations are checked by beartype in the whole test run."""

import logging
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from jsonargparse._common import parsing_settings

install_import_hook("gcvideo", "beartype.beartype")

# A busy machine is no failure.
settings.register_profile("gcvideo", deadline=None)
settings.load_profile("gcvideo")

# Tests run in as many processes as there are processors; more threads would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_log_settings_of_a_command_outlive_its_test() -> Iterator[None]:
    """`gcvideo` logs to the standard error of the moment, which pytest replaces for every test."""
    yield
    logging.getLogger("gcvideo").handlers.clear()
    logging.getLogger("gcvideo").setLevel(logging.NOTSET)


AS_IMPORTED = dict(parsing_settings)


@pytest.fixture(autouse=True)
def no_trust_of_a_command_outlives_its_test() -> Iterator[None]:
    """A process of `gcvideo` runs one command, and what it distrusts once it distrusts to its end."""
    parsing_settings.update(AS_IMPORTED)
    yield
    parsing_settings.update(AS_IMPORTED)
