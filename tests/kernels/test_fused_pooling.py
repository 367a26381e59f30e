"""The kernels of attention pooling: on a GPU, and where there is none in Triton's interpreter.

Triton decides when it is imported whether it interprets, so that run is a pytest of its own, started here.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from packaging.version import Version
from torch import Tensor

from gcvideo.blocks import AttentionPool, GlobalContextBlock
from gcvideo.complexity import count_flops
from gcvideo.kernels import fused_pooling
from tests.blocks import equations
from tests.blocks.inputs import POSITIONS, features, with_random_weights

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"

with_triton = pytest.mark.skipif(find_spec("triton") is None, reason="needs Triton")
on_kernels = [
    with_triton,
    pytest.mark.gpu,
    pytest.mark.skipif(
        not INTERPRETED and not torch.cuda.is_available(),
        reason="needs a CUDA device; the interpreter has a process of its own",
    ),
]
compiles = [
    with_triton,
    pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing"),
]


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small maps have several tiles in each of several parts, the last of which is not full."""
    monkeypatch.setattr(fused_pooling, "TILE_BYTES", 128)
    monkeypatch.setattr(fused_pooling, "_num_processors", lambda device: 2)


class Problem(NamedTuple):
    """A map, the parameters of its pooling and the gradient of the context."""

    x: Tensor
    weight: Tensor
    bias: Tensor
    gradient: Tensor

    def to(self, dtype: torch.dtype, parameters: torch.dtype | None = None) -> "Problem":
        return Problem(
            self.x.to(dtype),
            self.weight.to(parameters or dtype),
            self.bias.to(parameters or dtype),
            self.gradient.to(dtype),
        )


class Outcome(NamedTuple):
    context: Tensor
    x_gradient: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor


def problem(B: int, C: int, P: int) -> Problem:
    """Logits of a standard deviation of 2, so that attention is neither uniform nor at one position."""
    x, weight, bias, gradient = features(B, C, P), features(1, C, seed=1), features(1, seed=2), features(B, C)
    return Problem(*(tensor.to(DEVICE) for tensor in (x, 2 * C**-0.5 * weight, bias, gradient)))


