"""Blurry boundaries: most images of a class are in one task, some in other tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cl.data.store import IndexArray
from cl.errors import UsageError
from cl.random import numpy_generator
from cl.settings.rebuild import rebuilt, rows_by_position
from cl.stream import Evaluate, Event, Stream, Train

ATTEMPTS = 10_000
"""Draws of Si-Blurry before a stream with too few classes for its tasks is refused."""


def i_blurry(stream: Stream, disjoint: float, blur: float, *, seed: int) -> Stream:
    """i-Blurry (Koh et al. 2022): a share `disjoint` of the classes stay in their task. Of every other class, a share
    `blur` of the images goes into a pool, which is shuffled and dealt back: each task gets as many images as it gave.

    The main task of each class does not change, and disjoint classes are spread evenly over tasks. Checked against the
    lists published by the authors: there, too, a class's own task receives its part of the pool, so with blur = 0.1 and
    5 tasks a class has about 92 % of its images in its own task. Raises `UsageError` if classes of the stream return
    already.
    """
    homes = [experience.classes for experience in stream.experiences]
    _check(stream, homes)
    rng = numpy_generator(seed, "i-blurry", "classes")
    bounds = np.floor(disjoint * np.cumsum([0, *map(len, homes)]) + 0.5).astype(int)
    blurred = [rng.permutation(home)[few:].tolist() for home, few in zip(homes, np.diff(bounds), strict=True)]
    rows = rows_by_position(stream)
    given = []
    for classes in blurred:
        parts = [rng.permutation(rows[p])[: round(blur * len(rows[p]))] for p in sorted(classes)]
        given.append(np.concatenate([np.empty(0, np.int64), *parts]))
    return _dealt(stream, "i-blurry", homes, given, disjoint, blur, seed)


def si_blurry(stream: Stream, disjoint: float, blur: float, *, seed: int) -> Stream:
    """Si-Blurry (Moon et al. 2023): as i-Blurry, but a task's number of disjoint classes, its number of blurred classes
    and its number of images in the pool are random, as the authors' trainer draws them (`OnlineSampler`).

    Cut points in the shuffled disjoint classes, in the blurred classes and in the number of images that move split each
    of them among the tasks. A task gives the images of its cut to the pool, or all its blurred images if it has fewer,
    and takes as many as its cut from the shuffled pool, while it lasts. Only the number of the stream's tasks is used:
    classes are redistributed by the data seed, and each group of test images holds the classes of a task. The number of
    disjoint classes is rounded down to a multiple of the tasks.

    Differences from that sampler: the images that move are drawn, where it takes the first of the data set; classes
    that do not divide by the number of tasks are blurred, where it leaves them out; a draw that leaves a task without
    classes or images is repeated, because a group of test images needs a class. Raises `UsageError` if none of
    `ATTEMPTS` draws has classes and images for every task, or if classes return already.
    """
    _check(stream, [experience.classes for experience in stream.experiences])
    rng, tasks, count = numpy_generator(seed, "si-blurry"), len(stream.experiences), len(stream.class_order)
    alone = int(disjoint * count + 1e-9) // tasks * tasks
    rows = rows_by_position(stream)
    for _ in range(ATTEMPTS):
        order = rng.permutation(count)
        single = np.split(order[:alone], _cuts(rng, alone, tasks))
        blurred = np.split(order[alone:], _cuts(rng, count - alone, tasks))
        homes = [tuple(sorted([*few.tolist(), *many.tolist()])) for few, many in zip(single, blurred, strict=True)]
        movable = [np.sort(np.concatenate([np.empty(0, np.int64), *(rows[p] for p in many)])) for many in blurred]
        total = int(blur * sum(map(len, movable)) + 1e-9)
        sizes = np.diff([0, *_cuts(rng, total, tasks), total]).tolist()
        given = [rng.permutation(each)[:size] for each, size in zip(movable, sizes, strict=True)]
        kept = [sum(len(rows[p]) for p in home) - len(out) for home, out in zip(homes, given, strict=True)]
        if all(homes) and all(k + n for k, n in zip(kept, _taken(sizes, sum(map(len, given))), strict=True)):
            dealt = _dealt(stream, "si-blurry", homes, given, disjoint, blur, seed, sizes=sizes)
            return replace(dealt, comparable={**(dealt.comparable or {}), "si-blurry": "OnlineSampler"})
    raise UsageError(
        f"no draw of si-blurry gave each of the {tasks} tasks of {stream.name} one of the {count} classes; choose "
        "fewer tasks, or i-blurry."
    )


def _cuts(rng: np.random.Generator, total: int, parts: int) -> list[int]:
    """Ascending cut points that split `total` items into `parts`; parts may be empty, but the last is so only if
    `total` is 0."""
    return sorted(rng.integers(0, total, parts - 1).tolist()) if total else [0] * (parts - 1)


def _taken(sizes: Sequence[int], pool: int) -> list[int]:
    """How many images of the pool each task takes: its size, while the pool lasts."""
    ends = np.minimum(np.cumsum(sizes), pool)
    return np.diff([0, *ends]).tolist()


def _check(stream: Stream, homes: Sequence[tuple[int, ...]]) -> None:
    if len(homes) < 2:
        raise UsageError(f"{stream.name} has a single task, whose boundaries cannot be blurred; choose more tasks.")
    if stream.classes_return or [sorted(group.classes) for group in stream.groups] != [sorted(home) for home in homes]:
        raise UsageError(
            f"{stream.name} ({stream.setting}) cannot be blurred: that needs a class-incremental stream, in which "
            "every class has one task; leave the setting out."
        )


def _dealt(
    stream: Stream, name: str, homes: Sequence[tuple[int, ...]], given: Sequence[IndexArray],
    disjoint: float, blur: float, seed: int, sizes: Sequence[int] | None = None,
) -> Stream:  # fmt: skip
    """Shuffle the images that the tasks give, and deal them: `sizes` of them to each task, by default what it gave."""
    rows, pool = rows_by_position(stream), np.concatenate(given)
    sizes = [len(each) for each in given] if sizes is None else sizes
    dealt = np.split(numpy_generator(seed, name, "deal").permutation(pool), np.cumsum(_taken(sizes, len(pool)))[:-1])
    train = []
    for home, got in zip(homes, dealt, strict=True):
        own = np.concatenate([rows[position] for position in home])
        train.append(np.concatenate([own[~np.isin(own, pool)], got]))
    empty = [task for task, chunk in enumerate(train) if not len(chunk)]
    if empty:
        raise UsageError(f"blur={blur:g} leaves task {empty[0]} of {stream.name} without images; choose a lower share.")
    held = np.concatenate([experience.val for experience in stream.experiences])
    labels = stream.positions[stream.dataset.train.labels[held]]
    return rebuilt(
        stream,
        train,
        setting=name,
        options={"disjoint": disjoint, "blur": blur},
        seed=seed,
        val=[held[np.isin(labels, home)] for home in homes],
        groups=homes,
        events=_events(stream, train, homes),
    )


def _events(stream: Stream, train: Sequence[IndexArray], homes: Sequence[tuple[int, ...]]) -> list[Event]:
    """The events of the stream; each evaluation includes every group with a class seen so far."""
    seen: set[int] = set()
    events: list[Event] = []
    for event in stream.events:
        if isinstance(event, Train):
            seen |= set(stream.positions[stream.dataset.train.labels[train[event.experience]]].tolist())
            events.append(event)
        else:
            known = {index for index, home in enumerate(homes) if seen & set(home)}
            events.append(Evaluate(tuple(sorted({*event.groups, *known})), event.split))
    return events
