"""Faster forward passes without gradients on a CPU; equal to PyTorch's own kernels up to rounding."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

ROWS = 1024
"""A hint for the layout of packed weights; inputs may have any number of rows."""


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
        self._packed: Any = WeakTensorKeyDictionary()  # weight: {dtype: (its state when it was packed, packed weight)}

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
        dtype, state = _working_dtype(x), (weight.data_ptr(), weight._version)
        held = self._packed.setdefault(weight, {})
        if dtype not in held or held[dtype][0] != state:
            plain = weight.detach().to(dtype).contiguous()
            held[dtype] = state, torch.ops.mkldnn._reorder_linear_weight(plain, ROWS)
        bias = bias if bias is None else bias.to(dtype)
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x.to(dtype), held[dtype][1], bias, "none", [], "")
        return result


def _packable(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether this linear layer can be computed from a packed weight.

    Parameters and tensors lent to the network by `torch.func.functional_call` are packed alike: features of both have
    the same key.
    """
    if type(x) is not Tensor or type(weight) not in (Tensor, nn.Parameter) or not x.numel():
        return False
    if any(torch._C._functorch.is_functorch_wrapped_tensor(each) for each in (x, weight)):
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
