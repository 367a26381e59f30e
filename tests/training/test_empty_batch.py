"""A process without a readable video adds nothing to a step, and keeps no other waiting."""

from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.multiprocessing import start_processes
from torch.nn.parallel import DistributedDataParallel

from gcvideo.backbones import VideoResNet
from gcvideo.training.empty_batch import loss_of_no_clip
from tests.training.networks import TwoLayers


class SumOverProcesses(torch.autograd.Function):
    """Every process has the sum; so each one's gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, numbers: Tensor) -> Tensor:
        total = numbers.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return SumOverProcesses.forward(ctx, gradient)


class SyncedNorm(nn.BatchNorm3d):
    """Batch norm over the positions of all processes, written out; torch's own works on GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        channels = x.transpose(0, 1).flatten(1)
        count = torch.full((x.shape[1],), float(channels.shape[1]))
        count, total, squares = SumOverProcesses.apply(
            torch.stack([count, channels.sum(1), channels.square().sum(1)])
        )
        mean, variance = total / count, squares / count - (total / count).square()
        self.running_mean = mean.detach()
        shape = (1, -1, 1, 1, 1)
        normal = (x - mean.view(shape)) / (variance.view(shape) + self.eps).sqrt()
        return normal * self.weight.view(shape) + self.bias.view(shape)


def synced_network() -> TwoLayers:
    torch.manual_seed(0)
    network = TwoLayers(3)
    network.head[0].p = 0.0
    network.first_norm, network.second_norm = SyncedNorm(4), SyncedNorm(6)
    return network


def gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in network.parameters()]


def clips(num_clips: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(num_clips, 1, 3, 4, 16, 16, generator=generator), torch.arange(num_clips)


def step_of(rank: int, num_processes: int, folder: Path) -> None:
    """Process 0 has two clips; any other had two videos, and read none."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/group{num_processes}", rank=rank, world_size=num_processes
    )
    network = DistributedDataParallel(synced_network())
    views, labels = clips(2)
    losses = [
        lambda: F.cross_entropy(network(views[:, 0]), labels),
        lambda: loss_of_no_clip(network, views[:0]),
    ]
    losses[rank]().backward()
    mean = network.module.first_norm.running_mean
    torch.save([gradients(network), mean], folder / f"{num_processes}.{rank}")
    dist.destroy_process_group()


def test_two_processes_one_of_them_without_a_video_do_as_one_does(tmp_path: Path) -> None:
    for num_processes in (1, 2):
        start_processes(step_of, (num_processes, tmp_path), nprocs=num_processes, start_method="fork")
    alone, mean_alone = torch.load(tmp_path / "1.0")
    for rank in (0, 1):
        both, mean = torch.load(tmp_path / f"2.{rank}")
        # One process with all four videos divides by 4, and each of two by its 2, and then by 2.
        torch.testing.assert_close([2 * gradient for gradient in both], alone)
        torch.testing.assert_close(mean, mean_alone)
    assert all(gradient.abs().sum() > 0 for gradient in alone[::2])


def test_the_loss_of_no_clip_is_0_with_gradient_0_and_leaves_statistics_alone() -> None:
    network = VideoResNet(3, width=0.0625)
    before = {name: value.clone() for name, value in network.named_buffers() if "num_batches" not in name}
    loss = loss_of_no_clip(network, clips(2)[0][:0].repeat(1, 1, 1, 1, 2, 2))
    loss.backward()
    assert loss.item() == 0
    assert all(gradient is not None and not gradient.any() for gradient in gradients(network))
    assert before
    for name, value in before.items():
        assert torch.equal(network.get_buffer(name), value)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
