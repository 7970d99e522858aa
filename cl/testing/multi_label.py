"""A small stream whose first task has several classes per image, made of any stream, for checks and tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cl.data.store import IndexArray, TagArray
from cl.protocol import TASK
from cl.stream import Evaluate, Event, Stream, Train


def with_several_classes(stream: Stream, tasks: int | None = None) -> Stream:
    """The stream as a task-incremental one in which every second image of the first task also has its last class.

    Every task is tested after its training, and all at the end. `tasks` keeps the first tasks only.
    """
    number = len(stream.experiences) if tasks is None else tasks
    experiences = list(stream.experiences[:number])
    groups = [group for group in stream.groups if group.task < number]
    first, classes = experiences[0], experiences[0].classes

    def tags(split: str, rows: IndexArray) -> TagArray:
        labels = stream.positions[stream.store(split).labels[rows]]
        found = labels[:, None] == np.array(classes)[None, :]
        found[:, -1] |= np.arange(len(rows)) % 2 == 0
        return found

    experiences[0] = replace(first, tags=tags("train", first.train), val_tags=tags("val", first.val))
    groups = [
        replace(group, tags={split: tags(split, rows) for split, rows in group.rows.items()})
        if group.classes == classes
        else group
        for group in groups
    ]
    every = tuple(range(len(groups)))
    events: list[Event] = []
    for task in range(number):
        own = tuple(place for place in every if groups[place].task == task)
        events += [Train(task), Evaluate(own if task + 1 < number else every, stream.split)]
    seen = {position for experience in experiences for position in experience.classes}
    return replace(
        stream,
        setting=TASK,
        options={**stream.options, "several_classes": True},
        comparable={**(stream.comparable or stream.options), "several_classes": True},
        class_order=stream.class_order[: max(seen) + 1],
        experiences=tuple(experiences),
        groups=tuple(groups),
        events=tuple(events),
    )
