"""Clocks, peak memory, the interval of a median, targets, and a description of the machine, for all benchmarks."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

CONFIDENCE = 0.9
"""Least probability with which the interval of a median contains the true median."""

LEAST = 5
"""Fewest values for a verdict."""


def as_in_a_run() -> None:
    """Give this process the settings of the memory allocator that every run has; call it before large tensors."""
    from cl.running.allocator import keep_freed_memory, use_huge_pages

    use_huge_pages()
    keep_freed_memory()


# ------------------------------------------------------------------------------------------------------ clocks


def cpu_seconds() -> float:
    """CPU seconds of this process and of its children that have ended, in user and in system mode."""
    found = time.process_time()
    if sys.platform != "win32":
        import resource

        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        found += children.ru_utime + children.ru_stime
    return found


@dataclass
class Clock:
    """Sums of CPU and wall seconds over `with` blocks."""

    cpu: float = 0.0
    wall: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        cpu, wall = cpu_seconds(), time.perf_counter()
        try:
            yield
        finally:
            self.cpu += cpu_seconds() - cpu
            self.wall += time.perf_counter() - wall


def one_core(number: int) -> None:
    """Keep this process on one of the CPU cores that it may use; a no-op on systems without affinity."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(os.getppid()))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


# -------------------------------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class Interval:
    """A median, and the interval between two order statistics that contains the true median with `confidence`."""

    median: float
    low: float
    high: float
    count: int
    confidence: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of the sign test: the narrowest pair of order statistics with at least `confidence`.

    It assumes independent values and nothing about their distribution. With few values it is the whole range, whose
    confidence of 1 - 2^(1 - n) may be less than asked for: 0.9375 for five values, 0.5 for two.
    """
    if not values:
        raise ValueError("the median of no values")
    ordered, n = sorted(values), len(values)
    outside = 0.0  # the probability that fewer than `rank` values lie below the true median
    chosen, reached = 0, 1 - 2 ** (1 - n)
    for rank in range(n // 2):
        outside += math.comb(n, rank) / 2**n
        if 1 - 2 * outside < confidence:
            break
        chosen, reached = rank, 1 - 2 * outside
    return Interval(statistics.median(ordered), ordered[chosen], ordered[n - 1 - chosen], n, max(reached, 0.0))


@dataclass(frozen=True)
class Figure:
    """A measured interval and its upper bound, if the figure has one."""

    name: str
    found: Interval
    target: float | None = None

    @property
    def verdict(self) -> str:
        """Met if the whole interval is at or below the target, missed if it is above it, and open otherwise."""
        if self.target is None:
            return ""
        if self.found.count < LEAST:
            return f"needs {LEAST}"
        if self.found.high <= self.target:
            return "met"
        return "missed" if self.found.low > self.target else "open"

    def row(self) -> tuple[str, ...]:
        target = "" if self.target is None else f"{self.target:.2f}"
        spread = f"{self.found.low:.3f} to {self.found.high:.3f}"
        return self.name, f"{self.found.median:.3f}", spread, str(self.found.count), target, self.verdict


FIGURE_COLUMNS = ("figure", "median", "interval", "n", "at most", "verdict")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


# ----------------------------------------------------------------------------------------------------- machine


def machine(*packages: str) -> dict[str, str]:
    """CPU model, cores, load, date, and the versions of Python, torch and `packages`."""
    import torch

    from cl.plan.precision import resolve_precision
    from cl.running.environment import environment

    here = environment(torch.device("cpu"))
    found = {
        "CPU": f"{here['processor']} ({here['instructions']}), {here['cores']} cores",
        "bf16": "in hardware" if resolve_precision("auto", "cpu") == "bf16" else "emulated",
        "system": here["system"],
        "Python": here["python"],
        **{name: here["packages"].get(name, "not installed") for name in ("torch", *packages)},
    }
    if hasattr(os, "getloadavg"):
        found["load before"] = f"{os.getloadavg()[0]:.2f}"
    found["date"] = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    return found
