"""Where a clip is cut in evaluation, by a rule of the user's own."""

import json

from gcvideo.cli import main
from tests.doors.own import dataset, fit_with_a_stop, write_module

CROPPER = '''
from torchvision.transforms.v2 import functional as TF

from gcvideo.data.transforms import ViewCrops


class Whole(ViewCrops):
    """The whole picture squeezed into a square, as a cropless test reads it."""

    def __init__(self, short_side: int, crop_size: int, num_crops: int, mirrored: bool = False) -> None:
        if num_crops != 1:
            raise ValueError(f"num_crops is {num_crops}; a whole picture is one crop")
        self.crop_size, self.mirrored = crop_size, mirrored

    def __call__(self, frames):
        squeezed = TF.resize(frames, [self.crop_size, self.crop_size])
        return [squeezed.flip(-1) if self.mirrored else squeezed]
'''


def test_a_cropper_of_ones_own_tests_and_predicts(tmp_path, monkeypatch, refused):
    write_module(tmp_path / "module", monkeypatch, "squeezed", CROPPER)
    root = dataset(tmp_path / "videos")
    cropper = ("--data.test_views.cropper", json.dumps({"class_path": "squeezed.Whole"}))
    fit_with_a_stop(tmp_path / "own", root, *cropper)

    run = tmp_path / "own" / "run"
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    test = ["test", "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint]
    mirrored = json.dumps({"class_path": "squeezed.Whole", "init_args": {"mirrored": True}})
    losses = []
    for other in ([], ["--data.test_views.cropper", mirrored], ["--data.test_views.cropper", "null"]):
        main([*test, *other])
        metrics = json.loads((run / "test_metrics.json").read_text())
        losses.append(metrics["test/loss"])
        named = metrics["protocol"]["views"].get("cropper")
        assert named == (None if "null" in other else "squeezed.Whole")
    assert len({round(loss, 6) for loss in losses}) == 3
    assert "num_crops is 3; a whole picture is one crop" in refused(
        [*test, "--data.test_views.num_crops", "3"]
    )

    # Whole videos and their timelines are cut by the checkpoint's rule too.
    predict = ["predict", str(root / "00.mp4"), "--checkpoint", checkpoint, "--out", str(tmp_path / "out")]
    assert "--trust squeezed lets it be imported" in refused([*predict, "--trust", "tests"])
    for timeline in ([], ["--timeline"]):
        main([*predict, *timeline, "--trust", "tests", "--trust", "squeezed"])
        assert (tmp_path / "out" / "predictions.csv").is_file()
