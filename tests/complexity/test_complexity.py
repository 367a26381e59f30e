"""What `gcvideo complexity` counts, and what it writes."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gcvideo.backbones import VideoResNet
from gcvideo.cli import complexity as command
from gcvideo.complexity import (
    ClipShape,
    Complexity,
    Size,
    Subject,
    count_flops,
    measure_complexity,
    peak_bytes,
    size_of,
)
from gcvideo.complexity.paper import PAPER_NOTES, paper_network
from gcvideo.complexity.turns import in_turns, times_faster

CONFIGS = Path(__file__).parents[2] / "configs"
KIB = 1024


def counted_by_torch(build: Callable[[], nn.Module], clip: ClipShape) -> int:
    """Multiply-adds by torch's own counter, which counts each as two."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build().eval()(torch.zeros(1, 3, *clip))
    return counter.get_total_flops() // 2


class Attention(nn.Module):
    """Half of the channels are queries, of which three look at five keys; the others are values."""

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = x[:, :, :3, :4], x[:, :, 3:8, :4], x[:, :, 3:8, 4:]
        return F.scaled_dot_product_attention(query, key, value)


class WrittenOutAttention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        query, key, value = x[:, :, :3, :4], x[:, :, 3:8, :4], x[:, :, 3:8, 4:]
        return (query @ key.mT).softmax(dim=-1) @ value


def test_fused_attention_counts_as_its_two_matrix_products():
    x = torch.zeros(2, 7, 8, 10)
    fused, uncounted = count_flops(Attention(), x)
    written_out, _ = count_flops(WrittenOutAttention(), x)
    queries, positions, width, value_width = 3, 5, 4, 6
    assert fused == written_out == 2 * 7 * queries * positions * (width + value_width)
    assert "aten::scaled_dot_product_attention" not in uncounted


def test_one_multiply_add_is_one_flop_and_biases_are_free():
    network = nn.Sequential(nn.Conv3d(3, 5, (1, 3, 3), padding=(0, 1, 1)), nn.Flatten(), nn.Linear(40, 7))
    counted, uncounted = count_flops(network, torch.zeros(1, 3, 2, 2, 2))
    assert counted == 5 * 8 * (3 * 9) + 40 * 7
    assert not uncounted


def test_operators_that_are_not_counted_are_named_with_their_number():
    network = nn.Sequential(
        nn.Conv3d(3, 4, 1, bias=False),
        nn.BatchNorm3d(4),
        nn.MaxPool3d(2),
        nn.Softmax(dim=1),
        nn.Softmax(dim=2),
    )
    counted, uncounted = count_flops(network.eval(), torch.zeros(1, 3, 2, 2, 2))
    assert counted == 8 * 3 * 4
    assert uncounted == {"aten::batch_norm": 1, "aten::max_pool3d": 1, "aten::softmax": 2}


class Chain(nn.Module):
    """Holds 1, 2, then 1, then 1 + 3 times its input, and never the input itself."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 2  # 1
        z = y + 1  # 2
        del y  # 1
        z.add_(1)
        view = z.flatten()
        return torch.cat([view, view, view])  # 1 + 3


class LongerChain(Chain):
    """Peaks as high as the chain: what was freed is not counted again."""

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(10):
            y = super().forward(x)
            del y
        return x + 1


@pytest.mark.parametrize("network", [Chain(), LongerChain()], ids=["once", "ten times"])
def test_peak_memory_is_the_most_that_results_held_at_once(network):
    x = torch.zeros(KIB)
    with torch.inference_mode():
        assert peak_bytes(network, x) == 4 * x.nbytes


def test_peak_memory_of_convolutions_is_that_of_their_outputs():
    """The first output is freed once the second is there; that of 8 channels is held with that of 4."""
    layers = [nn.Conv3d(1, 2, 1), nn.Conv3d(2, 8, 1), nn.Conv3d(8, 4, 1), nn.Conv3d(4, 1, 1)]
    view = torch.zeros(1, 1, 4, 8, 8)
    with torch.inference_mode():
        assert peak_bytes(nn.Sequential(*layers), view) == (8 + 4) * view.nbytes


def test_views_of_the_input_take_no_memory():
    with torch.inference_mode():
        assert peak_bytes(nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, -1))), torch.zeros(3, 4, 2)) == 0


def test_a_network_is_measured_in_evaluation_on_one_view():
    build = partial(VideoResNet, 5, width=0.125)
    network = build().train()
    cost = measure_complexity({"narrow": Subject(network, (2, 32, 48))}, rounds=3)["narrow"]
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert cost.size.clip == (2, 32, 48)
    assert cost.size.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert cost.size.flops_per_view == counted_by_torch(build, (2, 32, 48))
    assert len(cost.forward_seconds) == 3
    assert min(cost.forward_seconds) > 0
    assert "aten::batch_norm" in cost.size.uncounted


class Exponentials(nn.Module):
    """A chain whose backward pass needs the result of every link."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.scale = nn.Parameter(torch.ones(3, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.scale
        for _ in range(self.number):
            x = x.exp()
        return x.mean(dim=(2, 3, 4))


