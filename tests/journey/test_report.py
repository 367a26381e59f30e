"""`gcvideo report` on a real run: measured, with pictures of its mistakes."""

from pathlib import Path

import pandas as pd
import pytest

from gcvideo.cli import main
from tests.journey.trained import write_checkpoint


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    checkpoint = write_checkpoint(folder)
    run_dir = checkpoint.parents[1]
    main(["test", "--config", str(run_dir / "config.yaml"), "--ckpt_path", str(checkpoint)])
    return run_dir


def test_a_run_becomes_a_page_in_its_own_folder_with_its_cost_and_pictures_of_its_mistakes(
    run_dir: Path,
) -> None:
    table = pd.read_csv(run_dir / "predictions.csv", dtype=str)
    table["prediction"] = "three"  # whatever the network says, videos of classes one and two are mistaken
    table.to_csv(run_dir / "predictions.csv", index=False)
    main(["report", str(run_dir)])
    page = (run_dir / "report.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 2
    assert "4 x 32 x 32" in page


def test_cost_can_be_left_out(run_dir: Path, tmp_path: Path) -> None:
    main(["report", str(run_dir), "--cost", "false", "--out", str(tmp_path / "page.html")])
    assert "4 x 32 x 32" not in (tmp_path / "page.html").read_text()


def test_a_folder_that_is_no_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"):
        main(["report", str(tmp_path)])
    assert "holds no config.yaml; expected the run_dir" in capsys.readouterr().err
