"""Class-incremental streams: every class of a dataset appears in exactly one experience.

With `shots`, each class after the first task has only a few training images. `ClassIncremental` is the base class of
families that build such streams.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, TypeVar

import numpy as np

from cl.data.split import split_rows
from cl.data.store import Dataset, IndexArray, Progress
from cl.errors import DataError, UsageError, counted
from cl.family import Family
from cl.options import listed, option, options_of
from cl.protocol import FEW_SHOT
from cl.settings.orders import MAX_SEED, RULES, class_order
from cl.stream import Evaluate, Event, Experience, Group, Stream, Train

log = logging.getLogger("clbench.data")

VAL_SHARE = 0.2
"""Default share of a class's training images held out for `split=val`."""


@dataclass(frozen=True)
class IncrementalOptions:
    """Options of all class-incremental families."""

    tasks: int | None = option(None, "number of tasks, with sizes that differ by at most 1; or set `increment`", ge=1)
    base: int = option(
        0, "classes in the first task (B of BxIncy); 0: as in other tasks, or 60 % of all classes with shots", ge=0
    )
    increment: int | None = option(None, "classes per task (y of BxIncy); the last task takes the remainder", ge=1)
    order: str = option("pycil", "rule of the class order, named after the code that uses it", choices=tuple(RULES))
    order_seed: int | None = option(None, "seed of the class order; none: the run's order seed", ge=0, le=MAX_SEED)
    train_per_class: int | float | None = option(
        None, "training images per class: a maximum number (1, 20), or a fraction of them (0.1, 1.0)", gt=0
    )
    test_per_class: int | float | None = option(
        None, "test images per class: a maximum number (1, 20), or a fraction of them (0.1, 1.0)", gt=0
    )
    val_fraction: float = option(0.0, "share of the training images held out for validation", ge=0, lt=1)
    evaluate_on: str = option(
        "seen",
        "evaluate the classes seen so far, or all classes, also before the first task (forward transfer)",
        choices=("seen", "all"),
    )
    shots: int | None = option(
        None,
        "few-shot: training images per class after the first task, drawn by the data seed; the first task keeps all",
        ge=1,
        unlisted=True,
    )
    split: str = option(
        "test",
        "the images to evaluate: test, or held-out training images (val; a fifth if val_fraction is 0)",
        choices=("test", "val"),
        unlisted=True,
    )

    @property
    def evaluated(self) -> str:
        """The evaluated split, "test" or "val"; families with another meaning of `split` override it."""
        return "val" if self.split == "val" else "test"


Options = TypeVar("Options", bound=IncrementalOptions)


