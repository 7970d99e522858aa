"""The streams of NEVIS'22 from all of their datasets as published, in little."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from cl.stream import Stream
from cl.streams.nevis import _tasks
from tests.help.nevis import FAMILIES, Build

STREAMS = [
    "nevis-tiny",
    pytest.param("nevis-short", marks=pytest.mark.slow),
    pytest.param("nevis", marks=pytest.mark.slow),
]

Images = Counter[tuple[int, str]]
"""Hashes of images and names of their classes in their dataset; how often."""


def splits(stream: Stream, task: int) -> dict[str, Images]:
    """The images of a task by split; those for tests, of several splits, have their rows in the task's group."""
    experience, group = stream.experiences[task], stream.groups[task]
    rows = {"train": experience.train, "val": experience.val, **{k: v for k, v in group.rows.items() if k != "val"}}
    found = {}
    for split, chosen in rows.items():
        store = stream.store(split)
        names = [stream.dataset.class_names[label].partition("/")[2] for label in store.labels[chosen].tolist()]
        found[split] = Counter(zip(store.hashes[chosen].tolist(), names, strict=True))
    return found


@pytest.mark.parametrize("name", STREAMS)
def test_every_task_that_is_learned_has_images_of_every_split(name: str, built: Build) -> None:
    stream, family = built(name), FAMILIES[name]
    rows = list(_tasks(family.variant))
    omitted = Counter(text.removesuffix(" (multi-label)") for text in family.declaration().omitted)
    assert omitted <= Counter(row["task"] for row in rows if row["labels"] == "multi")
    kept = [row["name"] for row in rows if row["task"] not in omitted]
    assert len(stream.experiences) == len(stream.groups) == len(rows) - omitted.total()
    tasks = [(experience.name, group.name) for experience, group in zip(stream.experiences, stream.groups, strict=True)]
    assert [first for first, second in tasks if first == second] == [
        f"{row['name']}-{row['year']}" if kept.count(row["name"]) > 1 else row["name"]
        for row in rows
        if row["task"] not in omitted
    ]
    for task, (called, _) in enumerate(tasks):
        found = splits(stream, task)
        assert found["train"] and found["val"] and found["test"], called
        assert not set(found["val"]) & set(found["test"]), called


@pytest.mark.slow
def test_a_dataset_that_occurs_twice_is_split_in_the_same_way(built: Build) -> None:
    stream = built("nevis")
    tasks: dict[str, list[int]] = defaultdict(list)
    for task, experience in enumerate(stream.experiences):
        tasks[experience.name.partition("-")[0]].append(task)
    twice = {name: places for name, places in tasks.items() if len(places) > 1}
    names = Counter(row["name"] for row in _tasks("") if row["labels"] == "single")
    assert twice.keys() == {name for name, count in names.items() if count > 1}
    for name, (first, *others) in twice.items():
        assert all(splits(stream, other) == splits(stream, first) for other in others), name


@pytest.mark.parametrize("name", STREAMS)
def test_unpacked_archives_give_the_same_datasets(name: str, built: Build) -> None:
    packed, unpacked = built(name), built(name, unpacked=True)
    assert unpacked.comparable == packed.comparable
    assert unpacked.dataset.fingerprints == packed.dataset.fingerprints
    for one, other in zip(packed.experiences, unpacked.experiences, strict=True):
        assert np.array_equal(one.train, other.train) and np.array_equal(one.val, other.val)
