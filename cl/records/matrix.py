"""The accuracy matrix: counts of correct answers after each step, read from a record.

Rows are steps (the last evaluation after each task), columns are groups of test images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
    array: NDArray[Any] = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class AccuracyMatrix:
    """Correct answers after each step (rows) on each group of test images (columns).

    correct: float64 [T, G], NaN for groups that were not evaluated; count: int64 [G] test images; learned: int64 [G],
    the row (from 0) after which all classes of the group were learned, T if that has not happened, `ALWAYS` if there
    is no such row; sizes: int64 [G], classes of the group (only F_global_rf uses them). `mean_precision`, float64
    [T, G] or None: the mean average precision of groups whose images may have several classes, NaN for the others; such
    a group has no correct answers. Build it with `of`.
    """

    correct: Floats
    count: Ints
    learned: Ints
    sizes: Ints
    mean_precision: Floats | None = None

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
        if isinstance(correct, np.ndarray) and correct.dtype == np.float64:  # numbers already: nothing to convert
            rows = list(correct)
        else:
            rows = [[np.nan if value is None else float(value) for value in row] for row in correct]
        ranked = None
        if mean_precision is not None:
            told = [[np.nan if value is None else float(value) for value in row] for row in mean_precision]
            if [len(row) for row in told] != [groups] * len(rows):
                raise ValueError(f"mean_precision needs {len(rows)} rows of {groups} entries, as correct")
            ranked = _frozen(np.array(told, dtype=np.float64).reshape(len(rows), groups), np.float64)
        if any(len(row) != groups for row in rows):
            raise ValueError(f"every row of correct needs {groups} entries, one per group of count")
        learned = range(groups) if learned is None else learned
        sizes = [1] * groups if sizes is None else sizes
        if len(learned) != groups or len(sizes) != groups:
            raise ValueError(f"learned and sizes need {groups} entries, one per group of count")
        shaped = np.array(rows, dtype=np.float64).reshape(len(rows), groups)
        counted, steps, numbers = (_frozen(values, np.int64) for values in (count, learned, sizes))
        return cls(_frozen(shaped, np.float64), counted, steps, numbers, ranked)

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

    @property
    def accuracy(self) -> Floats:
        """R as fractions, [T, G]; NaN for groups that were not evaluated or have no images.

        It is the mean average precision of groups whose images may have several classes.
        """
        count = np.where(self.count > 0, self.count.astype(np.float64), np.nan)
        counted: Floats = self.correct / count
        return counted if self.mean_precision is None else np.where(np.isnan(counted), self.mean_precision, counted)

    @property
    def old(self) -> NDArray[np.bool_]:
        """Groups learned before the last step, bool [G]: "i < T" in papers."""
        return (self.learned >= 0) & (self.learned < self.steps - 1)

    def evaluated(self) -> NDArray[np.bool_]:
        """Entries that count in the accuracy at a step, bool [T, G]: learned by then, and evaluated then."""
        return (self.learned[None, :] <= np.arange(self.steps)[:, None]) & ~np.isnan(self.accuracy)

    def answered(self) -> NDArray[np.bool_]:
        """The entries of `evaluated` that are counts of correct answers, bool [T, G]."""
        return self.evaluated() & ~np.isnan(self.correct)

    def own(self) -> tuple[Ints, Floats]:
        """Groups with a step of their own, and R[step(i), i] of each."""
        groups = np.flatnonzero((self.learned >= 0) & (self.learned < self.steps))
        return groups, self.accuracy[self.learned[groups], groups]


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


def matrix_of(result: Mapping[str, Any], rule: str, split: str | None = None) -> AccuracyMatrix:
    """The accuracy matrix of a record's result: the last evaluation after each task, on one split (default: the main
    one).

    Group i belongs to the step of `stream.groups[i].task`; if that is absent or null, to task i if there are as many
    groups as tasks, else to no step. Raises `KeyError` for a rule that the result does not have.
    """
    split = split or main_split(result)
    correct = result["accuracy"][rule]["correct"]
    rows, steps = rows_of(result, split), steps_of(result, split)
    groups = result["stream"]["groups"]
    one_to_one = len(groups) == result["stream"]["n_tasks"]
    own = [_own_task(group, index, one_to_one) for index, group in enumerate(groups)]
    count = counts_of(result, split)
    # A group learned between two evaluations belongs to the next evaluation. A group without images of the
    # split (few-shot classes have no validation images) belongs to no step, so it enters no metric.
    learned = [
        ALWAYS if task is None or not images else int(np.searchsorted(steps, task))
        for task, images in zip(own, count, strict=True)
    ]
    sizes = [len(group["classes"]) for group in groups]
    ranked = result.get("mean_precision", {}).get(rule)
    return AccuracyMatrix.of(
        [correct[row] for row in rows], count, learned, sizes, None if ranked is None else [ranked[row] for row in rows]
    )


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
    return bool(row["periodic"]) if "periodic" in row else not _ends_a_task(result, row)


def _ends_a_task(result: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return (
        row["task"] is None or row["task"] < 0 or any(g.get("task") == row["task"] for g in result["stream"]["groups"])
    )


def continual_of(result: Mapping[str, Any], rule: str) -> AccuracyMatrix | None:
    """The matrix of all evaluations; None if there is none between the ends of tasks."""
    split = main_split(result)
    between = any(not _ends_a_task(result, row) for row in result["rows"] if row["split"] == split)
    return matrix_of(result, rule) if between else None


def classes_of(result: Mapping[str, Any], rule: str) -> AccuracyMatrix | None:
    """The matrix whose groups are the classes by position, at the ends of tasks; None if the record lacks the counts.

    An entry is NaN unless the class was seen by then and all groups that hold it were evaluated: in domain-incremental
    streams each group holds every class, and the count of a class is that of all groups. Classes that were not seen
    have answers too if `evaluate_on` is all, from heads before their first training.
    """
    split, stream, tables = main_split(result), result["stream"], result["accuracy"][rule]
    if not has_classes(tables) or (counted := class_counts_of(result, split)) is None:
        return None
    rows = [row for row in rows_of(result, split) if _ends_a_task(result, result["rows"][row])] or rows_of(
        result, split
    )
    ends = [result["rows"][row]["task"] for row in rows]
    groups, sizes = stream["groups"], counts_of(result, split)
    learned = np.full(len(counted), len(rows))
    values = class_values(result, rule, rows).reshape(len(rows), len(counted))
    one_to_one = len(groups) == stream["n_tasks"]
    seen = _classes_by_row(result, [result["rows"][row] for row in rows], len(counted))
    for place, number in enumerate(seen):
        values[place, number:] = np.nan
    for index, group in enumerate(groups):
        own, task = list(group["classes"]), _own_task(group, index, one_to_one)
        first = 0 if task is None else int(np.searchsorted(ends, task))
        learned[own] = np.minimum(learned[own], first)
        for place, row in enumerate(rows if sizes[index] else ()):
            if tables["correct"][row][index] is None:
                values[place, own] = np.nan
    return AccuracyMatrix.of(values, counted, learned)


def _classes_by_row(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], classes: int) -> list[int]:
    """Number of the `classes` that were seen at each row; all of them if the record does not say so."""
    stream = result["stream"]
    anytime = belongs(ANYTIME, stream.get("setting", ""))
    one_to_one = len(stream["groups"]) == stream["n_tasks"]
    owned = [
        (_own_task(group, index, one_to_one), max(group["classes"], default=-1) + 1)
        for index, group in enumerate(stream["groups"])
    ]
    return [
        int(row.get("seen", classes))
        if "seen" in row or anytime
        else max((most for own, most in owned if own is None or own <= row["task"]), default=0)
        for row in rows
    ]
