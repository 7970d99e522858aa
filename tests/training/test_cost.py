"""FLOPs against hand arithmetic: counts depend on shapes only, not on the kernel that PyTorch chooses."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import _get_current_dispatch_mode

from cl.backbone.attention import explicit, slow_to_differentiate
from cl.records.flops import COUNTED_BY
from cl.training.cost import _ATTENTION, Cost, FlopCounter, count_flops
from tests.conftest import tiny_backbone

KERNELS = [None, SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]
MODES: dict[str, Callable[[], Any]] = {"grad": torch.enable_grad, "no_grad": torch.no_grad}
MODES["inference"] = torch.inference_mode

BATCH, HEADS, QUERIES, KEYS, WIDTH = 2, 3, 7, 5, 8
PRODUCT = 2 * BATCH * HEADS * QUERIES * KEYS * WIDTH  # q k^T, and scores by v


def by(kernel: SDPBackend | None) -> Any:
    return contextlib.nullcontext() if kernel is None else sdpa_kernel(kernel)


def total(call: Callable[[], Any]) -> float:
    return count_flops(call)[1]


def heads(tokens: int, device: str = "cpu", **options: Any) -> Tensor:
    return torch.randn(BATCH, HEADS, tokens, WIDTH, device=device, **options)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_attention_counts_its_products_under_every_kernel(kernel: SDPBackend | None, masked: bool, mode: str) -> None:
    query, key, value = heads(QUERIES), heads(KEYS), heads(KEYS)
    for tensor in (query, key, value):
        tensor.requires_grad_(mode == "grad")
    mask = torch.zeros(QUERIES, KEYS) if masked else None
    with MODES[mode](), by(kernel):
        found, flops = count_flops(lambda: scaled_dot_product_attention(query, key, value, attn_mask=mask))
        assert flops == 2 * PRODUCT
        if mode == "grad":
            assert total(found.sum().backward) == 4 * PRODUCT, "two products, a gradient for both factors of each"


def test_the_kernels_of_accelerators_count_the_same() -> None:
    """This tests the formulas, without such a device. Keys and values may have fewer heads than queries."""
    query, few = (BATCH, HEADS, QUERIES, WIDTH), (BATCH, 1, KEYS, WIDTH)
    found = {str(operator).removeprefix("aten."): formula for operator, formula in _ATTENTION.items()}
    kernels = ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention")
    for kernel in kernels:
        name = f"_scaled_dot_product_{kernel}"
        assert found[name](query, few, few, None, True, out_shape=()) == 2 * PRODUCT
        assert found[f"{name}_backward"](query, query, few, few, query, out_shape=()) == 4 * PRODUCT


def test_packed_sequences_count_the_pairs_of_each_sequence() -> None:
    aten = torch.ops.aten
    query, key = torch.zeros(BATCH, QUERIES, HEADS, WIDTH), torch.zeros(BATCH, KEYS, HEADS, WIDTH)
    row = torch.zeros(10, HEADS, WIDTH)
    starts, others = torch.tensor([0, 3, 10]), torch.tensor([0, 4, 10])
    pairs = 3 * 4 + 7 * 6
    for forward, backward, between in (
        (aten._flash_attention_forward, aten._flash_attention_backward, ()),
        (aten._efficient_attention_forward, aten._efficient_attention_backward, (None,)),
    ):
        after = (query, None) if not between else (None, query)  # out and log-sum-exp, or bias and out
        assert _ATTENTION[forward](query, key, key, *between, None, None, 7, 5) == 2 * PRODUCT
        assert _ATTENTION[backward](query, query, key, key, *after, None, None, 7, 5) == 4 * PRODUCT
        packed = 2 * 2 * pairs * HEADS * WIDTH
        assert _ATTENTION[forward](row, row, row, *between, starts, others, 7, 6) == packed
        assert _ATTENTION[backward](row, row, row, row, *after, starts, others, 7, 6) == 2 * packed


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("plain", [False, True])
def test_a_vision_transformer_counts_the_flops_of_hand_arithmetic(kernel: SDPBackend | None, plain: bool) -> None:
    images, tokens, width, mlp, depth = 3, 5, 16, 64, 2  # four patches and CLS
    linear = 2 * tokens * (width * 3 * width + width * width + 2 * width * mlp)
    attention = 2 * 2 * tokens * tokens * width
    embedding = 2 * 4 * (3 * 16) * width
    backbone = tiny_backbone()
    backbone.requires_grad_(True)
    modules = slow_to_differentiate([backbone], torch.device("cpu")) if plain else []
    with by(kernel), explicit(modules):
        found, flops = count_flops(lambda: backbone(torch.zeros(images, 3, 8, 8)))
        assert flops == images * (depth * (linear + attention) + embedding)
        backward = total(found.sum().backward)
    assert backward == images * (2 * depth * (linear + attention) + embedding), "images need no gradient"


@pytest.mark.parametrize("mode", MODES)
def test_products_and_convolutions_count_their_multiplications(mode: str) -> None:
    a, b = torch.randn(4, 5, 6), torch.randn(4, 6, 7)
    layer, convolution = nn.Linear(6, 3), nn.Conv2d(2, 4, 3, groups=2)
    with MODES[mode]():
        assert total(lambda: a @ b) == total(lambda: torch.einsum("bij,bjk->bik", a, b)) == 2 * 4 * 5 * 6 * 7
        assert total(lambda: a[0] @ b[0, :, 0]) == 0, "products of a matrix and a vector are not counted"
        assert total(lambda: torch.baddbmm(torch.zeros(4, 5, 7), a, b)) == 2 * 4 * 5 * 6 * 7
        assert total(lambda: layer(a)) == 2 * 20 * 6 * 3
        assert total(lambda: convolution(torch.zeros(2, 2, 6, 6))) == 2 * 2 * 16 * 4 * 9


class Encoder(nn.Module):
    """The attention of torchvision's Vision Transformer, and PyTorch's own encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        one: Tensor = self.attention(tokens, tokens, tokens, need_weights=False)[0]
        two: Tensor = self.layer(tokens)
        return one + two


