"""The accuracy matrix: counts of correct answers after each step, read from a record.

Rows are steps (the last evaluation after each task), columns are groups of test images.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cl.protocol import ANYTIME, belongs
from cl.records.class_table import class_values, has_classes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ALWAYS = -1
"""`AccuracyMatrix.learned` of a group that no step completes: it counts in averages, not in forgetting."""


def _frozen(values: Any, dtype: type) -> Any:
    return _locked(np.array(values, dtype=dtype))


def _locked(array: Any) -> Any:
    """The array, read-only."""
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class AccuracyMatrix:
    """Correct answers after each step (rows) on each group of test images (columns).

    correct: float64 [T, G], NaN for groups that were not evaluated; count: int64 [G] test images; learned: int64 [G],
    the row (from 0) after which all classes of the group were learned, T if that has not happened, `ALWAYS` if there
    is no such row; sizes: int64 [G], classes of the group (only F_global_rf uses them). `mean_precision`, float64
    [T, G] or None: the mean average precision of groups whose images may have several classes, NaN for the others; such
    a group has no correct answers. Build it with `of`. All arrays are read-only: what is computed of them is kept,
    because most metrics need the same few quantities.
    """

    correct: Floats
    count: Ints
    learned: Ints
    sizes: Ints
    mean_precision: Floats | None = None
    kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    """What formulas have computed of the matrix, by formula (`cl.records.formulas.once`)."""

    @classmethod
    def of(
        cls,
        correct: Sequence[Sequence[int | None]] | NDArray[Any],
        count: Sequence[int] | NDArray[Any],
        learned: Sequence[int] | NDArray[Any] | None = None,
        sizes: Sequence[int] | NDArray[Any] | None = None,
        mean_precision: Sequence[Sequence[float | None]] | NDArray[Any] | None = None,
    ) -> AccuracyMatrix:
        """Build from rows of counts, None for entries not measured; by default group i is learned at row i.

        Raises `ValueError` if the shapes disagree.
        """
        groups = len(count)
        table = isinstance(correct, np.ndarray) and correct.ndim == 2
        rows = correct if table else list(correct)  # a table is copied at once
        ranked = None
        if mean_precision is not None:
            told = list(mean_precision)
            if [len(row) for row in told] != [groups] * len(rows):
                raise ValueError(f"mean_precision needs {len(rows)} rows of {groups} entries, as correct")
            ranked = _frozen(told, np.float64).reshape(len(rows), groups)
        if rows.shape[1] != groups if isinstance(rows, np.ndarray) else any(len(row) != groups for row in rows):
            raise ValueError(f"every row of correct needs {groups} entries, one per group of count")
        learned = range(groups) if learned is None else learned
        sizes = [1] * groups if sizes is None else sizes
        if len(learned) != groups or len(sizes) != groups:
            raise ValueError(f"learned and sizes need {groups} entries, one per group of count")
        shaped = _frozen(rows, np.float64).reshape(len(rows), groups)  # None becomes NaN
        counted, steps, numbers = (_frozen(values, np.int64) for values in (count, learned, sizes))
        return cls(shaped, counted, steps, numbers, ranked)

    def changed(self, correct: Floats) -> AccuracyMatrix:
        """The same matrix with other counts [T, G]."""
        return AccuracyMatrix(correct, self.count, self.learned, self.sizes, self.mean_precision)

    def until(self, rows: int) -> AccuracyMatrix:
        """The first rows: the matrix as if the run had ended there."""
        ranked = None if self.mean_precision is None else self.mean_precision[:rows]
        return AccuracyMatrix(self.correct[:rows], self.count, self.learned, self.sizes, ranked)

    @property
    def steps(self) -> int:
        """T, the number of rows."""
        return len(self.correct)

    @cached_property
    def accuracy(self) -> Floats:
        """R as fractions, [T, G]; NaN for groups that were not evaluated or have no images.

        It is the mean average precision of groups whose images may have several classes.
        """
        count = np.where(self.count > 0, self.count.astype(np.float64), np.nan)
        counted: Floats = self.correct / count
        if self.mean_precision is not None:
            counted = np.where(np.isnan(counted), self.mean_precision, counted)
        return _locked(counted)

    @cached_property
    def old(self) -> NDArray[np.bool_]:
        """Groups learned before the last step, bool [G]: "i < T" in papers."""
        return _locked((self.learned >= 0) & (self.learned < self.steps - 1))

    def evaluated(self) -> NDArray[np.bool_]:
        """Entries that count in the accuracy at a step, bool [T, G]: learned by then, and evaluated then."""
        return self._evaluated

    def answered(self) -> NDArray[np.bool_]:
        """The entries of `evaluated` that are counts of correct answers, bool [T, G]."""
        return self._answered

    def own(self) -> tuple[Ints, Floats]:
        """Groups with a step of their own, and R[step(i), i] of each."""
        return self._own

    @cached_property
    def _evaluated(self) -> NDArray[np.bool_]:
        return _locked((self.learned[None, :] <= np.arange(self.steps)[:, None]) & ~np.isnan(self.accuracy))

    @cached_property
    def _answered(self) -> NDArray[np.bool_]:
        return _locked(self._evaluated & ~np.isnan(self.correct))

    @cached_property
    def _own(self) -> tuple[Ints, Floats]:
        groups = np.flatnonzero((self.learned >= 0) & (self.learned < self.steps))
        return _locked(groups), _locked(self.accuracy[self.learned[groups], groups])


@dataclass(frozen=True, eq=False)
class Offline:
    """Accuracy of a jointly trained model: on the classes of the first task, and on all classes seen at each step [T].

    The same number for all steps if it was trained only once.
    """

    base: float
    seen: Floats


def _own_task(group: Mapping[str, Any], index: int, one_to_one: bool) -> int | None:
    task = group.get("task")
    return (index if one_to_one else None) if task is None else int(task)


def _split_rows(result: Mapping[str, Any], split: str) -> dict[int, int]:
    """Last row of the record after each task, by task; -1 means "before any training"."""
    rows = [(index, row) for index, row in enumerate(result["rows"]) if row["split"] == split]
    return {-1 if row["task"] is None else row["task"]: index for index, row in rows}


def main_split(result: Mapping[str, Any]) -> str:
    """The split whose numbers count: test, unless only another split was evaluated (such as dev_test during
    development)."""
    splits = [row["split"] for row in result["rows"]]
    return splits[0] if splits and "test" not in splits else "test"


def steps_of(result: Mapping[str, Any], split: str | None = None) -> list[int]:
    """Tasks after which `split` (default: the main one) was evaluated, ascending from 0: the rows of `matrix_of`."""
    return sorted(task for task in _split_rows(result, split or main_split(result)) if task >= 0)


def rows_of(result: Mapping[str, Any], split: str = "test") -> list[int]:
    """Indices of the record's rows, one per step: the rows of `matrix_of`."""
    rows = _split_rows(result, split)
    return [rows[task] for task in steps_of(result, split)]


