"""The measure of query dependence moves where the label needs the query, and only there."""

import torch
from studying.control import FRAMES, HEIGHT, NUM_KEYS, NUM_SIGNS, TASKS, WIDTH, control, draw


def test_labels_are_the_sign_of_the_partner_or_of_the_mark() -> None:
    for task in TASKS:
        x, label = draw(task, 5, torch.Generator().manual_seed(3))
        assert x.shape == (5, NUM_KEYS + NUM_SIGNS + 1, FRAMES, HEIGHT, WIDTH)
        keys, signs, marks = x.flatten(2).split([NUM_KEYS, NUM_SIGNS, 1], dim=1)
        keys, signs = keys.argmax(1), signs.argmax(1)
        for clip in range(5):
            (marked,) = marks[clip, 0].nonzero().flatten().tolist()
            for i in range(keys.shape[1]):
                same = (keys[clip] == keys[clip, i]).nonzero().flatten().tolist()
                (partner,) = [j for j in same if j != i]
                looked_at = {"matching": partner, "shared": marked}[task]
                assert label[clip, i] == signs[clip, looked_at]


def test_attention_comes_to_depend_on_the_query_in_matching_and_not_in_shared() -> None:
    found = {
        task: control(task, "gaussian", seed=1, num_steps=250, tell=lambda share: None) for task in TASKS
    }
    before = found["matching"]["before"]["attention/cosine"]
    assert before == found["shared"]["before"]["attention/cosine"]  # the same network, the same maps
    matching, shared = (found[task]["after"] for task in TASKS)
    for pairs in ("same_frame", "same_place", "neither"):
        assert matching["attention/cosine"][pairs] > 1.5 * before[pairs]
        assert shared["attention/cosine"][pairs] < 0.2 * before[pairs]
    assert matching["attention/jensen_shannon"]["all"] > 10 * shared["attention/jensen_shannon"]["all"]
    assert min(found[task]["accuracy"] for task in TASKS) > 0.9
