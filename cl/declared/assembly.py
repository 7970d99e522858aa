"""Declared streams, built: datasets are read, brought to one size, and dealt to tasks and groups."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cl.data.store import Dataset, IndexArray, Progress, TagArray
from cl.declared.declaration import DatasetEntry, Declaration
from cl.declared.obtain import available, read
from cl.declared.options import OWN, DeclaredOptions
from cl.declared.union import Part, Tags, parted, splits_of, union
from cl.errors import DataError, UsageError, counted, did_you_mean
from cl.options import listed
from cl.protocol import DOMAIN, TASK
from cl.settings.class_incremental import VAL_SHARE
from cl.settings.orders import class_order
from cl.stream import Evaluate, Event, Experience, Group, Stream, Train

log = logging.getLogger("clbench.data")


@dataclass(frozen=True, eq=False)
class _Task:
    """The contents of one experience and its group: labels of the union in the order of learning, and rows by split.

    `tags`: where an image may have several classes, those of the rows of each split, with a column for each label.
    """

    name: str
    labels: IndexArray
    rows: dict[str, IndexArray]
    tags: dict[str, TagArray] = field(default_factory=dict)
    year: int | None = None
    domain: str = ""


def assemble(
    declaration: Declaration,
    options: DeclaredOptions,
    *,
    order_seed: int,
    data_seed: int,
    progress: Progress | None = None,
) -> Stream:
    """Build the stream of a declaration. Raises `UsageError` for options or classes that do not fit, `DataError` for
    missing data."""
    official = [entry.name for entry in declaration.datasets if not declaration.rule(entry).startswith("nevis")]
    if options.split == "dev_test" and official:
        raise UsageError(
            f"split={options.split}: dataset {official[0]} of {declaration.name} has no such split; use split=test, or "
            "declare splits = 'nevis'."
        )
    if options.split == "val" and not options.val_fraction:
        options = replace(options, val_fraction=VAL_SHARE)
    size = options.size or declaration.size
    entries, absent = available(declaration, options.missing or declaration.missing)
    if absent:
        log.warning(
            "%s: %d of %d datasets are not here and left out: %s.", declaration.name, len(absent),
            len(declaration.datasets), ", ".join(entry.name for entry in absent),
        )  # fmt: skip
    if declaration.omitted:
        log.warning("%s leaves out %s.", declaration.name, ", ".join(declaration.omitted))
    datasets = [read(declaration, entry, size, progress, skip_damaged=options.skip_damaged) for entry in entries]
    names, labels = _labels(declaration, entries, datasets)
    parts = [
        Part(dataset, own, splits_of(dataset, declaration.rule(entry), declaration.split_seed))
        for dataset, own, entry in zip(datasets, labels, entries, strict=True)
    ]
    whole, found, tagged = union(declaration.name, names, parts, size, progress)
    tasks: list[_Task] = []
    for entry, own, rows, tags in zip(entries, labels, found, tagged, strict=True):
        dealt = _tasks(whole, entry, own[own >= 0], rows, options, order_seed, data_seed)
        tasks += [_tagged(task, own, tags) for task in dealt] if tags else dealt
    notes = tuple(note for task in tasks for note in _without_images(task, whole, options.split))
    whole = replace(whole, notes=(*whole.notes, *notes))
    options = replace(options, evaluate_on=options.evaluate_on or (OWN if declaration.setting == TASK else "seen"))
    if all("val" in rows for rows in found):  # nothing is held out, so the option makes no difference
        options = replace(options, val_fraction=0.0)
    learned = [label for task in tasks if "train" in task.rows for label in task.labels.tolist()]
    order = np.array(list(dict.fromkeys(learned)), dtype=np.int64)
    position = {label: place for place, label in enumerate(order.tolist())}
    classes = [_positions(task, position, whole) for task in tasks]
    experiences = tuple(
        Experience(
            task.rows["train"],
            task.rows.get("val", np.empty(0, np.int64)),
            known,
            task.name,
            task.tags.get("train"),
            task.tags.get("val"),
        )
        for task, known in zip(tasks, classes, strict=True)
        if "train" in task.rows
    )
    groups = _groups(tasks, classes, experiences, options.split)
    return Stream(
        name=declaration.name,
        version=declaration.version,
        setting=declaration.setting,
        options=listed(options),
        dataset=whole,
        class_order=order,
        experiences=experiences,
        groups=groups,
        events=_events(len(experiences), groups, str(options.evaluate_on), options.split),
        comparable=_comparable(declaration, options, entries, datasets, data_seed),
    )


def _labels(
    declaration: Declaration, entries: Sequence[DatasetEntry], datasets: Sequence[Dataset]
) -> tuple[tuple[str, ...], list[IndexArray]]:
    """Class names of the union, and for each dataset the union's label of each of its own labels (-1: left out).

    Domains share classes by name; in other settings "dataset/class" is a separate class.
    """
    known: dict[str, int] = {}
    found = []
    for entry, dataset in zip(entries, datasets, strict=True):
        own = np.full(len(dataset.class_names), -1, dtype=np.int64)
        for name in entry.classes or dataset.class_names:
            if name not in dataset.class_names:
                hint = did_you_mean(name, list(dataset.class_names))
                raise UsageError(f"Dataset {entry.name} of {declaration.name} has no class '{name}'.{hint}")
            full = name if declaration.setting == DOMAIN else f"{entry.name}/{name}"
            own[dataset.class_names.index(name)] = known.setdefault(full, len(known))
        found.append(own)
    return tuple(known), found


def _tasks(
    whole: Dataset, entry: DatasetEntry, labels: IndexArray, rows: dict[str, IndexArray], options: DeclaredOptions,
    order_seed: int, data_seed: int,
) -> list[_Task]:  # fmt: skip
    """The tasks of one dataset with these labels in the union; `rows` are all its rows by split."""
    labels = np.sort(labels)
    if entry.tasks > len(labels):
        raise UsageError(
            f"Dataset {entry.name} has {counted(len(labels), 'class')}, too few for tasks = {entry.tasks}."
        )
    labels = labels[class_order(options.order, len(labels), order_seed)]
    stores = {split: whole.train if split in ("train", "val") else whole.test for split in rows}
    limits = {"train": options.train_per_class, "val": options.train_per_class}
    rows = {
        split: _limited(chosen, stores[split].labels[chosen], limits.get(split, options.test_per_class))
        for split, chosen in rows.items()
    }
    if options.val_fraction and "train" in rows and "val" not in rows:
        train, val = parted(whole.train, rows["train"], options.val_fraction, data_seed, "val")
        rows |= {"train": train, "val": val}
        stores["val"] = whole.train
    tasks = []
    for number, part in enumerate(np.array_split(labels, entry.tasks), 1):
        name = entry.name if entry.tasks == 1 else f"{entry.name}-{number}"
        held = {split: chosen[np.isin(stores[split].labels[chosen], part)] for split, chosen in rows.items()}
        empty = np.setdiff1d(part, whole.train.labels[held["train"]]) if "train" in held else part[:0]
        if len(empty) and not entry.multi_label:
            raise DataError(f"Class {whole.class_names[empty[0]]!r} of {entry.name} has no training images.")
        if options.split in held and not len(held[options.split]):
            raise DataError(f"Dataset {entry.name} has no {options.split} images in task {name}.")
        tasks.append(_Task(name, part, held, year=entry.year, domain=entry.domain))
    return tasks


def _tagged(task: _Task, own: IndexArray, tags: Mapping[str, Tags]) -> _Task:
    """A task of a dataset whose images may have several classes, with the tags of its rows.

    `own` are the labels of its classes in the union. A task has all classes of the dataset, in the order of learning.
    """
    columns = np.array([int(np.flatnonzero(own == label)[0]) for label in task.labels])
    sets = {split: (tags[split] if split in tags else tags["train"]).of(rows) for split, rows in task.rows.items()}
    return replace(task, tags={split: found[:, columns] for split, found in sets.items()})


def _without_images(task: _Task, whole: Dataset, split: str) -> list[str]:
    """What to know of classes of a task with several classes per image that have no image, of limits for example."""
    said = {
        "train": "have no training images, so their columns learn that they are absent",
        split: f"have no {split} images, so their average precision counts as 0",
    }
    notes = []
    for held, what in said.items():
        absent = task.labels[~task.tags[held].any(0)] if held in task.tags else task.labels[:0]
        if len(absent):
            names = ", ".join(whole.class_names[label].partition("/")[2] for label in absent[:5].tolist())
            more = ", ..." if len(absent) > 5 else ""
            notes.append(f"{task.name}: {len(absent)} of {len(task.labels)} classes {what} ({names}{more}).")
    return notes


def _limited(rows: IndexArray, labels: IndexArray, limit: int | float | None) -> IndexArray:
    """The first rows of each class, at most `limit` or a share; canonical order has already shuffled them.

    An image with several classes counts for the first of them only.
    """
    if limit is None:
        return rows
    _, first, count = np.unique(labels, return_index=True, return_counts=True)
    quota = np.maximum(1, np.rint(limit * count)) if isinstance(limit, float) else np.minimum(limit, count)
    rank = np.arange(len(rows)) - np.repeat(first, count)
    return rows[rank < np.repeat(quota, count)]


def _positions(task: _Task, position: Mapping[int, int], whole: Dataset) -> tuple[int, ...]:
    """The positions of a task's classes in the order of learning; raises `UsageError` for a class never learned."""
    if never := [label for label in task.labels.tolist() if label not in position]:
        raise UsageError(
            f"Class '{whole.class_names[never[0]]}' of {task.name} is tested, and no dataset trains it; "
            "leave it out by 'classes'."
        )
    return tuple(sorted(position[label] for label in task.labels.tolist()))


