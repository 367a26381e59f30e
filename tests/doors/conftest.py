"""What tests of doors share with journeys."""

from tests.journey.conftest import refused  # noqa: F401 (a fixture)
