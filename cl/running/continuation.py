"""Streams of runs that continue a learner: the rest of its own stream, or new tasks after those that it learned."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cl.data.store import Dataset, IndexArray, Progress
from cl.declared.union import Part, Splits, union
from cl.errors import Incompatible, UsageError, counted
from cl.options import DEFAULT, Value
from cl.protocol import CLASS, DOMAIN, TASK
from cl.running.saved_learner import Saved
from cl.strategy import Strategy
from cl.stream import Evaluate, Event, Experience, Group, Stream, Train
from cl.training import state

JOINABLE = (CLASS, TASK, DOMAIN)
"""Settings whose tasks can follow those of another stream of the same setting."""


def rest_of(stream: Stream, learned: int) -> Stream:
    """The stream after its first `learned` tasks: it begins with an evaluation of what they left.

    Raises `UsageError` if nothing is left to learn.
    """
    total = len(stream.experiences)
    if learned >= total:
        raise UsageError(
            f"All {counted(total, 'task')} of {stream.name} are learned; give new tasks with --stream, or go on from "
            "an earlier task with --at."
        )
    start = stream.events.index(Train(learned))
    first = [event for event in stream.events[:start] if isinstance(event, Evaluate)][-1:]
    return dataclasses.replace(
        stream,
        events=(*first, *stream.events[start:]),
        options={**stream.options, "learned": learned},
        comparable={**(stream.comparable or stream.options), "learned": learned},
        learned=learned,
    )


def joined(first: Stream, second: Stream, learned: int, progress: Progress | None = None) -> Stream:
    """The first `learned` tasks of a stream, which are evaluated only, and after them the tasks of another one.

    Classes that are known keep their positions; new ones follow. Images are brought to the form of the first stream's.
    Test images of all tasks seen are evaluated after every task. Raises `UsageError` for streams that do not fit.
    """
    _check(first, second)
    size = first.dataset.train.image_shape[0]
    seen = sorted(first.class_order[: _seen(first, learned)].tolist())
    names = [first.dataset.class_names[label] for label in seen]
    known = {name: label for label, name in enumerate(names)}
    old = np.full(len(first.dataset.class_names), -1, np.int64)
    old[seen] = np.arange(len(seen))
    new = np.full(len(second.dataset.class_names), -1, np.int64)
    for label in sorted(second.class_order.tolist()):
        name = second.dataset.class_names[label]
        if name in known and first.setting != DOMAIN:
            raise UsageError(
                f"Class {name!r} of {second.name} is one that the learner knows; a class is learned in one task, so "
                "rename it if it is another, or leave it out."
            )
        if name not in known:
            names.append(name)
        new[label] = known.get(name, len(names) - 1)
    sources = [(first, task, old) for task in range(learned)]
    sources += [(second, task, new) for task in range(len(second.experiences))]
    parts = [Part(stream.dataset, labels, _splits(stream, task)) for stream, task, labels in sources]
    name = f"{first.name}+{second.name}"
    dataset, rows, _ = union(name, tuple(names), parts, size, progress)
    learned_first = [old[label] for label in first.class_order.tolist() if old[label] >= 0]
    order = np.array(list(dict.fromkeys([*learned_first, *new[second.class_order].tolist()])), np.int64)
    position = {label: place for place, label in enumerate(order.tolist())}
    experiences, groups = [], []
    for number, ((stream, task, labels), found) in enumerate(zip(sources, rows, strict=True)):
        places = tuple(
            sorted(position[labels[stream.class_order[place]]] for place in stream.experiences[task].classes)
        )
        group = stream.groups[task]
        called = f"task{number}" if group.name == f"task{task}" else group.name
        val = found.get("val", np.empty(0, np.int64))
        own = stream.experiences[task].name
        experiences.append(Experience(found["train"], val, places, called if own == group.name else own))
        tested = {split: found[split] for split in group.rows}
        groups.append(Group(called, places, tested, number, None, group.year, group.domain))
    return Stream(
        name=name,
        version=f"{first.version}+{second.version}",
        setting=first.setting,
        options={**second.options, "learned": learned, "after": first.id[:16]},
        dataset=_named(dataset, first, second),
        class_order=order,
        experiences=tuple(experiences),
        groups=tuple(groups),
        events=_events(learned, len(experiences), second.split),
        comparable={"first": first.id, "second": second.id, "learned": learned},
        learned=learned,
    )


def of_its_size(options: Any, values: Mapping[str, Value], size: int) -> Any:
    """The options of a stream that decodes images at a size: that of the learner's images.

    Raises `UsageError` if another one was chosen.
    """
    if not hasattr(options, "size") or options.size == size:
        return options
    given = values.get("stream.size")
    if options.size is not None and given is not None and given.origin != DEFAULT:
        raise UsageError(f"stream.size={options.size} is not the {size} pixels of the learner's images; leave it out.")
    return dataclasses.replace(options, size=size)


def check_parts(strategy: Strategy, fresh: Strategy, saved: Saved, where: str) -> None:
    """Check that a strategy that was set up for the whole stream can take the state of one set up for its first part.

    `fresh` is set up here as the saved learner was; the two must have equal parts, or the method sized them by what it
    was told of its stream. Raises `Incompatible` for such a method, and for one that plans by the number of tasks.
    """
    if strategy.info.n_tasks != saved.info.n_tasks and (where_read := _reads_tasks(strategy)):
        raise Incompatible(
            f"{saved.strategy['name']} plans for the number of tasks that it is told before the first ({where_read}), "
            f"{saved.info.n_tasks} here, so it cannot learn more; go on with the rest of its own stream, without "
            "--stream."
        )
    fresh.info = saved.info
    fresh.setup(saved.info)
    if state.digest(fresh.structure()) != state.digest(strategy.structure()):
        raise Incompatible(
            f"{saved.strategy['name']} makes its parts for the {saved.info.n_classes} classes and {saved.info.n_tasks} "
            f"tasks that it is told before the first, so the learner of {where} cannot learn more; go on with the rest "
            "of its own stream, without --stream."
        )


def _reads_tasks(strategy: Strategy) -> str:
    """The module of a strategy, of a base class or of a strategy within it that reads `info.n_tasks`; "" if none."""
    for each in _strategies(strategy):
        for base in type(each).__mro__:
            module = sys.modules.get(base.__module__)
            if module is None or base.__module__ in ("builtins", "cl.strategy"):
                continue
            try:
                source = inspect.getsource(module)
            except (OSError, TypeError):  # of a notebook: the parts are compared all the same
                continue
            if re.search(r"\.n_tasks\b", source):
                return base.__module__
    return ""


def _strategies(strategy: Strategy) -> Iterator[Strategy]:
    yield strategy
    for value in vars(strategy).values():
        if isinstance(value, Strategy):
            yield from _strategies(value)


def _check(first: Stream, second: Stream) -> None:
    """Raise `UsageError` for streams of which the second cannot follow the first."""
    if first.setting != second.setting:
        raise UsageError(
            f"{second.name} is {second.setting}, and the learner learned {first.name}, which is {first.setting}; "
            "choose a stream of its setting."
        )
    if first.setting not in JOINABLE:
        raise UsageError(
            f"New tasks cannot follow a stream that is {first.setting}, only one that is {', '.join(JOINABLE)}; go on "
            "with the rest of its own stream, without --stream."
        )
    for stream in (first, second):
        if stream.multi_label:
            raise UsageError(
                f"Images of {stream.multi_label[0]} may have several classes, and new tasks cannot join such a stream; "
                "go on with the rest of its own stream, without --stream."
            )
        if [group.task for group in stream.groups] != list(range(len(stream.experiences))):
            raise UsageError(
                f"The tasks of {stream.name} do not have one set of test images each, so no stream can be joined to "
                "it; go on with the rest of its own stream, without --stream."
            )
    if first.split != second.split:
        raise UsageError(
            f"The learner was evaluated on the split {first.split}, {second.name} on {second.split}; choose the same "
            "stream.split."
        )
    height, width, channels = first.dataset.train.image_shape
    if height != width:
        raise UsageError(
            f"The images of {first.name} are not square ({width} x {height}); no stream can be joined to it."
        )
    if channels == 1 and second.dataset.train.image_shape[2] != 1:
        raise UsageError(
            f"The learner was trained on grey images, and those of {second.name} are in colour; choose grey ones."
        )


def _seen(stream: Stream, learned: int) -> int:
    return dataclasses.replace(stream, learned=learned).seen_before


def _splits(stream: Stream, task: int) -> Splits:
    """The images of a task and of its group: for each split the store of the dataset, and rows of it."""
    experience, group = stream.experiences[task], stream.groups[task]
    found: dict[str, tuple[str, IndexArray]] = {"train": ("train", experience.train)}
    if len(experience.val) or "val" in group.rows:
        found["val"] = ("train", experience.val if len(experience.val) else group.rows["val"])
    found |= {split: ("test", rows) for split, rows in group.rows.items() if split != "val"}
    return found


def _events(learned: int, tasks: int, split: str) -> tuple[Event, ...]:
    events: list[Event] = [Evaluate(tuple(range(learned)), split)]
    for task in range(learned, tasks):
        events += [Train(task), Evaluate(tuple(range(task + 1)), split)]
    return tuple(events)


def _named(dataset: Dataset, *streams: Stream) -> Dataset:
    """The union with the notes of its streams, and no more verified than they are."""
    notes: Sequence[str] = [note for stream in streams for note in stream.dataset.notes]
    return dataclasses.replace(dataset, notes=tuple(dict.fromkeys(notes)))