def _groups(
    tasks: Sequence[_Task], classes: Sequence[tuple[int, ...]], experiences: Sequence[Experience], split: str
) -> tuple[Group, ...]:
    """The test images of each task that has some, and of each test-only domain, due once its classes were seen."""
    first: dict[int, int] = {}
    for number, experience in enumerate(experiences):
        first |= {place: number for place in experience.classes if place not in first}
    numbers, found = itertools.count(), []
    for task, known in zip(tasks, classes, strict=True):
        own = next(numbers) if "train" in task.rows else max(first[place] for place in known)
        rows = {split: rows for split, rows in task.rows.items() if split != "train"}
        tags = {split: found for split, found in task.tags.items() if split != "train"} or None
        found += [Group(task.name, known, rows, own, tags, task.year, task.domain)] if split in rows else []
    return tuple(found)


def _events(tasks: int, groups: Sequence[Group], evaluate_on: str, split: str) -> tuple[Event, ...]:
    """Training and evaluation events, task by task; test-only groups are due as soon as their classes are known."""
    every = tuple(range(len(groups)))
    events: list[Event] = [Evaluate(every, split)] if evaluate_on == "all" else []
    for task in range(tasks):
        own = tuple(place for place in every if groups[place].task == task)
        seen = tuple(place for place in every if groups[place].task <= task)
        tested = {OWN: own, "seen": seen, "all": every}[evaluate_on]
        events += [Train(task), Evaluate(every if task == tasks - 1 else tested, split)]
    return tuple(events)


def _comparable(
    declaration: Declaration, options: DeclaredOptions, entries: Sequence[DatasetEntry], datasets: Sequence[Dataset],
    data_seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The parts of the identity other than classes and images: datasets, their tasks and splits, and limits."""
    return {
        "size": options.size or declaration.size,
        "split_seed": declaration.split_seed,
        "datasets": [
            {
                "name": entry.name,
                "tasks": entry.tasks,
                "splits": declaration.rule(entry),
                "fingerprints": dataset.fingerprints,
            }
            for entry, dataset in zip(entries, datasets, strict=True)
        ],
        **{key: getattr(options, key) for key in ("train_per_class", "test_per_class", "evaluate_on", "split")},
        "val_fraction": float(options.val_fraction),
        "val_seed": data_seed if options.val_fraction else None,
    }