@pytest.mark.parametrize("mode", MODES)
def test_attention_modules_of_pytorch_count_the_same_on_both_paths(mode: str) -> None:
    """Without gradients each module is a single operator, for which PyTorch has no formula."""
    encoder, tokens = Encoder().eval(), torch.randn(3, 5, 16)
    attention = 3 * (4 * 2 * 5 * 16 * 16 + 2 * 2 * 5 * 5 * 16)
    with MODES[mode]():
        assert total(lambda: encoder(tokens)) == 2 * attention + 3 * 2 * 2 * 5 * 16 * 32


def test_costs_keep_the_version_of_their_counter() -> None:
    cost, resumed = Cost(), Cost()
    resumed.set_state(cost.get_state())
    assert resumed.counted_by == COUNTED_BY
    old = {key: value for key, value in cost.get_state().items() if key != "counted_by"}
    resumed.set_state(old)
    assert resumed.counted_by != COUNTED_BY, "an earlier clbench counted some of it"
    cost.set_state(resumed.get_state())
    assert cost.counted_by == resumed.counted_by


def test_calls_that_are_alike_are_counted_once_and_charged_each_time() -> None:
    cost, counted = Cost(), []
    left, right = torch.ones(3, 5), torch.ones(5, 7)

    def call() -> Tensor:
        counted.append(isinstance(_get_current_dispatch_mode(), FlopCounter))
        return left @ right

    for _ in range(3):
        result, flops = cost.alike(("step", 3), call, cached=10.0)
        assert torch.equal(result, left @ right) and flops == 2 * 3 * 5 * 7
    assert counted == [True, False, False]
    assert cost.flops == {"executed": 3 * 210, "uncached": 3 * (210 + 10)}
    cost.alike(("step", 4), call)
    assert counted[-1]


def test_a_count_in_progress_leaves_out_what_calls_inside_add_themselves() -> None:
    cost, square = Cost(), torch.ones(4, 4)

    def outer() -> None:
        _ = square @ square
        cost.alike("inner", lambda: square @ square @ square)
        _ = square @ square

    assert cost.own_flops(outer)[1] == 2 * 128
    assert cost.flops["executed"] == 2 * 128
    with pytest.raises(ZeroDivisionError):
        cost.own_flops(lambda: cost.alike("failing", lambda: 1 / 0))
    assert cost._counting == [] and _get_current_dispatch_mode() is None


def test_a_resumed_run_does_not_count_again_what_was_counted() -> None:
    def call() -> bool:
        return isinstance(_get_current_dispatch_mode(), FlopCounter)

    cost, resumed = Cost(), Cost()
    assert cost.alike(("step", (3, 4)), call)[0] is True
    resumed.set_state(cost.get_state())
    assert resumed.alike(("step", (3, 4)), call)[0] is False
    assert resumed.alike(("step", (3, 5)), call)[0] is True


def test_an_lstm_counts_the_products_of_its_steps_fused_or_not() -> None:
    steps, batch, width, units = 5, 2, 6, 4
    cell, x = nn.LSTMCell(width, units), torch.randn(steps, batch, width, requires_grad=True)
    start, weights = torch.zeros(1, batch, units), [each for each in cell.parameters()]

    def fused() -> Tensor:
        return torch.lstm(x, [start, start], [*weights], True, 1, 0.0, True, False, False)[0]

    def plain() -> Tensor:
        state, found = (start[0], start[0]), []
        for each in x.unbind():
            state = cell(each, state)
            found.append(state[0])
        return torch.stack(found)

    forward = 2 * steps * batch * 4 * units * (width + units)
    torch.testing.assert_close(fused(), plain())
    for call in (fused, plain):
        assert total(call) == forward
    assert total(lambda: fused().sum().backward()) == 3 * forward
    first = 2 * batch * 4 * units * units  # the hidden state that the first step starts from needs no gradient
    assert total(lambda: plain().sum().backward()) == 3 * forward - first
