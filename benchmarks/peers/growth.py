"""Growth: CPU seconds and peak memory of both sides as tasks and images increase."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.peers.pairs import one_pair, workers
from benchmarks.peers.report import rows_of
from benchmarks.peers.work import Job, check

CLASSES = 100
"""Classes of split-cifar100."""
BASE_TASKS = 10


def sizes(base: Job, tasks: Sequence[int], images: Sequence[int]) -> list[Job]:
    """`base` with other numbers of tasks, and with other numbers of training images in `BASE_TASKS` tasks."""
    by_tasks = [replace(base, tasks=number) for number in tasks]
    by_images = [replace(base, tasks=BASE_TASKS, train_per_class=number // CLASSES) for number in images]
    return list(dict.fromkeys([*by_tasks, *by_images]))


def measure(jobs: Sequence[Job], about: Mapping[str, str], progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """The CSV rows of one pair per size, in fresh processes: the peak of a process includes all its runs."""
    for number, job in enumerate(jobs):
        with workers(job) as both:
            pair = one_pair(both, number, core=0 if job.threads == 1 else None)
        check(job, pair["ours"], pair["theirs"])
        for row in rows_of(job, 1, pair, about):
            row["images"] = job.train_per_class * CLASSES
            seconds = f"learn {row['learn_cpu']} s, evaluation {row['evaluation_cpu']} s, peak {row['peak_mb']} MB"
            progress(f"growth: {job.method}, {job.tasks} tasks, {row['images']} images, {row['side']}: {seconds}")
            yield row
