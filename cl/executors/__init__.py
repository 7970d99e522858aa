"""Executors: where the runs of a grid are executed. On this machine, on a Ray cluster, on Slurm.

An executor is a class registered in the entry-point group `clbench.executors`; `clbench sweep --executor NAME` chooses
it. It executes plans and tells an observer what happens. It computes nothing itself, so the results are the same
wherever the runs are executed.
"""

from __future__ import annotations

from cl.executors.base import Executor, GridObserver, Outcome

__all__ = ["Executor", "GridObserver", "Outcome"]
