"""Shared by the settings: rebuilding a stream with other chunks of the same training images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cl.data.store import IndexArray
from cl.stream import Event, Experience, Stream


def rebuilt(
    stream: Stream,
    train: Sequence[IndexArray],
    *,
    setting: str,
    options: Mapping[str, Any],
    seed: int,
    val: Sequence[IndexArray] | None = None,
    groups: Sequence[tuple[int, ...]] | None = None,
    learned: Sequence[int] | None = None,
    events: Sequence[Event] | None = None,
) -> Stream:
    """The stream with experiences of the rows `train`; positions number the classes by their new first appearance.

    `groups` are the old positions of the classes of each group, if these change; `learned` is the experience after
    which each group counts as learned. `setting`, `options` and `seed` are added to those of the stream.
    """
    dataset, held = stream.dataset, [np.empty(0, np.int64)] * len(train) if val is None else val
    present = [np.unique(stream.positions[dataset.train.labels[rows]]) for rows in train]
    appearance = np.array(list(dict.fromkeys(int(p) for classes in present for p in classes)), dtype=np.int64)
    place = np.full(len(stream.class_order), -1, dtype=np.int64)
    place[appearance] = np.arange(len(appearance))
    experiences = tuple(
        Experience(np.sort(rows), np.sort(out), tuple(np.sort(place[classes]).tolist()))
        for rows, out, classes in zip(train, held, present, strict=True)
    )
    moved = stream.groups if groups is None else _regrouped(stream, groups)
    tasks = [group.task for group in stream.groups] if learned is None else learned
    chosen = {"setting": [*stream.options.get("setting", ()), setting], **options}
    return replace(
        stream,
        setting=f"{setting} {stream.setting}",
        options={**stream.options, **chosen},
        comparable={**(stream.comparable or stream.options), **chosen, "setting_seed": seed},
        class_order=stream.class_order[appearance],
        experiences=experiences,
        groups=tuple(
            replace(group, classes=tuple(np.sort(place[list(group.classes)]).tolist()), task=task)
            for group, task in zip(moved, tasks, strict=True)
        ),
        events=stream.events if events is None else tuple(events),
    )


def _regrouped(stream: Stream, groups: Sequence[tuple[int, ...]]) -> tuple[Any, ...]:
    """The groups with new classes: every image moves to the group of its class."""
    found = []
    for group, classes in zip(stream.groups, groups, strict=True):
        rows = {}
        for split in group.rows:
            every = np.concatenate([other.rows[split] for other in stream.groups])
            labels = stream.positions[stream.store(split).labels[every]]
            rows[split] = np.sort(every[np.isin(labels, classes)])
        found.append(replace(group, classes=classes, rows=rows))
    return tuple(found)


def rows_by_position(stream: Stream) -> list[IndexArray]:
    """The training rows of each class, ascending, by position."""
    rows = np.sort(np.concatenate([experience.train for experience in stream.experiences]))
    labels = stream.positions[stream.dataset.train.labels[rows]]
    return [rows[labels == position] for position in range(len(stream.class_order))]
