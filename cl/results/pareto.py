"""Error against compute, as NEVIS'22 plots learners (Bornschein et al., arXiv 2211.11747). Pure functions of records.

A learner is a point: its average error over tasks, each measured right after its training, and the FLOPs of all
training, every trial of a search included.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cl.errors import UsageError
from cl.protocol import answering, default_rule
from cl.records.matrix import matrix_of, steps_of
from cl.records.record import Record, config_hash

if TYPE_CHECKING:
    import pandas as pd

ACCOUNTS = ("all", "training")
"""Which FLOPs count. "all": everything that learning does, as if nothing had been memoised: steps, validation,
statistics, the search for a source. "training": only the steps of all trials, as the code of NEVIS'22 counts; for
methods that do not count steps separately it equals "all". Neither counts predictions for test images."""

_TOLD = ("til_oracle", "til_masked")


@dataclass(frozen=True)
class Learned:
    """One learned task: `error` on its test images right after training, `average` error of the tasks up to it, and
    `flops` of learning these tasks."""

    task: int
    error: float
    average: float
    flops: float


@dataclass(frozen=True)
class Point:
    """A learner: average error over tasks and FLOPs of learning them all."""

    name: str
    error: float
    flops: float

    def dominates(self, other: Point) -> bool:
        """Whether this point is at least as good in both values and better in one."""
        no_worse = self.error <= other.error and self.flops <= other.flops
        return no_worse and (self.error < other.error or self.flops < other.flops)


def learning_flops(record: Mapping[str, Any], account: str = "all") -> dict[int, float]:
    """FLOPs of learning each learned task, by task; see `ACCOUNTS`.

    Raises `UsageError` for an unknown account, and if the record does not hold the FLOPs of its events.
    """
    if account not in ACCOUNTS:
        raise UsageError(f"There is no account {account!r}; choose one of: {', '.join(ACCOUNTS)}.")
    measurement = record["measurement"]
    found: dict[int, float] = {}
    before = 0.0
    if not measurement["events"] or any(event.get("uncached") is None for event in measurement["events"]):
        raise UsageError("This run does not tell what each of its events cost; run it again with this version.")
    for event in measurement["events"]:
        kind, _, task = str(event["what"]).partition(" ")
        if kind == "train":
            found[int(task)] = event["uncached"] - before
        before = event["uncached"]
    told = {task: measurement.get("report", {}).get(f"task{task}.training_flops") for task in found}
    if account == "training" and all(value is not None for value in told.values()):
        return {task: float(value) for task, value in told.items()}
    return found


def error_curve(record: Mapping[str, Any], *, account: str = "all", rule: str | None = None) -> list[Learned]:
    """Error of each task right after training, against the FLOPs spent so far, in the order of learning.

    A task with several groups counts by their mean. `rule` None takes the rule that tells the task, if the run has it.
    Raises `UsageError` for a rule that the run lacks, and if no task was evaluated after its training.
    """
    result = record["result"]
    rules = result["accuracy"]
    chosen = rule or next((each for each in _TOLD if each in rules), default_rule(rules))
    chosen = answering(rules, chosen)
    if chosen not in rules:
        raise UsageError(f"This run has no prediction rule {chosen!r}; it has: {', '.join(sorted(rules))}.")
    groups, own = matrix_of(result, chosen).own()
    steps, errors = steps_of(result), defaultdict(list)
    for group, accuracy in zip(groups, own, strict=True):
        task = result["stream"]["groups"][group].get("task")
        step = steps[int(matrix_of(result, chosen).learned[group])]
        if not np.isnan(accuracy) and task in (None, step):
            errors[step].append(1 - float(accuracy))
    if not errors:
        raise UsageError("No task of this run was evaluated right after its training, so it has no error to show.")
    spent = learning_flops(record, account)
    curve: list[Learned] = []
    for task in sorted(errors):
        error = float(np.mean(errors[task]))
        average = (sum(each.error for each in curve) + error) / (len(curve) + 1)
        curve.append(Learned(task, error, average, sum(flops for t, flops in spent.items() if t <= task)))
    return curve


def point(record: Mapping[str, Any], *, account: str = "all", rule: str | None = None) -> Point:
    """The run as a point; see `error_curve`."""
    end = error_curve(record, account=account, rule=rule)[-1]
    return Point(record["result"]["strategy"]["name"], end.average, end.flops)


def front_of(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the points (cost, value) on the Pareto front, by rising cost.

    A point is dominated by a different point that costs no more and has at least its value; of equal points only the
    first is kept.
    """
    order = sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1], index))
    front: list[int] = []
    for index in order:
        if not front or points[index][1] > points[front[-1]][1]:
            front.append(index)
    return front


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """The points that no other point dominates, from the cheapest to the best; equal points are all kept."""
    given = list(points)
    best = {(given[i].flops, given[i].error) for i in front_of([(each.flops, -each.error) for each in given])}
    front = [each for each in given if (each.flops, each.error) in best]
    return sorted(front, key=lambda each: (each.flops, each.error, each.name))


def pareto_table(records: Sequence[Record], *, rule: str | None = None) -> pd.DataFrame:
    """One row per strategy, backbone and configuration on one stream, means over seeds, the cheapest first.

    Columns: strategy, backbone, config_hash, n_seeds, tasks, error (fraction), tflops and tflops_training (1e12, by the
    two `ACCOUNTS`), front and front_training (whether no other row dominates it). Raises `UsageError` if the runs
    are of several streams or learned different numbers of tasks.
    """
    import pandas as pd

    if not records:
        raise UsageError("There are no records here; make one with clbench run, or name another folder with --results.")
    runs: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        result = record["result"]
        runs[result["strategy"]["name"], result["backbone"]["name"], config_hash(record)].append(record)
    rows: list[dict[str, Any]] = []
    for (strategy, backbone, digest), same in sorted(runs.items(), key=lambda item: item[0]):
        curves = {account: [error_curve(run, account=account, rule=rule) for run in same] for account in ACCOUNTS}
        flops = {account: np.mean([curve[-1].flops for curve in curves[account]]) for account in ACCOUNTS}
        rows.append({
            "strategy": strategy, "backbone": backbone, "config_hash": digest, "n_seeds": len(same),
            "tasks": len(curves["all"][0]), "error": float(np.mean([curve[-1].average for curve in curves["all"]])),
            "tflops": float(flops["all"]) / 1e12, "tflops_training": float(flops["training"]) / 1e12,
        })  # fmt: skip
    _comparable(records, rows)
    for suffix in ("", "_training"):
        points = [Point(str(i), row["error"], row[f"tflops{suffix}"]) for i, row in enumerate(rows)]
        front = {int(each.name) for each in pareto_front(points)}
        for i, row in enumerate(rows):
            row[f"front{suffix}"] = i in front
    return pd.DataFrame(rows).sort_values("tflops", kind="stable", ignore_index=True)


def _comparable(records: Sequence[Record], rows: Sequence[Mapping[str, Any]]) -> None:
    names = sorted({f"{run['result']['stream']['name']}@{run['result']['stream']['version']}" for run in records})
    if len(names) > 1:
        raise UsageError(f"These runs are of several streams ({', '.join(names)}); choose those of one.")
    for one, two in itertools.pairwise(rows):
        if one["tasks"] != two["tasks"]:
            raise UsageError(
                f"{one['strategy']} learned {one['tasks']} tasks and {two['strategy']} {two['tasks']}; let both finish."
            )
