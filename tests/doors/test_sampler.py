"""Which frames make a clip, by a rule of the user's own."""

import json

import pytest

from gcvideo.cli import main
from tests.doors.own import dataset, ends_apart, fit_with_a_stop, write_module

SAMPLER = '''
import torch

from gcvideo.data.sampling import ClipFrames, ClipSampler


class Segments(ClipSampler):
    """One frame of each of T equal parts of a video (Wang et al., arXiv:1608.00859)."""

    def __init__(self, clip: ClipFrames, num_clips: int = 1, at_random: bool = False) -> None:
        self.clip, self.num_clips, self.at_random = clip, num_clips, at_random

    def __call__(self, video_frames):
        shape = (self.num_clips, self.clip.num_frames)
        within = torch.rand(shape) if self.at_random else torch.full(shape, 0.5)
        places = (torch.arange(self.clip.num_frames) + within) / self.clip.num_frames
        return (places * video_frames).long()
'''


def named(**settings) -> dict:
    return {"class_path": "segments.Segments", "init_args": settings}


def test_a_sampler_of_ones_own_trains_resumes_and_tests(tmp_path, monkeypatch, refused):
    write_module(tmp_path / "module", monkeypatch, "segments", SAMPLER)
    root = dataset(tmp_path / "videos")
    fit_with_a_stop(tmp_path / "default", root)
    views = ("--data.test_views.sampler", json.dumps(named()))
    for name, num_workers in {"own": 0, "own again": 2}.items():
        data = {"train_sampler": named(at_random=True), "num_workers": num_workers}
        fit_with_a_stop(tmp_path / name, root, *views, data=data)
    assert ends_apart(tmp_path / "own again", tmp_path / "own") == []
    assert "state_dict" in ends_apart(tmp_path / "own", tmp_path / "default")

    # Tested by that rule, which the protocol names, and with the usual one again.
    run = tmp_path / "own" / "run"
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    test = ["test", "--config", str(run / "config.yaml"), "--ckpt_path", checkpoint]
    losses = []
    for other in ([], ["--data.test_views.sampler", "null"]):
        main([*test, *other])
        metrics = json.loads((run / "test_metrics.json").read_text())
        losses.append(metrics["test/loss"])
        assert ("sampler" in metrics["protocol"]["views"]) == (not other)
    assert losses[0] != pytest.approx(losses[1], rel=1e-6)

    predict = ["predict", str(root / "00.mp4"), "--checkpoint", checkpoint, "--out", str(tmp_path / "out")]
    assert "--trust segments lets it be imported" in refused([*predict, "--trust", "tests"])
    main([*predict, "--trust", "tests", "--trust", "segments"])
    assert (tmp_path / "out" / "predictions.csv").is_file()
