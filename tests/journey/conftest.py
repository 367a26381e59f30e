"""What several journeys share."""

from collections.abc import Callable, Sequence

import pytest

from gcvideo.cli import main


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[str]], str]:
    """The one line that a command says which must fail."""

    def run(arguments: Sequence[str]) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 1
        said = capsys.readouterr().err
        assert "Traceback" not in said
        line = said.strip().splitlines()[-1]
        assert line.startswith("gcvideo ")
        return line

    return run
