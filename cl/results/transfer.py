"""Forward transfer of learners against independent ones, by task, domain and decade. Pure functions of records.

NEVIS'22 (Bornschein et al., arXiv 2211.11747) asks whether a learner is better or cheaper on a new task because of
earlier ones. Its independent learner uses none of them. The transfer to a task is the independent learner's error on it
minus the learner's, each right after the task was learned, so more is better. The error is 1 - accuracy, or 1 - mAP
where images may have several classes. The paper also shows error and compute relative to a baseline. Its formula was
not available to us; ours divides the mean error over tasks, and the FLOPs, by those of the independent learner.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cl.errors import UsageError
from cl.protocol import default_rule
from cl.records.record import Record
from cl.results.facts import Task, tasks_of
from cl.results.leaderboard.differences import interval_of
from cl.results.leaderboard.entries import Entry, Run, board_key, complete, distinct, entries_of
from cl.results.pareto import error_curve

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

AGAINST = "independent"
"""The learner that every other is compared with."""

BY: dict[str, Callable[[Task], str]] = {
    "task": lambda task: task.name,
    "domain": lambda task: task.domain,
    "decade": lambda task: task.decade,
    "labels": lambda task: task.labels,
    "all": lambda task: "all",
}
"""Ways to group tasks: the name of a task's group, empty if it is not known."""


@dataclass(frozen=True, eq=False)
class Paired:
    """A learner and its reference on the same tasks and seeds.

    Arrays are [seeds, tasks], tasks in the order of learning: errors right after each task was learned, as fractions,
    and the FLOPs of learning each task.
    """

    tasks: tuple[Task, ...]
    keys: tuple[Hashable, ...]
    errors: Floats
    reference_errors: Floats
    flops: Floats
    reference_flops: Floats

    @property
    def transfer(self) -> Floats:
        """The reference's error minus the learner's, [seeds, tasks]."""
        return np.asarray(self.reference_errors - self.errors, dtype=np.float64)

    def groups(self, by: str) -> dict[str, list[int]]:
        """The places of the tasks of each group, groups in the order of their first tasks; see `BY`."""
        found: dict[str, list[int]] = defaultdict(list)
        for place, task in enumerate(self.tasks):
            found[BY[by](task)].append(place)
        return dict(found)

    def over(self, places: Sequence[int]) -> dict[str, Any]:
        """Means over some tasks and all seeds: errors and transfer (fractions) with its 95 % interval, TFLOP, ratios.

        low, high: of the mean over seeds, None with one seed. Ratios to the reference are None if it has no error or
        no FLOPs.
        """
        chosen = list(places)
        own = self.transfer[:, chosen].mean(axis=1)
        interval, _ = interval_of(dict(zip(self.keys, own.tolist(), strict=True)), {})
        low, high = interval or (None, None)
        error, reference = (float(each[:, chosen].mean()) for each in (self.errors, self.reference_errors))
        spent, budget = (float(each[:, chosen].sum(axis=1).mean()) for each in (self.flops, self.reference_flops))
        return {
            "tasks": len(chosen), "error": error, "error_against": reference, "transfer": float(own.mean()),
            "low": low, "high": high, "tflops": spent / 1e12, "tflops_against": budget / 1e12,
            "relative_error": error / reference if reference else None,
            "relative_compute": spent / budget if budget else None,
        }  # fmt: skip


def paired(
    learner: Sequence[Record], reference: Sequence[Record], *, rule: str | None = None, account: str = "all"
) -> Paired:
    """Two rows of one board, over the seeds that both have; `rule` and `account` as in `cl.results.pareto`.

    Raises `UsageError` if they share no seed, if a run lacks errors or FLOPs per task, and if the runs learned
    different tasks.
    """
    sides = [{Run(record).key: record for record in records} for records in (learner, reference)]
    keys = tuple(sorted(sides[0].keys() & sides[1].keys(), key=repr))
    if not keys:
        raise UsageError("These two rows share no seeds; run both with the same --seed.")
    curves = [[error_curve(side[key], rule=rule, account=account) for key in keys] for side in sides]
    numbers = [[each.task for each in curve] for curve in (*curves[0], *curves[1])]
    if any(each != numbers[0] for each in numbers):
        raise UsageError("These two rows learned different tasks; let both finish.")
    known = tasks_of(sides[0][keys[0]])
    values = []
    for side in curves:
        values.append(np.array([[each.error for each in curve] for curve in side]))
        values.append(np.array([np.diff([each.flops for each in curve], prepend=0.0) for curve in side]))
    tasks = tuple(known.get(number, Task(number, f"task {number}")) for number in numbers[0])
    return Paired(tasks, keys, values[0], values[2], values[1], values[3])


