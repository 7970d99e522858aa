"""The rows of a dataset, dealt to the tasks of a class-incremental stream, and the events of its tasks."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from cl.data.store import Dataset, IndexArray
from cl.errors import DataError, UsageError, counted
from cl.random import numpy_generator
from cl.stream import Evaluate, Event, Group, Train

log = logging.getLogger("clbench.data")


def rows_by_class(dataset: Dataset, split: str, limit: int | float | None) -> list[IndexArray]:
    """Rows of each original label; with a limit the first rows, which canonical order has already mixed."""
    labels = getattr(dataset, split).labels
    bounds = np.searchsorted(labels, np.arange(len(dataset.class_names) + 1))
    result = []
    for name, start, stop in zip(dataset.class_names, bounds[:-1], bounds[1:], strict=True):
        if start == stop:
            raise DataError(f"Class {name!r} of {dataset.name} has no {split} images; add some or remove the class.")
        result.append(np.arange(start, start + limited(int(stop - start), limit), dtype=np.int64))
    return result


def limited(size: int, limit: int | float | None) -> int:
    """Images that a limit leaves of a class of `size`: an integer is a number of images, a fraction a share, at least
    one."""
    if limit is None:
        return size
    return max(1, round(limit * size)) if isinstance(limit, float) else min(limit, size)


def check_validation(name: str, val: Sequence[IndexArray], labels: IndexArray) -> None:
    """Log how many classes have no validation image; raises `UsageError` if none has one."""
    lacking = sum(not len(val[label]) for label in labels)
    if lacking == len(labels):
        raise UsageError(
            f"split=val: no class of {name} has a second training image to hold out; raise train_per_class, or use "
            "split=test."
        )
    if lacking:
        log.warning(
            "%s: %d of %d classes have a single training image, which is learned; they have no validation image.",
            name, lacking, len(labels),
        )  # fmt: skip


def shares(
    by_class: Sequence[IndexArray], tasks: Sequence[IndexArray], seed: int, what: str, class_names: Sequence[str]
) -> list[list[IndexArray]]:
    """For each task the rows of its classes; those of a class in several tasks are dealt to them in equal parts.

    Raises `DataError` for a class with fewer training images than tasks.
    """
    counts = np.bincount(np.concatenate(tasks), minlength=len(by_class))
    parts: dict[int, list[IndexArray]] = {}
    for label in np.flatnonzero(counts > 1).tolist():
        rows = numpy_generator(seed, "returning", what, label).permutation(by_class[label])
        if what == "train" and len(rows) < counts[label]:
            raise DataError(
                f"Class {class_names[label]!r} is in {counts[label]} tasks and has "
                f"{counted(len(rows), 'training image')}; each task needs one: name it in fewer tasks."
            )
        parts[label] = [np.sort(part) for part in np.array_split(rows, counts[label])]
    return [
        [parts[label].pop(0) if label in parts else by_class[label] for label in labels.tolist()] for labels in tasks
    ]


def join(parts: Sequence[IndexArray]) -> IndexArray:
    """The rows of all parts, ascending."""
    return np.sort(np.concatenate(parts))


def events_of(n_tasks: int, groups: Sequence[Group], evaluate_on: str, split: str) -> tuple[Event, ...]:
    """Train and test events, task by task: on the groups of the tasks so far, or on all, also before the first task."""
    every = tuple(range(len(groups)))
    events: list[Event] = [Evaluate(every, split)] if evaluate_on == "all" else []
    for task in range(n_tasks):
        known = tuple(number for number in every if groups[number].task <= task)
        events += [Train(task), Evaluate(every if evaluate_on == "all" else known, split)]
    return tuple(events)
