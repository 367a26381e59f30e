"""What is read of a configuration beside the network: the clips of training."""

import pytest

from gcvideo.backbones.checkpoints.configurations import Input, mmlab, pyslowfast
from gcvideo.backbones.checkpoints.configurations.said import UNSEEN

GREY = {"mean": (0.45,) * 3, "std": (0.225,) * 3}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            {"NUM_FRAMES": 4, "SAMPLING_RATE": 16, "MEAN": [0.45] * 3, "STD": [0.225] * 3},
            Input(4, 16, **GREY),
        ),
        ({"REVERSE_INPUT_CHANNEL": True}, Input(channels="BGR")),
        ({}, Input()),
    ],
)
def test_pyslowfasts_data_are_read(config, expected):
    assert pyslowfast.read({"DATA": config}, UNSEEN).input == expected


@pytest.mark.parametrize(("arch", "expected"), [("slowonly", "slow"), ("slow", "slow"), ("2d", "c2d_nopool")])
def test_names_of_older_and_newer_releases_of_pyslowfast_are_known(arch, expected):
    assert pyslowfast.read({"MODEL": {"ARCH": arch}}, UNSEEN).settings["architecture"] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (  # MMAction2 of 2020: clips and pixels in the pipelines
            "img_norm_cfg = dict(mean=[51.0, 102.0, 153.0], std=[25.5, 51.0, 51.0], to_bgr=False)\n"
            "data = dict(train=dict(type='RawframeDataset', pipeline=[\n"
            "    dict(type='SampleFrames', clip_len=4, frame_interval=16, num_clips=1),\n"
            "    dict(type='Normalize', mean=[51, 102, 153], std=[25.5, 51.0, 51.0], to_bgr=False)]))\n",
            Input(4, 16, (0.2, 0.4, 0.6), (0.1, 0.2, 0.2), "RGB"),
        ),
        (  # of 2022: pixels in the model; a frame_interval of 1 may be left out
            "model = dict(data_preprocessor=dict(\n"
            "    type='ActionDataPreprocessor', mean=[51, 51, 51], std=[51, 51, 51]))\n"
            "test_pipeline = [dict(type='SampleFrames', clip_len=32, num_clips=10, test_mode=True)]\n",
            Input(32, 1, (0.2, 0.2, 0.2), (0.2, 0.2, 0.2)),
        ),
        (  # TSN reads single frames, whose distance a stride is not
            "train_pipeline = [dict(type='SampleFrames', clip_len=1, frame_interval=1, num_clips=8)]\n",
            Input(),
        ),
        (  # mmdetection's caffe models
            "model = dict(data_preprocessor=dict(type='DetDataPreprocessor', mean=[102.0, 51.0, 51.0], "
            "std=[255.0, 255.0, 255.0], bgr_to_rgb=False))\n",
            Input(None, None, (0.4, 0.2, 0.2), (1.0, 1.0, 1.0), "BGR"),
        ),
    ],
)  # fmt: skip
def test_mmlabs_pipelines_are_read(text, expected):
    assert mmlab.read(mmlab.parse(text), UNSEEN).input == expected


def test_a_configuration_in_python_is_data_and_nothing_in_it_is_run(tmp_path):
    mark = tmp_path / "ran"
    text = f"a = open({str(mark)!r}, 'w')\n"
    text += "b = dict({'f g': 3}, c=__import__('os').getcwd(), d=-1, e=(1, [2]), **{'h i': 4})\n"
    assert mmlab.parse(text) == {
        "a": f"open({str(mark)!r}, 'w')",
        "b": {"f g": 3, "h i": 4, "c": "__import__('os').getcwd()", "d": -1, "e": (1, (2,))},
    }
    assert not mark.exists()
    with pytest.raises(ValueError, match="is no Python"):
        mmlab.parse("model = dict(((")
