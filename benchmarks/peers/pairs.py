"""Interleaved pairs: both sides do the same run, task by task in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.peers.work import Job, Measured, check
from benchmarks.peers.worker import SIDES, Worker

PARTS = ("learn", "evaluation", "whole")
WARM_UP_TASKS = 2
"""Tasks of the warm-up, which also counts images: memories, penalties and teachers are used from the second task on."""


@contextmanager
def workers(job: Job) -> Iterator[dict[str, Worker]]:
    """Both processes, ready to run."""
    both: dict[str, Worker] = {}
    try:
        for side in SIDES:
            both[side] = Worker(side, job)
        yield both
    finally:
        for worker in both.values():
            worker.close()


def one_pair(both: dict[str, Worker], first: int, **arguments: Any) -> dict[str, Measured]:
    """One run of each side. They take turns after each training and each evaluation, and at being first."""
    found: dict[str, Measured] = {}
    for worker in both.values():
        worker.begin(**arguments)
    turn = first
    while len(found) < len(SIDES):
        for side in (SIDES[turn % 2], SIDES[1 - turn % 2]):
            if side not in found and (measured := both[side].step()) is not None:
                found[side] = measured
        turn += 1
    return found


def measure(
    job: Job, pairs: int, done: Callable[[int, dict[str, Measured]], None], progress: Callable[[str], None]
) -> None:
    """`pairs` pairs, each in new processes after a warm-up, which checks in detail that both sides do the same work.

    The speed of a process depends on where its memory lies, by up to several percent, so pairs of the same processes
    would be too much alike. `done` gets the number of each pair, from 1, and its runs; `progress` gets a line of text.
    Both sides of a pair use the same core, and pairs take turns over the cores. Raises `DifferentWork`.
    """
    for number in range(pairs):
        core = _core(job, number)
        with workers(job) as both:
            warm = one_pair(both, 0, tasks=min(WARM_UP_TASKS, job.tasks), in_detail=True, core=core)
            check(job, warm["ours"], warm["theirs"])
            pair = one_pair(both, number, core=core)
        check(job, pair["ours"], pair["theirs"])
        done(number + 1, pair)
        ratios = ", ".join(f"{part} {ratio(pair, part):.3f}" for part in PARTS)
        progress(f"{job.method}, {job.test_per_class} test images per class, pair {number + 1}: {ratios}")


def _core(job: Job, number: int) -> int | None:
    return number // 2 if job.threads == 1 else None  # each core is used by two pairs with exchanged order


def ratio(pair: dict[str, Measured], part: str, clock: str = "cpu") -> float:
    """Seconds of ours / theirs; `clock` is "cpu" or "wall"."""
    ours, theirs = (getattr(getattr(pair[side], part), clock) for side in SIDES)
    return ours / theirs
