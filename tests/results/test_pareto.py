"""Error against compute: curves and fronts from records, by hand and on random points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cl.errors import UsageError
from cl.protocol import TASK
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import compute_all, metrics_of, shown
from cl.results.pareto import Point, error_curve, front_of, learning_flops, pareto_front, pareto_table, point

Make = Callable[..., dict[str, Any]]

# Each task is evaluated right after its training alone: 90, 70 and 50 of 100 right.
OWN: list[list[int | None]] = [[90, None, None], [None, 70, None], [None, None, 50]]


def events(*spent: tuple[float, float]) -> list[dict[str, Any]]:
    """Events of a run: FLOPs of learning and of evaluating each task; half of everything was memoised."""
    found: list[dict[str, Any]] = []
    total = 0.0
    for task, (learning, evaluating) in enumerate(spent):
        for what, flops in ((f"train {task}", learning), ("evaluate test", evaluating)):
            total += flops
            found.append({"event": len(found), "what": what, "seconds": 1.0, "executed": total / 2, "uncached": total})
    return found


def record(make: Make, **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "rules": ("til_oracle",),
        "result__stream__setting": TASK,
        "measurement__events": events((10.0, 3.0), (20.0, 3.0), (30.0, 3.0)),
    }
    return make(OWN, **{**usual, **changes})


def reported(*training: float) -> dict[str, float]:
    return {f"task{task}.training_flops": flops for task, flops in enumerate(training)}


def test_curve_by_hand(make_record: Make) -> None:
    run = record(make_record, measurement__report=reported(8.0, 15.0, 20.0))
    assert learning_flops(run) == {0: 10.0, 1: 20.0, 2: 30.0}, "as if nothing were memoised, predictions apart"
    assert learning_flops(run, "training") == {0: 8.0, 1: 15.0, 2: 20.0}
    curve = error_curve(run)
    assert [each.task for each in curve] == [0, 1, 2]
    assert [each.error for each in curve] == pytest.approx([0.1, 0.3, 0.5])
    assert [each.average for each in curve] == pytest.approx([0.1, 0.2, 0.3])
    assert [each.flops for each in curve] == [10.0, 30.0, 60.0]
    assert [each.flops for each in error_curve(run, account="training")] == [8.0, 23.0, 43.0]
    end = point(run)
    assert (end.name, end.flops) == ("slca", 60.0) and end.error == pytest.approx(0.3)


def test_methods_that_do_not_tell_steps_apart_are_charged_with_everything(make_record: Make) -> None:
    for report in (None, {"capacity": 0.5}, reported(8.0, 15.0)):  # the last one lacks a task
        run = record(make_record, **({} if report is None else {"measurement__report": report}))
        assert learning_flops(run, "training") == learning_flops(run)


def test_setup_is_charged_to_the_first_task_and_later_evaluations_to_none(make_record: Make) -> None:
    run = record(make_record)
    run["measurement"]["events"][0]["uncached"] += 5.0  # a compute in setup() stands before the first event
    run["measurement"]["events"] = [
        {**event, "uncached": event["uncached"] + (5.0 if number else 0.0)}
        for number, event in enumerate(run["measurement"]["events"])
    ]
    assert learning_flops(run) == {0: 15.0, 1: 20.0, 2: 30.0}


def test_a_partial_run_has_the_tasks_it_learned(make_record: Make) -> None:
    run = make_record(OWN[:2], rules=("til_oracle",), measurement__events=events((10.0, 3.0), (20.0, 3.0)))
    assert [(each.task, each.flops) for each in error_curve(run)] == [(0, 10.0), (1, 30.0)]
    nothing = make_record([], rules=("til_oracle",))
    with pytest.raises(UsageError, match="No task of this run was evaluated"):
        error_curve(nothing)


def test_the_rule_that_tells_the_task_comes_first(make_record: Make) -> None:
    run = record(make_record, rules=("cil_seen", "til_masked"))
    run["result"]["accuracy"]["cil_seen"] = {"correct": [[0, None, None], [None, 0, None], [None, None, 0]]}
    assert point(run).error == pytest.approx(0.3) and point(run, rule="cil_seen").error == 1.0
    with pytest.raises(UsageError, match="no prediction rule 'dil'; it has: cil_seen, til_masked"):
        point(run, rule="dil")
    with pytest.raises(UsageError, match="no account 'paper'; choose one of: all, training"):
        point(run, account="paper")


def test_the_metric_is_the_same_number_and_belongs_to_streams_that_tell_the_task(make_record: Make) -> None:
    run = record(make_record)
    assert metrics_of(run["result"])["til_oracle"]["E_own"] == pytest.approx(point(run).error) == pytest.approx(0.3)
    assert "E_own" in shown(TASK) and "E_own" not in shown("class-incremental")
    assert "E_own" not in compute_all(AccuracyMatrix.of(OWN, [100] * 3), setting="class-incremental")


numbers = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(numbers, numbers), max_size=12))
def test_the_front_is_what_nothing_dominates(values: list[tuple[float, float]]) -> None:
    points = [Point(str(i), error, flops) for i, (error, flops) in enumerate(values)]
    front = pareto_front(points)
    assert not any(one.dominates(two) for one in points for two in front)
    for left in set(points) - set(front):
        assert any(one.dominates(left) for one in front), "what is left out is dominated by the front itself"
    costs = [(each.flops, -each.error) for each in front]
    assert costs == sorted(costs), "along the front more compute means less error"
    assert bool(front) == bool(points)


def test_table(make_record: Make) -> None:
    good = [record(make_record, seed=seed, measurement__report=reported(8.0, 15.0, 20.0)) for seed in range(2)]
    dear = record(make_record, strategy="dear", measurement__events=events((20.0, 0.0), (20.0, 0.0), (30.0, 0.0)))
    cheap = record(make_record, strategy="cheap", measurement__events=events((1.0, 0.0), (1.0, 0.0), (1.0, 0.0)))
    cheap["result"]["accuracy"]["til_oracle"]["correct"] = [[50, None, None], [None, 50, None], [None, None, 50]]
    rows = {row["strategy"]: row for row in pareto_table([*good, dear, cheap]).to_dict("records")}
    assert list(rows) == ["cheap", "slca", "dear"], "the cheapest first"
    assert {name: row["front"] for name, row in rows.items()} == {"cheap": True, "slca": True, "dear": False}
    assert [row["error"] for row in rows.values()] == pytest.approx([0.5, 0.3, 0.3])
    assert (rows["slca"]["n_seeds"], rows["slca"]["tasks"]) == (2, 3)
    assert [rows["slca"][key] for key in ("tflops", "tflops_training")] == pytest.approx([60e-12, 43e-12])


def test_runs_that_cannot_be_compared_are_refused(make_record: Make) -> None:
    with pytest.raises(UsageError, match="There are no records here"):
        pareto_table([])
    with pytest.raises(UsageError, match=r"several streams \(other@1, split-toy@1\)"):
        pareto_table([record(make_record), record(make_record, result__stream__name="other")])
    short = make_record(
        OWN[:2], strategy="short", rules=("til_oracle",), measurement__events=events((1.0, 0), (1.0, 0))
    )
    with pytest.raises(UsageError, match=r"(slca|short) learned \d tasks and (slca|short) \d; let both finish"):
        pareto_table([record(make_record), short])


_POINTS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda p: (float(p[0]), float(p[1]))), max_size=9
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(_POINTS)
def test_the_front_is_what_no_point_beats(points: list[tuple[float, float]]) -> None:
    front = front_of(points)

    def beats(a: tuple[float, float], b: tuple[float, float]) -> bool:
        return a != b and a[0] <= b[0] and a[1] >= b[1]

    kept = {points[index] for index in front}
    assert kept == {p for p in points if not any(beats(other, p) for other in points)}
    assert len(kept) == len(front) and front == sorted(front, key=lambda index: points[index])
