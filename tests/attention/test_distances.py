"""Distances between positions: closed forms and samples against plain loops over all pairs."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gcvideo.attention import (
    ClipDistance,
    Grid,
    PairMeans,
    Vectors,
    clip_distances,
    cosine_distance,
    divergence,
    jensen_shannon,
    jensen_shannon_distance,
    pairs,
)
from gcvideo.attention.pairs import PAIR_KINDS, draw_pairs
from gcvideo.blocks import (
    ContextBlock,
    GlobalContextBlock,
    NonLocalBlock,
    SimplifiedNonLocalBlock,
    SqueezeExcitationBlock,
)
from tests.attention import loops
from tests.blocks.inputs import features, with_random_weights

INSTANTIATIONS = ["gaussian", "embedded_gaussian", "dot_product", "concat"]
CLIP = (1, 4, 2, 3, 4)  # 24 positions, 12 of them in a frame
NUM_PLACES = 12


def rows_of(matrix: torch.Tensor) -> Vectors:
    return Vectors(lambda i: matrix[i], size=matrix.shape[1])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def measured(
    block: ContextBlock, x: torch.Tensor, num_pairs: int = 2000
) -> dict[tuple[str, str], ClipDistance]:
    with torch.inference_mode():
        found = clip_distances(block, x, num_pairs=num_pairs, generator=generator())
    return {(row.measured, row.distance): row for row in found}


def non_local(instantiation: str, subsampling: str = "none", channels: int = 4) -> ContextBlock:
    options = {"inner_channels": channels} if instantiation == "gaussian" else {}
    block = NonLocalBlock(channels, instantiation=instantiation, subsampling=subsampling, **options)
    return with_random_weights(block).eval()


@pytest.fixture(params=[1, 2**22], ids=["one_place_at_a_time", "all_at_once"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pairs, divergence):
        monkeypatch.setattr(module, "NUMBERS_AT_A_TIME", request.param)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("subsampling", ["none", "pool_then_conv", "conv_then_pool"])
@pytest.mark.parametrize("instantiation", INSTANTIATIONS)
def test_distances_are_the_papers_mean_over_all_pairs(instantiation: str, subsampling: str) -> None:
    x = features(*CLIP)
    block = non_local(instantiation, subsampling)
    if instantiation == "concat":  # no zero rows, which have no cosine
        block.context.affinity.score.weight.data.abs_()
        x = x.abs()
        for layer in (block.context.query, block.context.key):
            layer.weight.data.abs_()
            layer.bias.data.abs_()
    contexts, attention = loops.non_local(block, instantiation, x[0], subsampling)
    vectors = {"input": x[0].flatten(1).mT, "output": contexts, "attention": attention}
    found = measured(block, x)
    for name, matrix in vectors.items():
        expected = loops.mean_distances(matrix, loops.cosine_distance, num_places=NUM_PLACES)
        assert found[name, "cosine"].mean._asdict() == pytest.approx(expected, abs=1e-12)
        assert found[name, "cosine"].standard_error == (0, 0, 0, 0)
    divergence = found["attention", "jensen_shannon"]
    if instantiation.endswith("gaussian"):
        expected = loops.mean_distances(attention, loops.jensen_shannon, num_places=NUM_PLACES)
        assert divergence.mean._asdict() == pytest.approx(expected, abs=1e-12)
        assert divergence.standard_error == (0, 0, 0, 0)
        assert divergence.num_pairs == 24 * 23 // 2
    else:
        assert all(map(math.isnan, divergence.mean))
        assert divergence.note.endswith("attention are not distributions")


def test_what_a_block_adds_is_measured_behind_its_transform() -> None:
    x, block = features(*CLIP), non_local("embedded_gaussian")
    with torch.inference_mode():
        added = (block(x) - x)[0].flatten(1).mT
    expected = loops.mean_distances(added, loops.cosine_distance, num_places=NUM_PLACES)
    assert measured(block, x)["added", "cosine"].mean._asdict() == pytest.approx(expected, abs=1e-12)


def test_a_block_that_adds_nothing_yet_adds_the_same_everywhere() -> None:
    added = measured(NonLocalBlock(4).double().eval(), features(*CLIP))["added", "cosine"]
    assert added.mean == (0, 0, 0, 0)
    assert added.zero_vectors == 1


@pytest.mark.parametrize(
    ("block", "vectors"),
    [
        (GlobalContextBlock(4, reduction_ratio=2), ["output", "added", "attention"]),
        (SimplifiedNonLocalBlock(4), ["output", "added", "attention"]),
        (SqueezeExcitationBlock(4, reduction_ratio=2), ["output", "attention"]),
    ],
    ids=["GC", "SNL", "SE"],
)
def test_a_shared_context_has_distance_zero_by_construction(block: ContextBlock, vectors: list[str]) -> None:
    x = features(*CLIP)
    found = measured(with_random_weights(block).eval(), x)
    assert set(found) == {
        ("input", "cosine"),
        *((name, "cosine") for name in vectors),
        ("attention", "jensen_shannon"),
    }
    for (name, _), row in found.items():
        if name != "input":
            assert row.mean == (0, 0, 0, 0)
            assert row.note == "one attention map for all queries"
    expected = loops.mean_distances(x[0].flatten(1).mT, loops.cosine_distance, num_places=NUM_PLACES)
    assert found["input", "cosine"].mean._asdict() == pytest.approx(expected, abs=1e-12)


def test_attention_that_depends_on_the_frame_alone_differs_between_frames_alone() -> None:
    T, S = 4, 5
    one_hot = torch.eye(T, dtype=torch.float64).repeat_interleave(
        S, dim=0
    )  # position i looks at frame i // S
    share_elsewhere = 1 - 1 / T
    cosine = cosine_distance(rows_of(one_hot), Grid(T, S)).mean
    assert cosine == pytest.approx(PairMeans(0.5 * share_elsewhere, 0, 0.5, 0.5), abs=1e-15)
    found = jensen_shannon_distance(rows_of(one_hot), Grid(T, S), num_pairs=500, generator=generator())
    in_nats = PairMeans(math.log(2) * share_elsewhere, 0, math.log(2), math.log(2))
    assert found.mean == pytest.approx(in_nats, abs=1e-15)


def test_attention_that_depends_on_the_place_alone_differs_between_places_alone() -> None:
    T, S = 3, 4
    one_hot = torch.eye(S, dtype=torch.float64).repeat(T, 1)
    cosine = cosine_distance(rows_of(one_hot), Grid(T, S)).mean
    assert cosine == pytest.approx(PairMeans(0.5 * (1 - 1 / S), 0.5, 0, 0.5), abs=1e-15)
    found = jensen_shannon_distance(rows_of(one_hot), Grid(T, S), num_pairs=500, generator=generator())
    assert found.mean == pytest.approx([math.log(2) * p for p in (1 - 1 / S, 1, 0, 1)], abs=1e-15)


def test_opposite_vectors_are_at_distance_one() -> None:
    opposite = torch.tensor([[3.0, 0], [-0.1, 0]])
    assert cosine_distance(rows_of(opposite), Grid(1, 2)).mean.same_frame == 1


def test_one_frame_has_no_pairs_across_time() -> None:
    vectors = rows_of(features(6, 3))
    found = cosine_distance(vectors, Grid(1, 6)).mean
    assert math.isnan(found.same_place)
    assert math.isnan(found.neither)
    assert found.all == pytest.approx(found.same_frame * 5 / 6)
    sampled = jensen_shannon_distance(
        rows_of(features(6, 3).softmax(1)), Grid(1, 6), num_pairs=50, generator=generator()
    ).mean
    assert math.isnan(sampled.neither)
    assert sampled.all == pytest.approx(sampled.same_frame * 5 / 6)


def test_zero_vectors_are_alike_and_at_right_angles_to_others() -> None:
    matrix = torch.tensor([[0.0, 0], [0, 0], [2, 0], [2, 0]], dtype=torch.float64)
    found = cosine_distance(rows_of(matrix), Grid(2, 2))
    assert found.mean == (0.25, 0, 0.5, 0.5)
    assert found.zero_vectors == 0.5


def test_vectors_of_any_length_have_a_direction() -> None:
    directions = features(8, 3)
    lengths = torch.tensor([1e-300, 1e300] * 4, dtype=torch.float64)[:, None]
    expected = cosine_distance(rows_of(directions), Grid(2, 4)).mean
    assert cosine_distance(rows_of(directions * lengths), Grid(2, 4)).mean == pytest.approx(expected)


def test_distances_far_below_single_precision_are_still_told_apart() -> None:
    matrix = 1 + 1e-5 * features(24, 50)
    units = matrix / matrix.norm(dim=1, keepdim=True)
    # (1 - cos) / 2 = |u - v|² / 4, without a difference of nearly equal numbers.
    expected = ((units[:, None] - units[None]) ** 2).sum(-1).mean().item() / 4
    assert 0 < expected < 1e-9
    found = cosine_distance(rows_of(matrix), Grid(2, 12)).mean.all
    assert found == pytest.approx(expected, rel=1e-5)


def test_disjoint_rows_diverge_by_log_two_and_zeros_are_allowed() -> None:
    p, q = torch.tensor([[0.5, 0.5, 0, 0]]), torch.tensor([[0, 0, 1.0, 0]])
    assert jensen_shannon(p, q).item() == pytest.approx(math.log(2), abs=1e-15)
    assert jensen_shannon(p, p).item() == 0


def test_a_sample_of_pairs_is_within_its_standard_errors_of_all_pairs() -> None:
    grid, matrix = Grid(4, 20), (2 * features(80, 30)).softmax(dim=1)
    exact = jensen_shannon_distance(rows_of(matrix), grid, num_pairs=10**6, generator=generator()).mean
    samples = [
        jensen_shannon_distance(rows_of(matrix), grid, num_pairs=100, generator=generator(seed))
        for seed in range(80)
    ]
    for kind in PairMeans._fields:
        errors = [
            (getattr(s.mean, kind) - getattr(exact, kind)) / getattr(s.standard_error, kind) for s in samples
        ]
        z = torch.tensor(errors)
        assert abs(z.mean()) < 4 / math.sqrt(len(z))  # unbiased
        assert z.std().item() == pytest.approx(1, abs=0.25)  # and as far off as it says
        assert z.abs().max() < 5


def test_the_same_seed_draws_the_same_pairs() -> None:
    first, again, other = (
        draw_pairs(Grid(8, 49), "neither", num_pairs=50, generator=generator(seed)).first
        for seed in (0, 0, 1)
    )
    assert first.equal(again)
    assert not first.equal(other)


@given(
    num_frames=st.integers(1, 5),
    num_places=st.integers(1, 6),
    num_pairs=st.integers(2, 40),
    kind=st.sampled_from(PAIR_KINDS),
)
def test_drawn_pairs_are_of_the_kind_asked_for(
    num_frames: int, num_places: int, num_pairs: int, kind: str
) -> None:
    grid = Grid(num_frames, num_places)
    found = draw_pairs(grid, kind, num_pairs=num_pairs, generator=generator())
    same_frame = found.first // num_places == found.second // num_places
    same_place = found.first % num_places == found.second % num_places
    assert same_frame.eq(kind == "same_frame").all()
    assert same_place.eq(kind == "same_place").all()
    assert len(found.first) == min(num_pairs, grid.num_pairs(kind))
    if found.complete:
        unordered = {
            frozenset(pair) for pair in zip(found.first.tolist(), found.second.tolist(), strict=True)
        }
        assert len(unordered) == grid.num_pairs(kind)


@pytest.mark.parametrize("kind", PAIR_KINDS)
def test_every_pair_of_a_kind_is_drawn_equally_often(kind: str) -> None:
    grid = Grid(3, 4)
    found = [
        draw_pairs(grid, kind, num_pairs=grid.num_pairs(kind) - 1, generator=generator(seed))
        for seed in range(3000)
    ]
    first, second = torch.cat([f.first for f in found]), torch.cat([f.second for f in found])
    counts = torch.bincount(torch.minimum(first, second) * 12 + torch.maximum(first, second), minlength=144)
    counts = counts[counts > 0].double()
    assert len(counts) == grid.num_pairs(kind)
    # Each count is binomial: five standard deviations about the mean.
    assert (counts - counts.mean()).abs().max() < 5 * counts.mean().sqrt()


def test_one_pair_has_no_standard_error() -> None:
    with pytest.raises(ValueError, match="1 pairs of each kind; a standard error needs at least 2"):
        jensen_shannon_distance(rows_of(features(4, 3)), Grid(2, 2), num_pairs=1, generator=generator())


@pytest.mark.slow
def test_6272_positions_fit_into_little_memory() -> None:
    """The map alone is 6272² numbers, 150 MiB; a clip of 8 frames of 28 x 28 cells, res3 at 224 x 224."""
    program = """
import resource, torch
from gcvideo.attention import clip_distances
from gcvideo.blocks import NonLocalBlock
torch.set_num_threads(1)
block = NonLocalBlock(32, subsampling="none", inner_channels=4).eval()
def measure(*size):
    with torch.inference_mode():
        clip_distances(block, torch.randn(1, 32, *size), num_pairs=200, generator=torch.Generator())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = measure(2, 4, 4)
print(measure(8, 28, 28) - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    grown_mib = int(done.stdout) * unit / 2**20
    assert grown_mib < 200