class Matrices:
    """The matrices of a result on one split (default: the main one), each built once.

    Rules share the steps, the groups and the order of the classes. The result must not change while this is in use.
    """

    def __init__(self, result: Mapping[str, Any], split: str | None = None) -> None:
        self.result, self.split = result, split or main_split(result)
        rows = _split_rows(result, self.split)
        self.steps = sorted(task for task in rows if task >= 0)
        self.rows = [rows[task] for task in self.steps]
        groups = result["stream"]["groups"]
        one_to_one = len(groups) == result["stream"]["n_tasks"]
        self._tasks = [_own_task(group, index, one_to_one) for index, group in enumerate(groups)]
        self._built: dict[str, AccuracyMatrix] = {}

    def of(self, rule: str) -> AccuracyMatrix:
        """See `matrix_of`."""
        if rule not in self._built:
            correct = self.result["accuracy"][rule]["correct"]
            ranked = self.result.get("mean_precision", {}).get(rule)
            told = None if ranked is None else [ranked[row] for row in self.rows]
            self._built[rule] = AccuracyMatrix.of([correct[row] for row in self.rows], *self._groups, told)
        return self._built[rule]

    @cached_property
    def _groups(self) -> tuple[Ints, Ints, Ints]:
        """Images, step and number of classes of each group."""
        count = counts_of(self.result, self.split)
        # A group learned between two evaluations belongs to the next evaluation. A group without images of the
        # split (few-shot classes have no validation images) belongs to no step, so it enters no metric.
        learned = [
            ALWAYS if task is None or not images else bisect_left(self.steps, task)
            for task, images in zip(self._tasks, count, strict=True)
        ]
        sizes = [len(group["classes"]) for group in self.result["stream"]["groups"]]
        return _frozen(count, np.int64), _frozen(learned, np.int64), _frozen(sizes, np.int64)

    def continual(self, rule: str) -> AccuracyMatrix | None:
        """See `continual_of`."""
        return self.of(rule) if self._has_rows_between else None

    @cached_property
    def _has_rows_between(self) -> bool:
        tasks = _tasks_of_groups(self.result)
        return any(not _ends_a_task(row, tasks) for row in self.result["rows"] if row["split"] == self.split)

    def classes(self, rule: str) -> AccuracyMatrix | None:
        """See `classes_of`."""
        if not has_classes(self.result["accuracy"][rule]) or self._counted is None:
            return None
        ends, learned, members, unseen = self._classes
        values = class_values(self.result, rule, [self.rows[end] for end in ends]).reshape(unseen.shape)
        missing = np.isnan(self.of(rule).correct[ends]).astype(np.float32)
        values[unseen | (missing @ members > 0)] = np.nan
        return AccuracyMatrix.of(values, self._counted, learned)

    @cached_property
    def _counted(self) -> list[int] | None:
        return class_counts_of(self.result, self.split)

    @cached_property
    def _classes(self) -> tuple[list[int], Ints, NDArray[np.float32], NDArray[np.bool_]]:
        """The steps that end tasks [T]; the first of them after which each class was learned [C]; the classes of groups
        with images [G, C], 1 or 0; and the entries of classes not seen yet [T, C]."""
        rows, groups, number = self.result["rows"], self.result["stream"]["groups"], len(self._counted or ())
        tasks = _tasks_of_groups(self.result)
        ends = [step for step, row in enumerate(self.rows) if _ends_a_task(rows[row], tasks)]
        ends = ends or list(range(len(self.rows)))
        ended = [self.steps[end] for end in ends]
        sizes = [len(group["classes"]) for group in groups]
        classes = np.fromiter(chain.from_iterable(group["classes"] for group in groups), np.int64)
        first = [0 if task is None else bisect_left(ended, task) for task in self._tasks]
        learned = np.full(number, len(ends))
        np.minimum.at(learned, classes, np.repeat(np.array(first, dtype=np.int64), sizes))
        members = np.zeros((len(groups), number), dtype=np.float32)
        members[np.repeat(np.arange(len(groups)), sizes), classes] = 1
        members[np.array(counts_of(self.result, self.split)) == 0] = 0
        seen = np.array(self._seen([rows[self.rows[end]] for end in ends], number), dtype=np.int64)
        return ends, learned, members, np.arange(number)[None, :] >= seen[:, None]

    def _seen(self, rows: Sequence[Mapping[str, Any]], classes: int) -> list[int]:
        """Number of the `classes` that were seen at each row; all of them if the record does not say so."""
        stream = self.result["stream"]
        anytime = belongs(ANYTIME, stream.get("setting", ""))
        last = [max(group["classes"], default=-1) + 1 for group in stream["groups"]]
        owned = sorted((-1 if own is None else own, most) for own, most in zip(self._tasks, last, strict=True))
        tasks = [own for own, _ in owned]
        most = [0, *accumulate((most for _, most in owned), max)]
        return [
            int(row.get("seen", classes)) if "seen" in row or anytime else most[bisect_right(tasks, row["task"])]
            for row in rows
        ]


