"""What a run cost: FLOPs executed and as if nothing had been cached, seconds by kind, peak memory, stored bytes."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

T = TypeVar("T")


class Cost:
    """Counters of one run; they travel in checkpoints, so a resumed run goes on counting."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.flops: dict[str, float] = {"executed": 0.0, "uncached": 0.0}
        self.trainable = 0  # most parameters trained by one fit

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
        return {"seconds": dict(self.seconds), "flops": dict(self.flops), "trainable": self.trainable}

    def set_state(self, state: dict[str, Any]) -> None:
        self.seconds = defaultdict(float, state["seconds"])
        self.flops, self.trainable = dict(state["flops"]), state["trainable"]


class _Versions(TorchDispatchMode):
    """Bumps the version counters that `_foreach_` and `_fused_` operators leave alone under a dispatch mode.

    Without it a backbone changed by one of them while FLOPs are counted would be taken for unchanged.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func._schema.name
        if name.startswith(("aten::_foreach_", "aten::_fused_")) and func._schema.is_mutable:
            for argument, value in zip(func._schema.arguments, args, strict=False):
                if argument.alias_info is not None and argument.alias_info.is_write:
                    torch.autograd.graph.increment_version(value)
        return result


def count_flops(call: Callable[[], T]) -> tuple[T, float]:
    """Run `call` once and count its FLOPs (multiply and add are two), backward passes included."""
    with counting() as counter:
        result = call()
    return result, float(counter.get_total_flops())


@contextmanager
def counting() -> Iterator[FlopCounterMode]:
    """Count the FLOPs of a block."""
    with _Versions(), FlopCounterMode(display=False) as counter:
        yield counter


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
