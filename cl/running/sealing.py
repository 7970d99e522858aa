"""Runs with --sealed: a stream without test images, and the end of a run that falls behind others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cl.data.sealed import SealedStore
from cl.errors import UsageError
from cl.protocol import default_rule
from cl.records.formulas import accuracy_by_task
from cl.records.matrix import matrix_of, steps_of
from cl.stream import Evaluate, Group, Stream


def sealed(stream: Stream) -> Stream:
    """The stream with a store of test images that raises on any access; nothing else of it depends on them.

    Raises `UsageError` if the stream evaluates anything but held-out training images.
    """
    if any(isinstance(event, Evaluate) and event.split != "val" for event in stream.events):
        raise UsageError("--sealed evaluates held-out training images; leave the split of the stream out.")
    data = stream.dataset
    tags = data.train.tags
    nothing = SealedStore(data.train.image_shape, None if tags is None else tags.shape[1])
    return replace(stream, dataset=replace(data, test=nothing), groups=tuple(map(_without_test, stream.groups)))


def _without_test(group: Group) -> Group:
    tags = group.tags
    if tags is not None:
        tags = {"val": tags["val"], "test": np.empty((0, len(group.classes)), np.bool_)}
    return replace(group, rows={"val": group.rows["val"], "test": np.empty(0, np.int64)}, tags=tags)


def accuracies(record: Mapping[str, Any]) -> dict[int, float]:
    """By task: the accuracy after it, the mean over the tasks learned by then (A_last_task), of the run's own rule.

    Tasks after which there was nothing to predict with are left out.
    """
    result = record["result"]
    if not result["accuracy"]:
        return {}
    values = accuracy_by_task(matrix_of(result, default_rule(result["accuracy"])))
    steps = steps_of(result)
    return {task: float(value) for task, value in zip(steps, values, strict=True) if not np.isnan(value)}


def falls_below(levels: Sequence[float]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether the accuracy of a record is below `levels[task]` after the last task that it has; for `--stop-below`."""

    def below(record: Mapping[str, Any]) -> bool:
        if not levels:
            return False
        found = accuracies(record)
        last = max(found, default=len(levels))
        return last < len(levels) and found[last] < levels[last]

    return below