def matrix_of(result: Mapping[str, Any], rule: str, split: str | None = None) -> AccuracyMatrix:
    """The accuracy matrix of a record's result: the last evaluation after each task, on one split (default: the main
    one).

    Group i belongs to the step of `stream.groups[i].task`; if that is absent or null, to task i if there are as many
    groups as tasks, else to no step. Raises `KeyError` for a rule that the result does not have.
    """
    return Matrices(result, split).of(rule)


def counts_of(result: Mapping[str, Any], split: str = "test") -> list[int]:
    """Images per group: `count` for the test split, `split_count[split]` for another."""
    return result["count"] if split == "test" else result["split_count"][split]


def class_counts_of(result: Mapping[str, Any], split: str = "test") -> list[int] | None:
    """Images per class position of a split; None for an old record that does not hold them."""
    if split == "test":
        return list(result["class_count"])
    found: list[int] | None = result.get("split_class_count", {}).get(split)
    return found


def baseline_of(result: Mapping[str, Any], rule: str, split: str | None = None) -> Floats | None:
    """Accuracy per group before any training (a row whose task is null or -1), [G]; None without such a row."""
    split = split or main_split(result)
    row = _split_rows(result, split).get(-1)
    if row is None:
        return None
    correct, ranked = result["accuracy"][rule]["correct"][row], result.get("mean_precision", {}).get(rule)
    told = None if ranked is None else [ranked[row]]
    return AccuracyMatrix.of([correct], counts_of(result, split), mean_precision=told).accuracy[0]