def test_a_training_step_holds_what_its_backward_pass_needs_and_inference_does_not():
    clip = (2, 8, 8)
    shorter, longer = (size_of(Subject(Exponentials(number), clip)) for number in (4, 5))
    of_one_result = torch.zeros(1, 3, *clip).nbytes
    assert longer.inference_bytes == shorter.inference_bytes == 2 * of_one_result
    assert longer.training_bytes == shorter.training_bytes + of_one_result


def test_a_view_of_one_value_a_channel_is_measured_too():
    assert size_of(Subject(VideoResNet(5, width=0.125), (1, 32, 32))).training_bytes > 0


class Worker:
    """Takes its own time to do something, and thrice as long while the machine warms up."""

    def __init__(self, clock: "Clock", seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds

    def __call__(self) -> None:
        self.clock.now += self.seconds * (3 if self.clock.now < 12 else 1)


class Clock:
    now = 0.0


def test_a_machine_that_warms_up_does_so_for_all(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("gcvideo.complexity.timers.time.perf_counter", lambda: clock.now)
    seconds = in_turns({"first": Worker(clock, 0.5), "second": Worker(clock, 1.0)}, rounds=9)
    assert seconds["first"][0] == pytest.approx(1.5)
    assert seconds["first"][-1] == pytest.approx(0.5)
    assert times_faster(seconds["second"], seconds["first"]).median == pytest.approx(2)


@pytest.fixture
def measured_at_once(monkeypatch):
    """Costs that take no time: real parameters of networks without data, and a made-up rest: every network
    takes a tenth longer than the one before it."""

    def measure_parameters(subjects: dict[str, Subject], **_: object) -> dict[str, Complexity]:
        return {
            name: Complexity(
                Size(
                    clip=subject.clip,
                    parameters=sum(parameter.numel() for parameter in subject.network.parameters()),
                    flops_per_view=40_123_456_789,
                    uncounted=Counter({"aten::softmax": 5, "aten::batch_norm": 53}),
                    inference_bytes=3 * KIB**2,
                    training_bytes=(5 + number) * KIB**2,
                ),
                tuple(slow * 1.1**number for slow in (0.25, 0.35, 0.30, 0.28, 0.20)),
            )
            for number, (name, subject) in enumerate(subjects.items())
        }

    monkeypatch.setattr(command, "measure_complexity", measure_parameters)
    monkeypatch.setattr(command, "usable_device", torch.device)
    monkeypatch.setenv("COLUMNS", "140")
    with torch.device("meta"):
        yield


@pytest.mark.usefixtures("measured_at_once")
def test_the_papers_rows_stand_beside_the_papers_figures(tmp_path, capsys):
    command.run(["complexity", "--paper", "--device=meta", f"--out={tmp_path / 'out'}"])
    table = pd.read_csv(tmp_path / "out" / "complexity.csv").set_index("network")

    # arXiv:1904.11492, table 5.
    published = {
        "paper_params_M": [32.45, 39.81, 36.13, 34.30, 42.45],
        "paper_GFLOPs_per_view": [39.29, 59.60, 39.32, 39.31, 39.35],
        "paper_added_GFLOPs_per_view": [0.0, 20.31, 0.03, 0.02, 0.06],
        "paper_top1_percent": [74.94, 75.95, 75.76, 75.85, 76.00],
    }
    names = ["slow_r50", "slow_r50_nl5", "slow_r50_snl5", "slow_r50_gc5", "slow_r50_gc_all"]
    assert list(table.index) == names
    assert {column: table[column].tolist() for column in published} == published
    assert table["params_M"].tolist() == pytest.approx(published["paper_params_M"], abs=0.01)
    assert table["added_params_M"].tolist() == pytest.approx([0.0, 7.358, 3.678, 1.846, 10.001])
    assert (table["GFLOPs_per_view"] == 40.123).all()
    assert (table["views_per_video"] == 30).all()
    assert (table["GFLOPs_per_video"] == 1203.7).all()
    assert table["forward_ms"].tolist() == [280, 308, 339, 373, 410]
    for ratio in ("forward_ratio", "forward_ratio_q1", "forward_ratio_q3"):
        assert table[ratio].tolist() == pytest.approx([1.1**number for number in range(5)], abs=1e-3)
    assert (table["inference_peak_MiB"] == 3.0).all()
    assert table["training_peak_MiB"].tolist() == [5, 6, 7, 8, 9]

    written = (tmp_path / "out" / "complexity.md").read_text()
    printed = capsys.readouterr().out
    for name in names:
        assert f"| {name} " in written
        assert f" {name.split('_')[-1]} " in printed
    assert "A view is 8 x 224 x 224" in written
    assert "Operators that are not counted: batch_norm, softmax." in written
    assert all(note in written for note in PAPER_NOTES)
    assert [word for word in printed.split() if word.startswith("forward_")] == [
        *("forward_ms", "forward_ms_q1", "forward_ms_q3"),
        *("forward_ratio", "forward_ratio_q1", "forward_ratio_q3"),
    ]


def test_a_folder_that_cannot_be_written_to_is_found_before_measuring(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "measure_complexity", lambda *_, **__: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    with torch.device("meta"), pytest.raises(OSError, match=f"{tmp_path / 'file'}"):
        command.run(["complexity", "--paper", f"--out={tmp_path / 'file'}"])


def test_without_a_checkout_the_papers_networks_are_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("gcvideo.paths.__file__", str(tmp_path / "site-packages/gcvideo/paths.py"))
    missing = tmp_path / "site-packages/configs/paper/slow_r50.yaml"
    with pytest.raises(
        ValueError, match=f"{missing}: there is no such file; install gcvideo from a checkout"
    ):
        command.run(["complexity", "--paper", f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_one_config_is_measured_with_its_own_blocks_and_number_of_views(tmp_path, capsys):
    small = tmp_path / "small.yaml"
    small.write_text("{model: {network: {init_args: {width: 0.125}}}}")
    files = [
        CONFIGS / "base.yaml",
        CONFIGS / "data/synthetic.yaml",
        CONFIGS / "model/slow_r50.yaml",
        CONFIGS / "block/gc5.yaml",
        small,
    ]
    command.run(
        [
            "complexity",
            *(f"--config={file}" for file in files),
            "--num_frames=2",
            "--crop_size=32",
            "--num_views=3",
            "--num_classes=7",
            f"--out={tmp_path}",
        ]
    )
    (row,) = pd.read_csv(tmp_path / "complexity.csv").to_dict("records")
    narrow = partial(paper_network("slow_r50_gc5"), 7, width=0.125)
    counted = counted_by_torch(narrow, (2, 32, 32))
    num_parameters = sum(parameter.numel() for parameter in narrow().parameters())
    assert row["params_M"] == pytest.approx(num_parameters / 1e6, abs=0.0006)
    assert row["GFLOPs_per_view"] == pytest.approx(counted / 1e9, abs=0.0006)
    assert row["network"] == "slow_r50_gc5_small"
    assert row["GFLOPs_per_video"] == pytest.approx(3 * counted / 1e9, abs=0.06)
    assert not [column for column in row if any(w in column for w in ("paper", "added", "ratio"))]
    assert row["forward_ms_q1"] <= row["forward_ms"] <= row["forward_ms_q3"]
    assert row["training_peak_MiB"] > row["inference_peak_MiB"]
    written = (tmp_path / "complexity.md").read_text()
    assert not [note for note in PAPER_NOTES if note in written]
    assert "take turns" not in written


@pytest.mark.parametrize(
    "arguments", [[], ["--paper", f"--config={CONFIGS / 'model/slow_r50.yaml'}"]], ids=["neither", "both"]
)
def test_networks_come_from_a_config_or_from_the_paper(arguments, tmp_path):
    with pytest.raises(ValueError, match=r"either --config .* or --paper"):
        command.run(["complexity", *arguments, f"--out={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["--papers"], ["--num_frames=many", "--paper"]])
def test_an_unknown_or_ill_typed_argument_is_named(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.run(["complexity", *arguments])
    assert stopped.value.code == 2
    assert arguments[0].lstrip("-").partition("=")[0] in capsys.readouterr().err
