import numpy as np
import pytest
import torch

from gcvideo.clip import ViewBatch
from gcvideo.data.grid import GAP, LEAST_SIDE, LINE_HEIGHT, captions, clip_film, clip_grid
from gcvideo.data.transforms import Normalize

NAMES = ["walk", "run", "jump"]
NORMALIZE = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FRAMES = torch.randint(
    0, 256, (3, 1, 5, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
BATCH = ViewBatch(NORMALIZE(FRAMES), torch.tensor([0, 2, 1]), ["a.mp4", "b.mp4", "c.mp4"])
CELL = LEAST_SIDE + GAP, 6 * 24 + GAP  # 16 x 24, six times as large


def cell(picture: np.ndarray, clip: int, column: int) -> np.ndarray:
    """The frame in a row and a column, at its own size again."""
    top, left = clip * (CELL[0] + LINE_HEIGHT) + LINE_HEIGHT, column * CELL[1]
    return picture[top : top + LEAST_SIDE : 6, left : left + 6 * 24 : 6]


def test_a_grid_holds_the_frames_before_normalisation_in_their_order():
    picture = clip_grid(BATCH, NORMALIZE, NAMES, num_clips=2, num_frames=3)
    assert picture.shape == (2 * (CELL[0] + LINE_HEIGHT), 3 * CELL[1], 3)
    for clip in range(2):
        for column, frame in enumerate([0, 2, 4]):
            assert np.array_equal(cell(picture, clip, column), FRAMES[clip, 0, frame].numpy())


def test_a_film_shows_all_clips_at_once():
    film = clip_film(BATCH, NORMALIZE, NAMES)
    assert film.shape == (5, 2 * (CELL[0] + LINE_HEIGHT), 2 * CELL[1], 3)  # two by two, one place free
    for frame, clip in [(0, 0), (2, 1), (4, 2)]:
        assert np.array_equal(cell(film[frame], clip // 2, clip % 2), FRAMES[clip, 0, frame].numpy())


def test_values_beyond_black_and_white_are_black_and_white():
    views = torch.tensor([-9.0, 0.0, 9.0]).expand(1, 1, 3, 3).reshape(1, 1, 3, 1, 1, 3)
    assert Normalize((0.5,) * 3, (0.2,) * 3).inverse(views)[0, 0, 0, 0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (torch.tensor([0, 2, 1]), ["walk", "jump", "run"]),
        (
            torch.tensor([[1.0, 0, 0], [0.3, 0, 0.7], [0.0, 0.5, 0.5]]),
            ["walk", "0.70 jump + 0.30 walk", "0.50 run + 0.50 jump"],
        ),
    ],
)
def test_a_caption_says_the_class_or_the_shares_of_those_that_are_blended(target, said):
    found = captions(BATCH._replace(target=target), NAMES)
    assert found == [f"{one}   ({video})" for one, video in zip(said, BATCH.video_id, strict=True)]