def with_defaults(options: Options, n_classes: int, **usual: int) -> Options:
    """Fill in task sizes: `usual`, such as `increment=10`, if neither tasks nor increment is given.

    With `shots`, the first task has 60 % of the classes, and eight more tasks follow: 60 + 8 x 5 for 100 classes, as in
    Tao et al. 2020 (TOPIC). Without `shots` there are fewer tasks if one of them would have a single class, from which
    many methods learn nothing.
    """
    chosen: dict[str, Any] = {}
    if options.shots is not None and not options.base:
        chosen["base"] = max(1, round(0.6 * n_classes))
    if options.tasks is None and options.increment is None:
        base = chosen.get("base", options.base)
        rest = n_classes - base
        few = {"increment": max(1, -(-rest // 8))}
        chosen |= _without_single_classes(usual, base, rest) if options.shots is None else few
    return replace(options, **chosen)


def _without_single_classes(sizes: Mapping[str, int], base: int, rest: int) -> Mapping[str, int]:
    """Default task sizes, with fewer tasks if one of them would have a single class of the `rest` after `base`.

    Sizes of one class each are what a family asks for.
    """
    increment, most = sizes.get("increment"), rest // 2
    if increment is not None and increment > 1 and rest % increment == 1:
        most = rest // increment
    elif increment is not None or sizes.get("tasks", 0) - bool(base) <= most:
        return sizes
    return {"tasks": most + bool(base)} if most else sizes


class ClassIncremental(Family):
    """Base of class-incremental families: a subclass defines `name`, `n_classes`, `usual` and `read`.

    `usual` are default task sizes, such as `{"increment": 10}`. A family whose number of classes depends on its
    argument overrides `prepared`.
    """

    Options: ClassVar[type[IncrementalOptions]] = IncrementalOptions
    n_classes: ClassVar[int]
    usual: ClassVar[Mapping[str, int]] = {}

    def read(self, options: Any, argument: str, progress: Progress | None) -> Dataset:
        """Read the images; raises `DataError` if they are missing or damaged."""
        raise NotImplementedError(f"{type(self).__name__} does not say how its images are read; add `read`.")

    def prepared(self, options: Any, argument: str) -> Any:
        """Fill in task sizes and check the options before anything is read; raises `UsageError`."""
        options = with_defaults(options, self.n_classes, **self.usual)
        check_options(options, self.n_classes)
        return options

    def title(self, argument: str) -> str:
        """The name of the stream in records."""
        return self.name

    family: ClassVar[str] = ""
    """The name in the identity of the streams, if it is not their title."""

    def extra(self, options: Any, argument: str) -> dict[str, Any]:
        """Values added to the options in the stream's identity; called after `read`."""
        return {}

    def listed_rows(self, dataset: Dataset, options: Any) -> Mapping[int, IndexArray] | None:
        """Few-shot: the training rows of each class after the first task, by label; None: `shots` drawn ones."""
        return None

    def build(
        self, options: Any, *, order_seed: int, data_seed: int, argument: str = "", progress: Progress | None = None
    ) -> Stream:
        """Build the stream; raises `UsageError` for options that do not fit, `DataError` if data is missing or
        wrong."""
        options = self.prepared(options, argument)
        dataset = self.read(options, argument, progress)
        return class_incremental(
            dataset, options, name=self.title(argument), version=self.version, order_seed=order_seed,
            data_seed=data_seed, extra=self.extra(options, argument), family=self.family,
            listed_rows=self.listed_rows(dataset, options),
        )  # fmt: skip


def class_incremental(
    dataset: Dataset,
    options: IncrementalOptions,
    *,
    name: str,
    version: str,
    order_seed: int,
    data_seed: int,
    extra: dict[str, Any] | None = None,
    family: str = "",
    listed_rows: Mapping[int, IndexArray] | None = None,
) -> Stream:
    """Build a class-incremental stream; `extra` is added to the options in the identity, `family` is its name there.

    `listed_rows` are the training rows of the few-shot classes by label, if a list and not the data seed chooses them.

    With `options.evaluated` "val", the events evaluate held-out training images. With `shots`, only classes of the
    first task have such images; a class with a single image has none. Raises `UsageError` for options that do not fit
    the dataset, `DataError` for a class without images.
    """
    n_classes = len(dataset.class_names)
    check_options(options, n_classes)
    if options.evaluated == "val" and not options.val_fraction:
        options = replace(options, val_fraction=VAL_SHARE)
    sizes = task_sizes(n_classes, options)
    order = class_order(options.order, n_classes, order_seed if options.order_seed is None else options.order_seed)
    train = _rows_by_class(dataset, "train", options.train_per_class)
    test = _rows_by_class(dataset, "test", options.test_per_class)
    val = [np.empty(0, np.int64)] * n_classes
    if options.val_fraction:
        for label, rows in enumerate(train):
            val[label], train[label] = split_rows(rows, options.val_fraction, data_seed, "val", label)
    if options.evaluated == "val":
        _check_validation(name, val, order if options.shots is None else order[: sizes[0]])
    if options.shots is not None:
        for label in order[sizes[0] :].tolist():
            held = np.sort(np.concatenate([train[label], val[label]]))  # a few-shot class has no validation images
            few = few_rows(held, options.shots, data_seed, label) if listed_rows is None else listed_rows[label]
            train[label], val[label] = few, val[label][:0]
            if len(train[label]) < options.shots and options.train_per_class is None:
                raise DataError(
                    f"Class {dataset.class_names[label]!r} of {dataset.name} has {counted(len(held), 'training image')}"
                    f", fewer than shots={options.shots}; choose fewer shots."
                )

    experiences: list[Experience] = []
    groups: list[Group] = []
    bounds = np.cumsum([0, *sizes]).tolist()
    for task, (start, stop) in enumerate(pairwise(bounds)):
        labels, positions = order[start:stop], tuple(range(start, stop))
        held_out = _join(val, labels)
        experiences.append(Experience(train=_join(train, labels), val=held_out, classes=positions))
        splits = {"test": _join(test, labels)} | ({"val": held_out} if options.val_fraction else {})
        groups.append(Group(name=f"task{task}", classes=positions, rows=splits, task=task))

    return Stream(
        name=name,
        version=version,
        setting="class-incremental" if options.shots is None else FEW_SHOT,
        options=listed(options),
        dataset=dataset,
        class_order=order,
        experiences=tuple(experiences),
        groups=tuple(groups),
        events=_events(len(sizes), options.evaluate_on, options.evaluated),
        comparable=_comparable(options, sizes, data_seed) | (extra or {}),
        family=family,
    )


def few_rows(rows: IndexArray, shots: int, seed: int, label: int) -> IndexArray:
    """The training images of one class in a few-shot stream, ascending; fewer shots are a subset of more shots."""
    from cl.random import numpy_generator

    return np.sort(numpy_generator(seed, "shots", label).permutation(rows)[:shots])


def task_sizes(n_classes: int, options: IncrementalOptions) -> list[int]:
    """Classes per task; a single task (after `base`) if neither `tasks` nor `increment` is given.

    Raises `UsageError` if tasks, base and increment do not fit `n_classes`.
    """
    tasks, base, increment = options.tasks, options.base, options.increment
    if tasks is not None and increment is not None:
        raise UsageError("Give either tasks or increment, not both.")
    if not 0 <= base <= n_classes:
        raise UsageError(f"base={base} must be in 0..{n_classes}, the number of classes.")
    rest, first = n_classes - base, [base] if base else []
    if tasks is not None:
        least, most = len(first) + (rest > 0), len(first) + rest
        if not least <= tasks <= most:
            raise UsageError(
                f"tasks={tasks} does not fit {n_classes} classes with base={base}; choose {least}..{most}."
            )
        parts = tasks - len(first)
        quotient, larger = divmod(rest, parts) if parts else (0, 0)
        return first + [quotient + (part < larger) for part in range(parts)]
    step = increment if increment is not None else max(rest, 1)
    if step < 1:
        raise UsageError(f"increment={step} must be at least 1.")
    if step > n_classes:
        raise UsageError(f"increment={step} is more than the {n_classes} classes; choose 1..{n_classes}.")
    return first + [min(step, rest - done) for done in range(0, rest, step)]


def check_options(options: IncrementalOptions, n_classes: int) -> None:
    """Raise `UsageError` for invalid options; families call it before they read or download anything."""
    sizes = task_sizes(n_classes, options)
    if options.shots is not None and len(sizes) < 2:
        raise UsageError(
            f"shots={options.shots} needs classes after the first task; choose a base below the {n_classes} classes."
        )
    class_order(options.order, n_classes, options.order_seed or 0)
    splits = options_of(type(options))["split"].constraints.get("choices", (options.split,))
    if options.split not in splits:
        raise UsageError(f"split={options.split!r} must be one of {', '.join(splits)}.")
    if options.evaluate_on not in ("seen", "all"):
        raise UsageError(f"evaluate_on={options.evaluate_on!r} must be 'seen' or 'all'.")
    if not 0 <= options.val_fraction < 1:
        raise UsageError(f"val_fraction={options.val_fraction} must be at least 0 and below 1.")
    for key in ("train_per_class", "test_per_class"):
        value = getattr(options, key)
        if value is None:
            continue
        if isinstance(value, bool) or value <= 0 or (isinstance(value, float) and not value <= 1):
            raise UsageError(f"{key}={value} must be a whole number from 1, or a fraction above 0 and up to 1.0.")


def _rows_by_class(dataset: Dataset, split: str, limit: int | float | None) -> list[IndexArray]:
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


def _check_validation(name: str, val: Sequence[IndexArray], labels: IndexArray) -> None:
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


def _join(by_class: list[IndexArray], labels: IndexArray) -> IndexArray:
    return np.sort(np.concatenate([by_class[label] for label in labels]))


def _events(n_tasks: int, evaluate_on: str, split: str) -> tuple[Event, ...]:
    every = tuple(range(n_tasks))
    events: list[Event] = [Evaluate(every, split)] if evaluate_on == "all" else []
    for task in range(n_tasks):
        events += [Train(task), Evaluate(every if evaluate_on == "all" else every[: task + 1], split)]
    return tuple(events)


def _comparable(options: IncrementalOptions, sizes: list[int], data_seed: int) -> dict[str, Any]:
    """Options that change the numbers, in a normal form: the class order and the sizes replace the options for
    tasks."""
    few = {} if options.shots is None else {"shots": options.shots, "shots_seed": data_seed}
    held_out = {} if options.evaluated == "test" else {"evaluated": options.evaluated}
    return {
        **few,
        **held_out,
        "classes_per_task": sizes,
        "train_per_class": options.train_per_class,
        "test_per_class": options.test_per_class,
        "val_fraction": float(options.val_fraction),
        "val_seed": data_seed if options.val_fraction else None,
        "evaluate_on": options.evaluate_on,
    }