def anytime_of(result: Mapping[str, Any], rule: str, split: str | None = None) -> Floats | None:
    """Accuracy over the test images of the classes seen so far, at each periodic evaluation [E].

    None without periodic evaluations (see `is_periodic`), if the rows do not hold the number of classes seen, or if the
    record does not hold the images per class of `split`.
    """
    split = split or main_split(result)
    numbered = enumerate(result["rows"])
    rows = [(index, row["seen"]) for index, row in numbered if row["split"] == split and row.get("seen")]
    rows = [(index, seen) for index, seen in rows if is_periodic(result, result["rows"][index])]
    if not rows or (counted := class_counts_of(result, split)) is None:
        return None
    total, found = np.asarray(counted), []
    for index, seen in rows:
        correct = class_values(result, rule, [index])[0, :seen]
        correct = correct[total[:seen] > 0]  # classes without images have no count
        found.append(correct.sum() / total[:seen].sum() if len(correct) else np.nan)  # NaN: nothing to predict with
    return np.array(found)


def is_periodic(result: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether an evaluation was due because `evaluate_every` training images had arrived.

    Records of earlier versions do not say so: an evaluation between the ends of tasks is periodic, one at the end of a
    task is not, although its number of images may be a multiple of the period.
    """
    return bool(row["periodic"]) if "periodic" in row else not _ends_a_task(row, _tasks_of_groups(result))


def _tasks_of_groups(result: Mapping[str, Any]) -> set[int | None]:
    return {group.get("task") for group in result["stream"]["groups"]}


def _ends_a_task(row: Mapping[str, Any], tasks: set[int | None]) -> bool:
    """Whether a row is an evaluation at the end of a task, given the tasks of the groups, or before any training."""
    return row["task"] is None or row["task"] < 0 or row["task"] in tasks


def continual_of(result: Mapping[str, Any], rule: str) -> AccuracyMatrix | None:
    """The matrix of all evaluations; None if there is none between the ends of tasks."""
    return Matrices(result).continual(rule)


def classes_of(result: Mapping[str, Any], rule: str) -> AccuracyMatrix | None:
    """The matrix whose groups are the classes by position, at the ends of tasks; None if the record lacks the counts.

    An entry is NaN unless the class was seen by then and all groups that hold it were evaluated: in domain-incremental
    streams each group holds every class, and the count of a class is that of all groups. Classes that were not seen
    have answers too if `evaluate_on` is all, from heads before their first training.
    """
    return Matrices(result).classes(rule)
