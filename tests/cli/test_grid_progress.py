"""The progress of a grid: counts, and the time that is left."""

from __future__ import annotations

from cl.cli.grid_progress import Costs, GridProgress
from cl.executors import Outcome
from cl.plan.plan import Plan, make_plan
from cl.running.result import RunResult


def plans(strategy: str, *seeds: int) -> list[Plan]:
    return [make_plan(strategy, "split-digits", seed=seed) for seed in seeds]


def done(plan: Plan, executed: bool = True) -> Outcome:
    return Outcome(plan, RunResult({}, plan.folder, executed=executed))


def test_the_time_of_a_run_is_that_of_its_kind_else_of_its_method_else_of_all() -> None:
    costs = Costs()
    slca, ncm = plans("slca", 1, 2), plans("ncm", 1)
    assert costs.of(slca[0]) is None and costs.of_all(slca) is None and costs.of_all([]) == 0
    costs.add(slca[0], 10)
    other = make_plan("slca", "split-digits", options={"lr": 0.5})
    assert (costs.of(slca[1]), costs.of(other), costs.of(ncm[0])) == (10, 10, 10)
    costs.add(other, 30)
    costs.add(ncm[0], 2)
    assert (costs.of(slca[1]), costs.of(other), costs.of(ncm[0])) == (10, 30, 2)
    assert costs.of(make_plan("slca", "split-digits", options={"lr": 0.7})) == 20


def test_counts_and_the_time_left_with_several_runs_at_once() -> None:
    now = [0.0]
    given = plans("ncm", *range(6))
    state = GridProgress(given, 2, now=lambda: now[0])
    assert state.text() == "0 of 6 done"
    state.started(given[0])
    state.started(given[1])
    now[0] = 10.0
    assert state.finished(done(given[0])) == 10.0
    assert state.finished(Outcome(given[1], error="No.", exit_code=1)) == 10.0
    assert state.text() == "2 of 6 done, 1 failed, about 0:20 left"
    state.started(given[2])
    state.started(given[3])
    now[0] = 14.0
    assert state.text() == "2 of 6 done, 2 running, 1 failed, about 0:16 left"
    now[0] = 40.0
    assert state.seconds_left() == 10.0, "runs that take longer than the others are about to end"
    state.finished(Outcome(given[2], skipped="busy"))
    state.started(given[4])
    state.finished(Outcome(given[4], error="Interrupted.", exit_code=130), stopped=True)
    assert (state.stopped, state.ended) == (1, 3), "it is not done"
    state.left[given[4].folder] = given[4]
    state.finished(done(given[3], executed=False))
    assert (state.complete, state.already, state.failed, state.skipped, state.ended) == (2, 1, 1, 1, 4)
    assert state.seconds_left() == 10.0, "a run that was complete already is no measure"
