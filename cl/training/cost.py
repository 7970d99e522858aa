"""What a run cost: FLOPs executed and as if nothing had been cached, seconds by kind, peak memory, stored bytes.

PyTorch's formulas count products of matrices and convolutions, in every version alike. For fused attention it has those
of some kernels in some versions (of CPUs since 2.15), so two versions would count one run differently; `_ATTENTION` has
all of them. Whoever changes what is counted gives it a new name, `cl.records.flops.COUNTED_BY`.
"""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from cl.records.flops import COUNTED_BY

T = TypeVar("T")


class Cost:
    """Counters of one run; they travel in checkpoints, so a resumed run goes on counting."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.flops: dict[str, float] = {"executed": 0.0, "uncached": 0.0}
        self.trainable = 0  # most parameters trained by one fit
        self.counted_by = COUNTED_BY

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Add the duration of a block to `seconds[kind]`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[kind] += time.perf_counter() - start

    def add_flops(self, executed: float, uncached: float | None = None) -> None:
        """Count FLOPs done, and what they would have been without memoised encodings (default: the same)."""
        self.flops["executed"] += executed
        self.flops["uncached"] += executed if uncached is None else uncached

    def own_flops(self, call: Callable[[], T]) -> tuple[T, float]:
        """Call it; returns its result and the FLOPs that nothing inside it has added, as encodings and fits do."""
        before = self.flops["executed"]
        result, flops = count_flops(call)
        return result, max(flops - (self.flops["executed"] - before), 0.0)

    def count(self, call: Callable[[], T]) -> T:
        """Call it and add the FLOPs that nothing inside it has added."""
        result, flops = self.own_flops(call)
        self.add_flops(flops)
        return result

    def get_state(self) -> dict[str, Any]:
        counted = {"flops": dict(self.flops), "counted_by": self.counted_by}
        return {"seconds": dict(self.seconds), **counted, "trainable": self.trainable}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seconds = defaultdict(float, state["seconds"])
        self.flops, self.trainable = dict(state["flops"]), state["trainable"]
        if state.get("counted_by") != COUNTED_BY:  # begun by an earlier clbench
            self.counted_by = f"{COUNTED_BY} in part"


# ---------------------------------------------------------------------------------------------- attention


def _products(pairs: int, heads: int, key_width: int, value_width: int) -> int:
    """FLOPs of softmax(q k^T) v: two products of matrices, over so many pairs of a query and a key in every head."""
    return 2 * pairs * heads * (key_width + value_width)


def _forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Shapes [batch, heads, tokens, width]; keys and values may have fewer heads, which queries share."""
    *heads, tokens, width = query
    return _products(tokens * key[-2], math.prod(heads), width, value[-1])