def counterpart(learner: Mapping[str, Any], candidates: Sequence[Mapping[str, Any]]) -> int | None:
    """The index of the result that a learner is compared with, None if there is no candidate.

    Of several candidates it is the only one that agrees in every option of the strategy that both have. Raises
    `UsageError` if none or several do.
    """
    if len(candidates) <= 1:
        return 0 if candidates else None
    mine = _own_options(learner)
    fitting = []
    for index, candidate in enumerate(candidates):
        theirs = _own_options(candidate)
        if all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys()):
            fitting.append(index)
    if len(fitting) != 1:
        raise UsageError(
            f"{learner['strategy']['name']} can be compared with {len(candidates)} rows of "
            f"{candidates[0]['strategy']['name']}, and {len(fitting) or 'none'} of them have its options; give the "
            "folders of the runs to compare."
        )
    return fitting[0]


def _own_options(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry["value"] for key, entry in result["config"].items() if "." not in key and "seed" not in key}


def transfer_table(
    records: Sequence[Record], *, by: str = "task", against: str = AGAINST, rule: str | None = None,
    account: str = "all",
) -> pd.DataFrame:  # fmt: skip
    """One row per learner and group of tasks (`BY`), means over tasks and common seeds.

    Columns: stream, backbone, strategy, config_hash, against (the config hash of its reference), n_seeds, the group's
    name, and what `Paired.over` returns. With `by="task"` also the task's number, year, domain and labels, and error,
    TFLOP and ratios over the tasks so far. The reference is a row too, with transfer 0. Learners without a reference on
    their stream and backbone are left out.
    Raises `UsageError` for an unknown `by`, if no learner has a reference, and as `paired`.
    """
    import pandas as pd

    if by not in BY:
        raise UsageError(f"There is no grouping {by!r}; choose one of: {', '.join(BY)}.")
    rows: list[dict[str, Any]] = []
    for entry, reference in _matched(records, against):
        runs = [[run.record for run in each.runs] for each in (entry, reference)]
        pair = paired(*runs, rule=rule, account=account)
        result = entry.result
        head = {
            "stream": result["stream"]["name"], "backbone": result["backbone"]["name"], "strategy": entry.name,
            "config_hash": entry.config_hash, "against": reference.config_hash, "n_seeds": len(pair.keys),
        }  # fmt: skip
        if by == "task":
            rows += [head | _of_task(pair, place) for place in range(len(pair.tasks))]
        else:
            rows += [head | {by: name} | pair.over(places) for name, places in pair.groups(by).items()]
    table = pd.DataFrame(rows)
    numbers = [name for name in table if name in ("low", "high") or str(name).startswith("relative_")]
    return table.astype(dict.fromkeys(numbers, float))


def _of_task(pair: Paired, place: int) -> dict[str, Any]:
    task, past = pair.tasks[place], pair.over(range(place + 1))
    about = {"task": task.number, "name": task.name, "year": task.year, "domain": task.domain, "labels": task.labels}
    so_far = ("error", "tflops", "relative_error", "relative_compute")
    return about | pair.over([place]) | {f"{key}_so_far": past[key] for key in so_far}


def _matched(records: Sequence[Record], against: str) -> list[tuple[Entry, Entry]]:
    """Every row with its reference on the same board. Raises `UsageError` if there is none."""
    boards: dict[Hashable, list[Run]] = defaultdict(list)
    for run in distinct(complete([Run(record) for record in records]))[0]:
        boards[(*board_key(run.result), run.result["limited"], len(run.result["rows"]))].append(run)
    found = []
    for key in sorted(boards, key=str):
        entries = entries_of(boards[key], default_rule(boards[key][0].result["accuracy"]), "E_own")
        candidates = [entry for entry in entries if entry.name == against]
        for entry in sorted(entries, key=lambda each: (each.label, each.config_hash)):
            own = entry if entry in candidates else None
            place = None if own else counterpart(entry.result, [each.result for each in candidates])
            if own or place is not None:
                found.append((entry, own or candidates[place or 0]))
    if not found:
        raise UsageError(
            f"No run of {against} is here to compare with; run it on the same stream and backbone with the same seeds."
        )
    return found
