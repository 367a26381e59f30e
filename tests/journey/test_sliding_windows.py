"""Untrimmed videos are evaluated by windows that roll over all of each."""

import json
from itertools import pairwise

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gcvideo.cli.inputs import load
from gcvideo.cli.trust import trust
from gcvideo.clip import ClipBatch
from gcvideo.data.sampling import ClipFrames, SlidingClips
from tests.data.annotated import write_dataset
from tests.training.runs import VIEWS, run, said, write_config

SLIDING = {
    **VIEWS,
    "num_clips": 9,
    "sampler": {"class_path": "gcvideo.data.SlidingClips", "init_args": {"hop_frames": 5}},
}


@given(st.integers(1, 300), st.integers(1, 6), st.integers(1, 20), st.integers(1, 40))
def test_windows_are_a_hop_apart_and_the_last_ends_with_the_video(video_frames, num_frames, hop, most):
    clip = ClipFrames(num_frames, 2)
    starts = [*range(0, max(video_frames - clip.span, 0), hop), max(video_frames - clip.span, 0)]
    found = SlidingClips(clip, most, hop_frames=hop)(video_frames)[:, 0].tolist()
    if len(starts) <= most:
        assert found == starts or most == 1
    assert set(found) <= set(starts)
    assert found == sorted(set(found))
    assert len(found) == min(len(starts), most)
    if most > 1:
        assert (found[0], found[-1]) == (starts[0], starts[-1])
        gaps = [starts.index(b) - starts.index(a) for a, b in pairwise(found)]
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_videos_of_other_lengths_have_other_numbers_of_windows_whose_mean_is_the_videos(tmp_path):
    """The reference reads every window by itself, and takes the mean of their probabilities."""
    root = write_dataset(tmp_path / "videos", train=4, val=4, test=4)
    data = {"val_views": SLIDING, "test_views": SLIDING, "test_batch_size": 3}
    config = write_config(tmp_path, root, data=data, model={"learning_rate": 5.0})
    assert run(config) == [0], said(tmp_path)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    assert run(config, "--ckpt_path", str(checkpoint), command="test", processes=2) == [0, 0], said(tmp_path)
    table = pd.read_csv(tmp_path / "run" / "predictions.csv").set_index("video")
    protocol = json.loads((tmp_path / "run" / "test_metrics.json").read_text())["protocol"]
    assert protocol["views"]["sampler"] == "gcvideo.data.sampling.SlidingClips, a clip every 5 frames"
    # By hand
    trust(["tests"])
    counts = []
    model, loaded = load(checkpoint, device="cpu")
    for record in loaded.records("test"):
        video_frames = 14 + int(record.path.stem)
        starts = [start for start in (0, 5, 10) if start < video_frames - 4] + [video_frames - 4]
        probabilities = []
        for start in starts:
            dataset = loaded.evaluation_dataset([record], loaded.test_views)
            dataset.clips = lambda _, start=start: torch.arange(start, start + 4)[None]
            clip = dataset[0, 0]
            views = loaded.device_transform(training=False)(
                ClipBatch(clip.frames[None], torch.tensor([clip.label]), [clip.video_id])
            ).views
            with torch.no_grad():
                probabilities.append(model.network(views[0]).softmax(1)[0])
        of_windows = torch.stack(probabilities)
        assert of_windows.std(0).max() > 1e-3  # so that leaving one out is seen
        assert table["probability"][record.video_id] == pytest.approx(
            float(of_windows.mean(0).max()), abs=1e-4
        )
        counts.append(len(starts))
    assert counts == [3, 4, 4, 4]
