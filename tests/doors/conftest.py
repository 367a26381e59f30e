"""What tests of doors share with journeys."""

from tests.journey.conftest import complaint, refused  # noqa: F401 (a fixture)