def _backward(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    return 2 * _forward(query, key, value)


def _raw(formula: Callable[..., int]) -> Callable[..., int]:
    """A formula that the counter gives tensors, not their shapes."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


def _packed(query: Tensor, key: Tensor, value: Tensor, starts: Tensor | None, key_starts: Tensor | None) -> int:
    """Tensors [batch, tokens, heads, width]; with `starts`, sequences of any length in a row."""
    if starts is None or key_starts is None:
        pairs = query.shape[0] * query.shape[-3] * key.shape[-3]
    else:
        pairs = int((starts.diff() * key_starts.diff()).sum())
    return _products(pairs, query.shape[-2], key.shape[-1], value.shape[-1])


@_raw
def _flash(query: Any, key: Any, value: Any, starts: Any, key_starts: Any, *_: Any, **__: Any) -> int:
    return _packed(query, key, value, starts, key_starts)


@_raw
def _flash_backward(
    _: Any, query: Any, key: Any, value: Any, out: Any, sums: Any, starts: Any, key_starts: Any, *__: Any, **___: Any
) -> int:
    return 2 * _packed(query, key, value, starts, key_starts)


@_raw
def _efficient(query: Any, key: Any, value: Any, bias: Any, starts: Any, key_starts: Any, *_: Any, **__: Any) -> int:
    return _packed(query, key, value, starts, key_starts)


@_raw
def _efficient_backward(
    _: Any, query: Any, key: Any, value: Any, bias: Any, out: Any, starts: Any, key_starts: Any, *__: Any, **___: Any
) -> int:
    return 2 * _packed(query, key, value, starts, key_starts)


def _lengths(sequences: Tensor) -> list[int]:
    if sequences.is_nested:
        return [len(each) for each in sequences.unbind()]
    return [sequences.shape[1]] * sequences.shape[0]


def _multi_head(queries: list[int], keys: list[int], width: int) -> int:
    """Four projections, of queries, keys, values and what comes out, around the attention; heads share the width."""
    pairs = sum(one * other for one, other in zip(queries, keys, strict=True))
    return 2 * width * width * (2 * sum(queries) + 2 * sum(keys)) + _products(pairs, 1, width, width)


@_raw
def _module(query: Any, key: Any, value: Any, width: int, *_: Any, **__: Any) -> int:
    """`torch.nn.MultiheadAttention`, which is one operator where nothing needs a gradient."""
    return _multi_head(_lengths(query), _lengths(key), width)


@_raw
def _layer(source: Any, width: int, *others: Any, **_: Any) -> int:
    """`torch.nn.TransformerEncoderLayer` likewise: attention, and a perceptron of one hidden layer."""
    tokens = _lengths(source)
    hidden = others[12].shape[0]  # src, embed_dim, ..., ffn_weight_1
    return _multi_head(tokens, tokens, width) + 2 * 2 * sum(tokens) * width * hidden


_FORMULAS: dict[str, Callable[..., int]] = {
    "scaled_dot_product_attention": _forward,
    "_scaled_dot_product_attention_math_for_mps": _forward,
    "_flash_attention_forward": _flash,
    "_flash_attention_backward": _flash_backward,
    "_efficient_attention_forward": _efficient,
    "_efficient_attention_backward": _efficient_backward,
    "_native_multi_head_attention": _module,
    "_transformer_encoder_layer_fwd": _layer,
}
for _kernel in ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention",
                "fused_attention_overrideable"):  # fmt: skip
    _FORMULAS[f"_scaled_dot_product_{_kernel}"] = _forward
    _FORMULAS[f"_scaled_dot_product_{_kernel}_backward"] = _backward

_ATTENTION = {getattr(torch.ops.aten, name): each for name, each in _FORMULAS.items() if hasattr(torch.ops.aten, name)}
"""Formulas of the fused operators that this version of PyTorch has; one that it decomposes is counted by its products.

Forward two products, q k^T and the scores by v; backward four, two for each of these. So every kernel counts as the
plain computation does, and as that is what its mathematics need. That flash kernels compute q k^T once more rather than
keep it is left out, as is what a mask allows to be skipped: a cost must not depend on which kernel a device has.
"""


_COUNTED = FlopCounterMode(display=False, custom_mapping=_ATTENTION).flop_registry
"""PyTorch's formulas and ours, by operator."""


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of operators, and notes what they changed in place.

    PyTorch's own mode follows which module is at work besides, which is not asked here: that of 2.4 prints and even
    fails where two modules have one name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if torch.is_inference_mode_enabled():  # there `linear` or `matmul` arrive whole, to be taken apart
            with self:
                result = func.decompose(*args, **given)
            if result is not NotImplemented:
                return result
        result = func(*args, **given)
        if func._overloadpacket in _COUNTED:
            self.total += _COUNTED[func._overloadpacket](*args, **given, out_val=result)
        # PyTorch leaves the version counters of these alone under a mode: without a bump, a backbone changed by one
        # of them while FLOPs are counted would be taken for unchanged.
        if func._schema.name.startswith(("aten::_foreach_", "aten::_fused_")) and func._schema.is_mutable:
            for argument, value in zip(func._schema.arguments, args, strict=False):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    for tensor in [value] if isinstance(value, Tensor) else value or ():
                        torch.autograd.graph.increment_version(tensor)  # before 2.5 it takes no list
        return result


def count_flops(call: Callable[[], T]) -> tuple[T, float]:
    """Run `call` once and count its FLOPs (multiply and add are two), backward passes included.

    The number depends on shapes alone: neither on the version of PyTorch nor on the kernels that it chooses.
    """
    with FlopCounter() as counter:
        result = call()
    return result, float(counter.total)


def peak_memory() -> dict[str, int]:
    """Largest resident set of this process so far and largest device allocation, in bytes."""
    if sys.platform == "win32":
        import psutil

        resident = int(psutil.Process().memory_info().peak_wset)
    else:
        import resource

        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() and torch.cuda.is_initialized() else 0
    return {"peak_rss": resident, "peak_device": device}
