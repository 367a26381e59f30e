"""What several journeys share."""

from collections.abc import Callable, Sequence

import pytest

from gcvideo.cli import main


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail, and give all that it says on standard error."""

    def run(arguments: Sequence[str], *, code: int = 1) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == code
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said

    return run


@pytest.fixture
def refused(complaint: Callable[..., str]) -> Callable[..., str]:
    """Run a command that must fail, and give the one line that it says last."""

    def run(arguments: Sequence[str], *, code: int = 1) -> str:
        line = complaint(arguments, code=code).strip().splitlines()[-1]
        assert line.startswith("gcvideo ")
        return line

    return run
