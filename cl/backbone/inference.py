"""Faster forward passes without gradients on a CPU; equal to PyTorch's own kernels up to rounding."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

LEAST_ROWS = 256
"""Rows of an input for which a linear layer uses packed weights; smaller inputs do not gain."""

HELD = 4096
"""Packed weights in memory; the cache is emptied when it holds more."""


def available() -> bool:
    """Whether this PyTorch has oneDNN's packed linear layers for this processor."""
    usual = platform.machine().lower() in ("x86_64", "amd64")
    return usual and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


class CpuInference(TorchFunctionMode):
    """Within a `with` block, linear layers use packed weights, and attention under bf16 plain products.

    oneDNN multiplies by a weight in its own layout 10 % faster, in a large batch 15 %; a weight is packed again when it
    has changed. PyTorch's fused attention is slower than plain products in bf16 (benchmarks/cpu_kernels.py). Use it
    on a CPU, without gradients.
    """

    def __init__(self) -> None:
        super().__init__()
        self._packed: dict[tuple[int, torch.dtype], tuple[Tensor, tuple[int, int], Tensor]] = {}

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is F.linear and not kwargs and _packable(*args):
            return self._linear(*args)
        if function is F.scaled_dot_product_attention and _simple(args, kwargs):
            return _attend(*args[:3])
        return function(*args, **kwargs)

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        dtype = _working_dtype(x)
        key, state = (id(weight), dtype), (weight.data_ptr(), weight._version)
        held = self._packed.get(key)
        if held is None or held[0] is not weight or held[1] != state:
            if len(self._packed) >= HELD:
                self._packed.clear()
            plain = weight.detach().to(dtype).contiguous()
            held = weight, state, torch.ops.mkldnn._reorder_linear_weight(plain, LEAST_ROWS)
            self._packed[key] = held
        bias = bias if bias is None else bias.to(dtype)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(dtype), held[2], bias, "none", [], "")
        return result


def _packable(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether this linear layer can be computed from a packed weight: a large input, and a parameter of a layer."""
    if type(weight) is not nn.Parameter or type(x) is not Tensor or x.numel() < LEAST_ROWS * x.shape[-1]:
        return False
    dtype = _working_dtype(x)
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32 and weight.dtype == torch.float32


def _working_dtype(x: Tensor) -> torch.dtype:
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype


def _simple(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether attention is in bf16, and has neither mask nor dropout nor another option."""
    other = [value for value in kwargs.values() if isinstance(value, Tensor) or value]
    return len(args) == 3 and args[0].dtype == torch.bfloat16 and not other


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v as plain products, in the order of timm's attention."""
    weights = ((q * q.shape[-1] ** -0.5) @ k.mT).softmax(-1)
    return weights.to(v.dtype) @ v
