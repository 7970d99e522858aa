"""Class-incremental streams: every class of a dataset appears in exactly one experience.

With `shots`, each class after the first task has only a few training images. `ClassIncremental` is the base class of
families that build such streams.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

import numpy as np

from cl.data.split import split_rows
from cl.data.store import Dataset, IndexArray, Progress
from cl.errors import DataError, UsageError, counted
from cl.family import Family
from cl.options import listed, option, options_of
from cl.protocol import CLASS, FEW_SHOT, RETURNING
from cl.settings.class_lists import classes_return, labels_by_task, labels_in_order, names_by_task
from cl.settings.dealing import check_validation, events_of, join, rows_by_class, shares
from cl.settings.orders import MAX_SEED, RULES, class_order
from cl.stream import Experience, Group, Stream

PATHS = ("classes_file", "tasks_file", "labels")
"""Options that are paths of this machine; class order, tasks and fingerprints of the stream say what the files hold."""

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
    sizes: tuple[int, ...] = option(
        (), "classes of each task, such as 5,2,1; instead of tasks, base and increment", ge=1, unlisted=True
    )
    classes_file: str = option(
        "", "a text file with the classes in the order of learning, one name per line; instead of order", unlisted=True
    )
    tasks_file: str = option(
        "",
        'a JSON file with the classes of each task, such as [["cat", "dog"], ["cat", "owl"]]; a class in several tasks '
        "returns: its training images are divided among them by the data seed",
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
    if options.sizes or options.tasks_file:
        return options
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

    @classmethod
    def setting_of(cls, options: Any, argument: str = "") -> str:
        """As `Family.setting_of`; with a `tasks_file` also whether classes return, for which the file is read."""
        setting = super().setting_of(options, argument)
        tasks_file = getattr(options, "tasks_file", "")
        return f"{RETURNING} {setting}" if tasks_file and classes_return(tasks_file) else setting

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
    if options.tasks_file:
        tasks = [np.array(each) for each in labels_by_task(options.tasks_file, dataset.class_names, dataset.name)]
    else:
        if options.classes_file:
            order = np.array(labels_in_order(options.classes_file, dataset.class_names, dataset.name), np.int64)
        else:
            seed = order_seed if options.order_seed is None else options.order_seed
            order = class_order(options.order, n_classes, seed)
        tasks = np.split(order, np.cumsum(task_sizes(n_classes, options))[:-1])
    order = np.array(list(dict.fromkeys(np.concatenate(tasks).tolist())), np.int64)
    train = rows_by_class(dataset, "train", options.train_per_class)
    test = rows_by_class(dataset, "test", options.test_per_class)
    val = [np.empty(0, np.int64)] * n_classes
    if options.val_fraction:
        for label, rows in enumerate(train):
            val[label], train[label] = split_rows(rows, options.val_fraction, data_seed, "val", label)
    if options.evaluated == "val":
        check_validation(name, val, order if options.shots is None else tasks[0])
    if options.shots is not None:
        for label in order[len(tasks[0]) :].tolist():
            held = np.sort(np.concatenate([train[label], val[label]]))  # a few-shot class has no validation images
            few = few_rows(held, options.shots, data_seed, label) if listed_rows is None else listed_rows[label]
            train[label], val[label] = few, val[label][:0]
            if len(train[label]) < options.shots and options.train_per_class is None:
                raise DataError(
                    f"Class {dataset.class_names[label]!r} of {dataset.name} has {counted(len(held), 'training image')}"
                    f", fewer than shots={options.shots}; choose fewer shots."
                )

    place = {label: position for position, label in enumerate(order.tolist())}
    returning = sum(map(len, tasks)) > len(order)
    learned, held_out = (
        shares(rows, tasks, data_seed, what, dataset.class_names) for rows, what in ((train, "train"), (val, "val"))
    )
    experiences: list[Experience] = []
    groups: list[Group] = []
    seen = 0
    for task, labels in enumerate(tasks):
        positions = tuple(sorted(place[label] for label in labels.tolist()))
        experiences.append(Experience(train=join(learned[task]), val=join(held_out[task]), classes=positions))
        new = order[seen : max(seen, positions[-1] + 1)]
        if len(new):  # classes that return have their test images in the group of their first task
            splits = {"test": join([test[label] for label in new])}
            splits |= {"val": join([val[label] for label in new])} if options.val_fraction else {}
            groups.append(Group(f"task{task}", tuple(range(seen, seen + len(new))), splits, task))
        seen += len(new)

    return Stream(
        name=name,
        version=version,
        setting=f"{RETURNING} {CLASS}" if returning else CLASS if options.shots is None else FEW_SHOT,
        options={key: value for key, value in listed(options).items() if key not in PATHS},
        dataset=dataset,
        class_order=order,
        experiences=tuple(experiences),
        groups=tuple(groups),
        events=events_of(len(tasks), groups, options.evaluate_on, options.evaluated),
        comparable=_comparable(options, list(map(len, tasks)), data_seed)
        | ({"tasks": [list(each.classes) for each in experiences], "deal_seed": data_seed} if returning else {})
        | (extra or {}),
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
    if options.sizes:
        if tasks is not None or increment is not None or base:
            raise UsageError("sizes gives the classes of each task; leave tasks, base and increment out.")
        if sum(options.sizes) != n_classes or min(options.sizes) < 1:
            shown = ",".join(map(str, options.sizes))
            raise UsageError(
                f"sizes={shown} has {counted(sum(options.sizes), 'class')}, and there are {n_classes}; let the sizes "
                f"add up to {n_classes}."
            )
        return list(options.sizes)
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
    _check_files(options)
    sizes = [n_classes] if options.tasks_file else task_sizes(n_classes, options)
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


def _check_files(options: IncrementalOptions) -> None:
    """Raise `UsageError` if a file gives what another option gives too."""
    ordered = options.order != IncrementalOptions.order or options.order_seed is not None
    if options.tasks_file:
        if options.tasks is not None or options.increment is not None or options.base or options.sizes:
            raise UsageError("tasks_file gives the classes of each task; leave tasks, base, increment and sizes out.")
        if options.shots is not None:
            raise UsageError("shots keeps few images of classes that come once; leave either tasks_file or shots out.")
        names_by_task(options.tasks_file)
    for key in ("classes_file", "tasks_file"):
        if getattr(options, key) and ordered:
            raise UsageError(f"{key} gives the order of the classes; leave order and order_seed out.")
    if options.classes_file and options.tasks_file:
        raise UsageError("Give either classes_file or tasks_file, not both.")


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
