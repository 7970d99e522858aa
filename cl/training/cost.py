"""Cost of a run: FLOPs executed, FLOPs without caching, seconds by kind, and peak memory.

PyTorch counts matrix products and convolutions alike in all versions. Its formulas for fused attention cover some
kernels in some versions (on CPUs since 2.15), so counts would depend on the version; `_ATTENTION` covers all kernels.
After a change of what is counted, change the name `cl.records.flops.COUNTED_BY`.
"""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from cl.records.flops import COUNTED_BY
from cl.training.profile import OFF, Off

T = TypeVar("T")


class Cost:
    """Counters of one run; checkpoints contain them, so a resumed run continues to count."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.flops: dict[str, float] = {"executed": 0.0, "uncached": 0.0}
        self.trainable = 0  # most parameters trained by one fit
        self.counted_by = COUNTED_BY
        self._counting: list[FlopCounter] = []
        self._known: dict[str, float] = {}  # FLOPs by the text of a key, as in the state
        self.profile: Off = OFF

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Add the duration of a `with` block to `seconds[kind]`, and charge it to a part of the profile."""
        start = time.perf_counter()
        try:
            with self.profile.part(kind):
                yield
        finally:
            self.seconds[kind] += time.perf_counter() - start

    def part(self, name: str) -> AbstractContextManager[None]:
        """Charge a `with` block to a part of the profile; does nothing without `--profile`."""
        return self.profile.part(name)

    def add_flops(self, executed: float, uncached: float | None = None) -> None:
        """Add executed FLOPs, and the FLOPs without memoised encodings (default: the same).

        A count in progress leaves them out, so nothing is added twice.
        """
        if self._counting:
            self._counting[-1].total -= executed
        self.flops["executed"] += executed
        self.flops["uncached"] += executed if uncached is None else uncached

    def own_flops(self, call: Callable[[], T]) -> tuple[T, float]:
        """Run `call`; return its result, and its FLOPs except those that it added itself, as encodings and fits do."""
        self._counting.append(FlopCounter())
        try:
            with self._counting[-1] as counter:
                result = call()
        finally:
            self._counting.pop()
        return result, max(counter.total, 0.0)

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Suspend the counts in progress within a `with` block whose work adds its own FLOPs: counting is slow."""
        suspended, self._counting = self._counting, []
        for counter in reversed(suspended):
            counter.__exit__(None, None, None)
        try:
            yield
        finally:
            for counter in suspended:
                counter.__enter__()
            self._counting = suspended

    def alike(self, key: Hashable, call: Callable[[], T], cached: float = 0.0) -> tuple[T, float]:
        """Run `call`, one of many with equal FLOPs; return its result and its FLOPs.

        Calls are alike if their `key` is equal: the first is counted, the others are charged the same. The key is kept
        as text, so it should be short. `cached` are FLOPs of memoised encodings that the call uses.
        """
        name = repr(key)
        with self.uncounted():
            if name in self._known:
                result = call()
            else:
                result, self._known[name] = self.own_flops(call)
            self.add_flops(self._known[name], self._known[name] + cached)
        return result, self._known[name]

    def count(self, call: Callable[[], T]) -> T:
        """Run `call` and add its FLOPs, except those that it added itself; return its result."""
        result, flops = self.own_flops(call)
        self.add_flops(flops)
        return result

    def get_state(self) -> dict[str, Any]:
        counted = {"flops": dict(self.flops), "counted_by": self.counted_by, "alike": dict(self._known)}
        return {"seconds": dict(self.seconds), **counted, "trainable": self.trainable}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seconds = defaultdict(float, state["seconds"])
        self.flops, self.trainable = dict(state["flops"]), state["trainable"]
        # A counted pass is not compiled, so a resumed run must not count one that the run has counted already
        self._known = dict(state.get("alike", {}))
        if state.get("counted_by") != COUNTED_BY:  # the run was started with an earlier clbench
            self.counted_by = f"{COUNTED_BY} in part"


# ---------------------------------------------------------------------------------------------- attention


def _products(pairs: int, heads: int, key_width: int, value_width: int) -> int:
    """FLOPs of softmax(q k^T) v: two matrix products; `pairs` is the number of query-key pairs per head."""
    return 2 * pairs * heads * (key_width + value_width)


def _forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Shapes are [batch, heads, tokens, width]; keys and values may have fewer heads than queries."""
    *heads, tokens, width = query
    return _products(tokens * key[-2], math.prod(heads), width, value[-1])


def _backward(_: Any, query: Any, key: Any, value: Any, *__: Any, **___: Any) -> int:
    return 2 * _forward(query, key, value)


