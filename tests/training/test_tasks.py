"""What a task makes of logits, and what checkpoints and data say of it."""

import pytest
import torch

from gcvideo.training import VideoClassifier
from gcvideo.training.tasks import MultiLabel, SingleLabel, require_same_labels, task_of
from tests.training.networks import TwoLayers

LOGITS = torch.tensor([[[3.0, -1.0, 0.0], [-2.0, 4.0, 0.0]]])
"""Two views of one video."""


def test_one_label_is_the_mean_over_views_of_the_softmax():
    found = SingleLabel(["a", "b", "c"]).probabilities(LOGITS)
    expected = (LOGITS[0].exp() / LOGITS[0].exp().sum(1, keepdim=True)).mean(0)
    torch.testing.assert_close(found[0], expected)


@pytest.mark.parametrize("over_views", ["mean", "max"])
def test_several_labels_have_a_sigmoid_each_before_views_are_pooled(over_views):
    found = MultiLabel(["a", "b", "c"], over_views=over_views).probabilities(LOGITS)
    p = 1 / (1 + (-LOGITS[0]).exp())
    torch.testing.assert_close(found[0], p.mean(0) if over_views == "mean" else p.max(0).values)


def test_the_maximum_over_views_is_for_several_labels_alone():
    with pytest.raises(ValueError, match=r"model\.over_views is max, after which .* do not sum to one"):
        VideoClassifier(TwoLayers, ["a", "b"], over_views="max")


def test_a_class_name_that_would_read_as_two_is_refused():
    with pytest.raises(ValueError, match="class 'walk;run' has a ; in its name"):
        VideoClassifier(TwoLayers, ["walk;run", "b"], task="multi_label")
    VideoClassifier(TwoLayers, ["walk;run", "b"])


def test_a_checkpoint_of_before_there_were_tasks_is_of_one_label():
    saved = VideoClassifier(TwoLayers, ["a", "b"])
    hyperparameters = {name: value for name, value in saved.hparams.items() if name != "task"}
    checkpoint = {"hyper_parameters": hyperparameters, "state_dict": saved.state_dict()}
    assert task_of(hyperparameters) == "single_label"
    VideoClassifier(TwoLayers, ["a", "b"]).on_load_checkpoint(checkpoint)
    with pytest.raises(ValueError, match=r"model\.task is multi_label, and .* trained for single_label"):
        VideoClassifier(TwoLayers, ["a", "b"], task="multi_label").on_load_checkpoint(checkpoint)


def test_data_that_do_not_say_what_their_labels_are_are_taken():
    require_same_labels("multi_label", multi_label=None)
    with pytest.raises(ValueError, match=r"model\.task is multi_label, and data\.multi_label false"):
        require_same_labels("multi_label", multi_label=False)