def written_out(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Two products and a softmax."""
    attention = (weight.expand(len(x), -1, -1).bmm(x) + bias).softmax(dim=-1)  # B 1 P
    return attention.to(x.dtype).bmm(x.mT).squeeze(1)


def outcome(pool: Any, given: Problem) -> Outcome:
    leaves = [tensor.detach().requires_grad_() for tensor in given[:3]]
    context = pool(*leaves)
    return Outcome(context.detach(), *torch.autograd.grad(context, leaves, given.gradient))


def assert_equal_in_float64(found: Outcome, expected: Outcome) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


def interpreter_takes_numpy() -> bool:
    """Triton 3.6 makes numbers of arrays of one element in a way that NumPy 2.4 has ended."""
    if find_spec("triton") is None:
        return False
    return Version(version("triton")) >= Version("3.7") or Version(version("numpy")) < Version("2.4")


@pytest.mark.slow
@with_triton
@pytest.mark.skipif(not interpreter_takes_numpy(), reason="Triton's interpreter is older than NumPy's rules")
@pytest.mark.skipif(INTERPRETED, reason="is the interpreter")
def test_all_that_a_gpu_should_show_holds_in_the_interpreter():
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    options += ["-W", "ignore:Conversion of an array with ndim"]  # by older interpreters
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, __file__],
        env={**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(re.findall(r"(\d+) passed", run.stdout)[-1]) > 40


class TestInFloat64:
    pytestmark = on_kernels

    @pytest.mark.usefixtures("small_tiles")
    @pytest.mark.parametrize("positions", [(1,), *POSITIONS, (37,)])
    @pytest.mark.parametrize("channels", [1, 5])
    def test_pooling_and_its_gradient_are_those_of_the_papers_equation(self, channels, positions):
        given = problem(2, channels, torch.Size(positions).numel())

        def paper(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            maps = [equations.attention_pool_weights(clip, weight[0], bias[0]) for clip in x]
            return torch.stack(
                [equations.pooled(clip, a) for clip, a in zip(x, maps, strict=True)],
            )

        found = outcome(fused_pooling.attention_pool, given)
        expected = outcome(paper, Problem(*(tensor.cpu() for tensor in given)))
        assert_equal_in_float64(Outcome(*(tensor.cpu() for tensor in found)), expected)

    @pytest.mark.parametrize("B", [1, 2])
    @pytest.mark.parametrize(("C", "P"), [(3, 1500), (48, 300), (512, 41), (1000, 9), (2048, 5)])
    def test_tiles_of_full_size_cover_the_map(self, B, C, P):
        given = problem(B, C, P)
        assert_equal_in_float64(outcome(fused_pooling.attention_pool, given), outcome(written_out, given))

    @pytest.mark.usefixtures("small_tiles")
    @pytest.mark.parametrize("P", [2, 7, 8, 9, 31, 33, 64, 66])
    def test_any_number_of_positions_is_covered_once(self, P):
        given = problem(2, 3, P)
        assert_equal_in_float64(outcome(fused_pooling.attention_pool, given), outcome(written_out, given))

    @pytest.mark.usefixtures("small_tiles")
    @pytest.mark.parametrize(
        "layout",
        [
            lambda x: x,
            lambda x: x.mT.contiguous().mT,  # channels last
            lambda x: x[:, ::2, 1::3],
            lambda x: x.transpose(0, 2).contiguous().transpose(0, 2),
            lambda x: x[:1].expand(3, -1, -1),
            lambda x: x[:, :, :1].expand(-1, -1, 9),
        ],
        ids=["channels first", "channels last", "slice", "clips last", "one clip thrice", "one position"],
    )
    def test_strides_do_not_matter_and_are_those_of_the_gradient(self, layout):
        given = problem(3, 6, 26)
        x = layout(given.x)
        given = Problem(x, given.weight[:, : x.shape[1]], given.bias, given.gradient[:, : x.shape[1]])
        found = outcome(fused_pooling.attention_pool, given)
        assert_equal_in_float64(found, outcome(written_out, given))
        assert found.x_gradient.stride() == torch.empty_like(x).stride()

    @pytest.mark.usefixtures("small_tiles")
    def test_offsets_of_64_bits_find_the_same_elements(self, monkeypatch):
        monkeypatch.setattr(fused_pooling, "MAX_OFFSET", 0)
        given = problem(2, 6, 26)
        for x in (given.x, given.x.mT.contiguous().mT):
            asked = given._replace(x=x)
            assert_equal_in_float64(outcome(fused_pooling.attention_pool, asked), outcome(written_out, asked))

    @pytest.mark.usefixtures("small_tiles")
    def test_a_gradient_of_any_strides_is_taken(self):
        given = problem(2, 6, 26)
        for gradient in (given.gradient.mT.contiguous().mT, given.gradient[:1, :1].expand(2, 6)):
            asked = given._replace(gradient=gradient)
            assert_equal_in_float64(outcome(fused_pooling.attention_pool, asked), outcome(written_out, asked))

    @pytest.mark.usefixtures("small_tiles")
    @pytest.mark.parametrize("needed", [(0,), (1,), (2,), (0, 2), (1, 2)])
    def test_only_the_gradients_that_are_asked_for_come(self, needed):
        given = problem(2, 6, 26)
        leaves = [tensor.clone().requires_grad_(i in needed) for i, tensor in enumerate(given[:3])]
        fused_pooling.attention_pool(*leaves).backward(given.gradient)
        _, *expected = outcome(written_out, given)
        for i, leaf in enumerate(leaves):
            if i in needed:
                torch.testing.assert_close(leaf.grad, expected[i], rtol=1e-12, atol=1e-13)
            else:
                assert leaf.grad is None

    def test_no_clips_are_pooled_to_no_contexts(self):
        found = outcome(fused_pooling.attention_pool, problem(0, 6, 26))
        assert found.context.shape == (0, 6)
        assert found.weight_gradient.count_nonzero() == 0

    def test_inference_needs_no_gradient(self):
        x, weight, bias, _ = problem(2, 6, 26)
        with torch.inference_mode():
            context = fused_pooling.attention_pool(x, weight, bias)
        assert context.is_inference()
        torch.testing.assert_close(context.clone(), written_out(x, weight, bias))


class TestInLowerPrecision:
    pytestmark = on_kernels

    @pytest.mark.parametrize("shape", [(2, 5, 900), (1, 512, 60), (2, 1000, 33)])
    @pytest.mark.parametrize(
        ("dtype", "roundings"),
        [
            (torch.float32, 16),  # the interpreter adds up to 1000 terms one after another
            (torch.bfloat16, 1),  # of the result
        ],
    )
    def test_results_are_a_few_roundings_from_float64(self, shape, dtype, roundings):
        given = problem(*shape).to(dtype)
        truth = outcome(written_out, given.to(torch.float64))
        found = outcome(fused_pooling.attention_pool, given)
        assert all(result.dtype == dtype for result in found)
        tolerance = roundings * torch.finfo(dtype).eps / 2
        for result, expected in zip(found[:3], truth[:3], strict=True):
            assert (result.double() - expected).norm() < tolerance * expected.norm()
        # The softmax does not change with the bias: what is left is what rounding left.
        assert abs(found.bias_gradient) < 1e-5

    @pytest.mark.parametrize("shape", [(2, 5, 900), (1, 512, 60), (2, 1000, 33)])
    def test_in_bfloat16_they_are_nearer_to_float64_than_products_that_round(self, shape):
        given = problem(*shape).to(torch.bfloat16)
        truth = outcome(written_out, given.to(torch.float64))
        pooled, rounded = outcome(fused_pooling.attention_pool, given), outcome(written_out, given)
        for ours, theirs, expected in zip(pooled, rounded, truth, strict=True):
            assert (ours - expected).norm() <= (theirs - expected).norm()

    @pytest.mark.usefixtures("small_tiles")
    def test_parameters_are_not_rounded_to_the_type_of_the_map(self):
        given = problem(2, 6, 50).to(torch.bfloat16, parameters=torch.float32)
        found = outcome(fused_pooling.attention_pool, given)
        assert [result.dtype for result in found] == 2 * [torch.bfloat16] + 2 * [torch.float32]
        expected = outcome(written_out, given.to(torch.float64)).weight_gradient
        torch.testing.assert_close(found.weight_gradient.double(), expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.usefixtures("small_tiles")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_large_logits_overflow_nothing(self, dtype):
        given = problem(2, 8, 50)
        given = given._replace(x=300 * given.x, bias=given.bias + 1000).to(dtype)
        found = outcome(fused_pooling.attention_pool, given)
        truth = outcome(written_out, given.to(torch.float64))
        torch.testing.assert_close(found.context.double(), truth.context, rtol=2e-2, atol=0)
        assert all(result.isfinite().all() for result in found)

    @pytest.mark.usefixtures("small_tiles")
    def test_results_repeat_to_the_bit(self):
        given = problem(2, 6, 60).to(torch.float32)
        first, second = (outcome(fused_pooling.attention_pool, given) for _ in range(2))
        assert all(torch.equal(*pair) for pair in zip(first, second, strict=True))

    @pytest.mark.skipif(INTERPRETED, reason="autocast is that of a GPU")
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_autocast_leaves_the_map_in_its_type(self, dtype):
        given = problem(2, 6, 50).to(dtype, parameters=torch.float32)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            cast = outcome(fused_pooling.attention_pool, given)
        assert all(
            torch.equal(*pair)
            for pair in zip(cast, outcome(fused_pooling.attention_pool, given), strict=True)
        )

    @pytest.mark.skipif(INTERPRETED, reason="takes 9 GB")
    @pytest.mark.parametrize("channels_last", [False, True])
    def test_a_map_may_have_more_elements_than_32_bits_count(self, channels_last):
        C, P = 1024, 2**21 + 8
        x = torch.zeros((1, P, C) if channels_last else (1, C, P), dtype=torch.bfloat16, device=DEVICE)
        x = x.mT if channels_last else x
        x[0, -1, -1] = P
        weight, bias = torch.zeros(1, C, device=DEVICE), torch.zeros(1, device=DEVICE)
        weight.requires_grad_()
        context = fused_pooling.attention_pool(x, weight, bias)
        context.sum().backward()
        assert context[0, -1].item() == pytest.approx(1, rel=0.01)
        assert context[0, :-1].count_nonzero() == 0
        assert weight.grad[0, -1].item() == pytest.approx(P, rel=0.01)


class TestInsideOfTorch:
    pytestmark = on_kernels

    @pytest.mark.filterwarnings("ignore")  # of the compiler, on its own insides
    @pytest.mark.usefixtures("small_tiles")
    @pytest.mark.parametrize("channels_last", [False, True])
    def test_the_operators_keep_torchs_rules(self, channels_last):
        x, weight, bias, gradient = problem(2, 6, 26)
        x = x.mT.contiguous().mT if channels_last else x
        leaves = [tensor.clone().requires_grad_() for tensor in (x, weight, bias)]
        torch.library.opcheck(fused_pooling._pool, leaves)
        saved = [tensor.detach() for tensor in fused_pooling._pool(*leaves)]
        torch.library.opcheck(fused_pooling._pool_backward, (gradient, x, weight, bias, *saved))

    @pytest.mark.filterwarnings("ignore")  # of the compiler, on its own insides
    @pytest.mark.usefixtures("small_tiles")
    @pytest.mark.parametrize("channels_last", [False, True])
    def test_a_graph_that_is_compiled_whole_holds_the_pool(self, channels_last):
        def mapped(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return fused_pooling._pool(2 * x, weight, bias)[0] + 1

        given = problem(2, 6, 26).to(torch.float32)
        given = given._replace(x=given.x.mT.contiguous().mT) if channels_last else given
        compiled = torch.compile(mapped, backend="aot_eager" if INTERPRETED else "inductor", fullgraph=True)
        torch.testing.assert_close(outcome(compiled, given), outcome(mapped, given))

    @pytest.mark.parametrize("output", [0, 1, 2])
    def test_a_trial_accepts_the_kernels_and_no_others(self, output, monkeypatch):
        fused_pooling._try_on(torch.device(DEVICE))
        backward = fused_pooling._pool_backward

        def other_kernels(*given: Tensor) -> tuple[Tensor, ...]:
            gradients = list(backward(*given))
            gradients[output] = gradients[output] + 0.01
            return tuple(gradients)

        monkeypatch.setattr(fused_pooling, "_pool_backward", other_kernels)
        with pytest.raises(RuntimeError, match="its results are not those of torch"):
            fused_pooling._try_on(torch.device(DEVICE))

    @pytest.mark.skipif(
        INTERPRETED and torch.__version__ < "2.12", reason="this torch traces the checks of shapes too"
    )
    @pytest.mark.filterwarnings("ignore")  # of the compiler, on its own insides
    def test_a_compiled_block_is_the_block(self, monkeypatch):
        monkeypatch.setattr(fused_pooling, "runs_on", lambda device: True)
        block = with_random_weights(GlobalContextBlock(8)).float().to(DEVICE)
        x = features(2, 8, 2, 3, 4).float().to(DEVICE)
        compiled = torch.compile(block, backend="aot_eager" if INTERPRETED else "inductor")
        results = []
        for module in (block, compiled):
            given = x.clone().requires_grad_()
            leaves = [given, *block.parameters()]
            results.append(torch.autograd.grad(module(given).square().sum(), leaves))
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)

    @pytest.mark.usefixtures("small_tiles")
    def test_multiply_adds_are_those_of_the_two_products(self, monkeypatch):
        pool = AttentionPool(6).to(DEVICE)
        x = features(2, 6, 2, 3, 4).float().to(DEVICE)
        counted = []
        for fused in (True, False):
            monkeypatch.setattr(fused_pooling, "runs_on", lambda device, fused=fused: fused)
            flops, uncounted = count_flops(pool, x)
            counted.append(flops)
            assert ("aten::softmax" in uncounted) != fused
        assert counted == [2 * x.numel(), 2 * x.numel()]


class TestWhereKernelsRun:
    def test_not_on_a_cpu(self):
        pool = AttentionPool(6)
        assert not fused_pooling.runs_on(torch.device("cpu"))
        program = torch.export.export(pool, (features(2, 6, 2, 3, 4).float(),))
        assert not [node for node in program.graph.nodes if "gcvideo" in str(node.target)]

    @pytest.mark.parametrize(("wanted", "expected"), [(None, True), ("1", True), ("0", False)])
    def test_the_environment_decides_on_a_gpu(self, wanted, expected, monkeypatch):
        monkeypatch.setattr(fused_pooling, "_start_on", lambda device: True)
        monkeypatch.delenv("GCVIDEO_FUSED", raising=False)
        if wanted is not None:
            monkeypatch.setenv("GCVIDEO_FUSED", wanted)
        assert fused_pooling.runs_on(torch.device("cuda", 0)) == expected

    def test_another_word_of_the_environment_is_an_error(self, monkeypatch):
        monkeypatch.setenv("GCVIDEO_FUSED", "no")
        with pytest.raises(ValueError, match="GCVIDEO_FUSED is 'no'; expected 0 or 1"):
            fused_pooling.runs_on(torch.device("cuda", 0))

    @pytest.mark.skipif(find_spec("triton") is None or torch.version.hip is not None, reason="needs Triton")
    def test_a_gpu_where_they_do_not_start_pools_all_the_same_and_says_why(self, monkeypatch, caplog):
        def no_compiler(device: torch.device) -> None:
            raise RuntimeError("no C compiler")

        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
        monkeypatch.setattr(fused_pooling, "_try_on", no_compiler)
        device = torch.device("cuda", 77)
        assert not fused_pooling.runs_on(device)
        assert not fused_pooling.runs_on(device)
        assert caplog.messages == ["attention pooling on cuda:77 is not fused: RuntimeError: no C compiler"]

    def test_an_older_gpu_is_left_to_torch(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
        assert not fused_pooling.runs_on(torch.device("cuda", 78))

    @pytest.mark.parametrize("pooled", [True, False])
    def test_the_pool_takes_them_where_they_run(self, pooled, monkeypatch):
        calls = []
        pool = AttentionPool(6)
        x = features(2, 6, 2, 3, 4).float()
        expected = pool(x)

        def recorded(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            calls.append(x.shape)
            return written_out(x, weight, bias)

        monkeypatch.setattr(fused_pooling, "runs_on", lambda device: pooled)
        monkeypatch.setattr(fused_pooling, "attention_pool", recorded)
        torch.testing.assert_close(pool(x), expected)
        assert calls == ([(2, 6, 24)] if pooled else [])


class Launch(NamedTuple):
    """One start of a kernel: its arguments by name, and how it is compiled."""

    kernel: Any
    arguments: dict[str, Any]
    options: dict[str, Any]


def launches(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What a GPU with 132 multiprocessors would be asked to run, forwards and backwards."""
    from gcvideo.kernels import pooling_kernels

    started = []

    class Recorder:
        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __getitem__(self, grid: tuple[int, int]) -> Any:
            return self.start

        def start(self, *values: Any, num_warps: int, enable_fp_fusion: bool, **constants: int) -> None:
            arguments = {**dict(zip(self.kernel.arg_names, values, strict=False)), **constants}
            options = {"num_warps": num_warps, "enable_fp_fusion": enable_fp_fusion}
            started.append(Launch(self.kernel, arguments, options))

    monkeypatch.setattr(fused_pooling, "_num_processors", lambda device: 132)
    for name in ("pool_parts", "join_parts", "pool_parts_backward"):
        monkeypatch.setattr(pooling_kernels, name, Recorder(getattr(pooling_kernels, name)))
    weight, bias = torch.zeros(1, x.shape[1]), torch.zeros(1)
    context, log_sum = fused_pooling._pool(x, weight, bias)
    fused_pooling._pool_backward(context, x, weight, bias, context, log_sum)
    monkeypatch.undo()
    return started


def compiled(launch: Launch, capability: int) -> Any:
    """As Triton would at the first launch: a stride of 1 is a constant, multiples of 16 are known as such."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = {torch.float64: "*fp64", torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
    signature, constants, attributes = {}, {}, {}
    for number, (name, value) in enumerate(launch.arguments.items()):
        if isinstance(value, Tensor):
            signature[name] = names[value.dtype]
        elif value == 1 or (name.isupper() and name not in ("P", "S")):
            signature[name], constants[name] = "constexpr", value
        else:
            signature[name] = "i32"
        if isinstance(value, Tensor) or (name not in constants and value % 16 == 0):
            attributes[(number,)] = [["tt.divisibility", 16]]
    source = ASTSource(launch.kernel, signature, constants, attributes)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=launch.options)


def registers_and_stack(cubin: bytes, folder: Path) -> tuple[int, int]:
    """Registers per thread, and bytes per thread that did not find one."""
    import triton

    file = folder / "kernel.cubin"
    file.write_bytes(cubin)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    printed = subprocess.run([tool, "-res-usage", file], capture_output=True, text=True, check=True).stdout
    registers, stack = re.findall(r"REG:(\d+) STACK:(\d+)", printed)[0]
    return int(registers), int(stack)


class TestMachineCode:
    pytestmark = compiles

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
    @pytest.mark.parametrize("shape", [(1, 1, 1), (600, 3, 7), (2, 5, 1)])
    def test_sizes_of_one_and_other_types_compile(self, shape, dtype, monkeypatch, tmp_path):
        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        monkeypatch.setattr(fused_pooling, "MAX_OFFSET", 0)  # and wide offsets, where there are any
        for launch in launches(torch.empty(shape, dtype=dtype), monkeypatch):
            assert compiled(launch, 90).asm["cubin"]

    @pytest.mark.parametrize(
        ("channels", "positions", "capabilities"),
        [
            (1024, 8 * 14 * 14, [90]),
            pytest.param(256, 8 * 56 * 56, [80, 90], marks=pytest.mark.slow),
            pytest.param(512, 8 * 28 * 28, [80, 90], marks=pytest.mark.slow),
            pytest.param(1024, 8 * 14 * 14, [80, 90], marks=pytest.mark.slow),
            pytest.param(2048, 8 * 7 * 7, [80, 90], marks=pytest.mark.slow),
        ],
    )
    @pytest.mark.parametrize("channels_last", [False, True])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_a_tile_stays_in_registers(
        self, channels, positions, capabilities, dtype, channels_last, monkeypatch, tmp_path
    ):
        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
        shape = (4, positions, channels) if channels_last else (4, channels, positions)
        x = torch.empty(shape, dtype=dtype)
        for launch in launches(x.mT if channels_last else x, monkeypatch):
            for capability in capabilities:
                code = compiled(launch, capability)
                registers, stack = registers_and_stack(code.asm["cubin"], tmp_path)
                # Of the 128 bytes of a thread's share of a tile; ptxas gives up a word or two of the rest
                # where a multiprocessor then holds one program more.
                assert stack <= 16
                # At least one program of 256 threads on a multiprocessor of 65536 registers.
                assert registers <= 255
                # What a launch may have without asking for more.
                assert code.metadata.shared <= 48 * 1024