def _raw(formula: Callable[..., int]) -> Callable[..., int]:
    """Mark a formula that takes tensors instead of shapes."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


def _packed(query: Tensor, key: Tensor, value: Tensor, starts: Tensor | None, key_starts: Tensor | None) -> int:
    """Tensors are [batch, tokens, heads, width]; with `starts`, concatenated sequences of different lengths."""
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
    """Attention and four projections: of queries, keys, values and outputs; heads share the width."""
    pairs = sum(one * other for one, other in zip(queries, keys, strict=True))
    return 2 * width * width * (2 * sum(queries) + 2 * sum(keys)) + _products(pairs, 1, width, width)


@_raw
def _module(query: Any, key: Any, value: Any, width: int, *_: Any, **__: Any) -> int:
    """`torch.nn.MultiheadAttention`, which is a single operator if nothing needs a gradient."""
    return _multi_head(_lengths(query), _lengths(key), width)


@_raw
def _layer(source: Any, width: int, *others: Any, **_: Any) -> int:
    """`torch.nn.TransformerEncoderLayer`, likewise: attention and an MLP with one hidden layer."""
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
"""Formulas of the fused operators in this version of PyTorch; decomposed operators are counted by their products.

The forward pass has two products, q k^T and scores times v; the backward pass has four, two for each. So every kernel
counts like the plain computation, because a cost must not depend on the kernels of a device. Not counted: the second
q k^T of flash kernels, which recompute it; not subtracted: the work that a mask allows to skip, and gradients of
queries, keys or values that nothing needs, which plain products leave out (0.1 % of a step that trains prompts).
"""


def _packed_linear(x: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    """A linear layer with a packed weight (`cl.backbone.inference`), from the shapes of its input and its result."""
    return 2 * math.prod(out_shape) * int(x[-1])


_LINEAR = {
    getattr(torch.ops.mkldnn, name): _packed_linear
    for name in ("_linear_pointwise",)
    if hasattr(torch.ops.mkldnn, name)
}


def _lstm(x: Any, *weights: Any, **__: Any) -> int:
    """One direction of a recurrent layer, from the shapes of its inputs [steps, batch, width] and its two matrices."""
    return 2 * math.prod(x[:-1]) * (math.prod(weights[0]) + math.prod(weights[1]))


def _lstm_backward(x: Any, *weights: Any, **__: Any) -> int:
    return 2 * _lstm(x, *weights)


_RECURRENT = {
    getattr(torch.ops.aten, name): each
    for name, each in {"mkldnn_rnn_layer": _lstm, "mkldnn_rnn_layer_backward": _lstm_backward}.items()
    if hasattr(torch.ops.aten, name)
}
"""A fused layer for CPUs; elsewhere the products of each step are counted.

The fused backward pass also has the gradient of the hidden state that the first step starts from. Plain products leave
it out if nothing needs it, so elsewhere a backward pass counts one step's product with the recurrent matrix less.
"""

_COUNTED = FlopCounterMode(display=False, custom_mapping={**_ATTENTION, **_LINEAR, **_RECURRENT}).flop_registry
"""Formulas by operator: PyTorch's and ours."""


class FlopCounter(TorchDispatchMode):
    """Counts the FLOPs of operators, and bumps version counters of tensors changed in place.

    PyTorch's own mode also tracks modules, which is not needed here; in 2.4 it prints, and fails if two modules have
    the same name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if torch.is_inference_mode_enabled():  # `linear` and `matmul` are not decomposed yet in inference mode
            with self:
                result = func.decompose(*args, **given)
            if result is not NotImplemented:
                return result
        result = func(*args, **given)
        if func._overloadpacket in _COUNTED:
            self.total += _COUNTED[func._overloadpacket](*args, **given, out_val=result)
        # Under a mode, PyTorch does not bump version counters for these operators: a backbone that they change while
        # FLOPs are counted would look unchanged.
        if func._schema.name.startswith(("aten::_foreach_", "aten::_fused_")) and func._schema.is_mutable:
            for argument, value in zip(func._schema.arguments, args, strict=False):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    for tensor in [value] if isinstance(value, Tensor) else value or ():
                        torch.autograd.graph.increment_version(tensor)  # takes no list before 2.5
        return result


def count_flops(call: Callable[[], T]) -> tuple[T, float]:
    """Run `call` once and count its FLOPs (a multiply-add is two), including backward passes.

    The number depends only on shapes, not on the version of PyTorch or on the kernels that it chooses, except for the
    gradients that nothing needs, which `_ATTENTION` and `_RECURRENT` describe.
    """
    with FlopCounter() as counter:
        result = call()
    return result, counter.total


def peak_memory() -> dict[str, int]:
    """Peak resident set of this process and peak device allocation, in bytes."""
    if sys.platform == "win32":
        import psutil

        resident = int(psutil.Process().memory_info().peak_wset)
    else:
        import resource

        resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() and torch.cuda.is_initialized() else 0
    return {"peak_rss": resident, "peak_device": device}
