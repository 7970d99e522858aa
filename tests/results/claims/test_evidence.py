"""Which runs decide a row, which are missing, and quantities that are not metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.records.record import config_hash
from cl.results.claims import Board, Evidence, Part, Row
from cl.results.claims.evidence import paired, values_of
from cl.results.leaderboard.entries import Run
from tests.help.claims import BOARD, declared

Make = Callable[..., dict[str, Any]]


def runs_of(make_record: Make, **changes: Any) -> list[Run]:
    return [Run(make_record(seed=seed, **changes)) for seed in (0, 1, 2)]


def side_of(runs: list[Run], row: Row) -> Any:
    return Evidence(declared(rows=[row]), runs).side(row.name, BOARD.name)


def test_runs_are_found_by_strategy_config_and_seed(make_record: Make) -> None:
    runs = runs_of(make_record)
    row = Row("mine", "slca", config=config_hash(runs[0].record))
    assert side_of(runs, row).seeds == [0, 1, 2]
    assert side_of(runs, Row("mine", "ewc", config=row.config)).seeds == []
    assert side_of(runs, Row("mine", "slca", config="0" * 8)).seeds == []
    unfinished = [Run({**run.record, "status": "failed"}) for run in runs[:1]]
    assert side_of([*unfinished, *runs[1:]], row).seeds == [1, 2]
    other_seeds = Run(make_record(seed=0, result__seeds={"order": 0, "init": 5, "data": 0}))
    assert side_of([other_seeds], row).seeds == []


def test_a_row_of_earlier_options_has_no_missing_seeds(make_record: Make) -> None:
    runs = runs_of(make_record)[:2]
    pinned = side_of(runs, Row("mine", "slca", config=config_hash(runs[0].record)))
    assert pinned.missing == [] and pinned.wanted == 2
    planned = side_of(runs, Row("mine", "slca"))
    assert planned.missing == [0, 1, 2] and planned.wanted == 3


def test_the_newer_of_two_runs_with_one_seed_counts(make_record: Make) -> None:
    old, new = (
        Run(make_record(run_id=name, measurement__created=f"2025-01-0{day}T00:00:00+00:00"))
        for name, day in (("old", 1), ("new", 2))
    )
    row = Row("mine", "slca", config=config_hash(old.record))
    assert [run.record["run_id"] for run in side_of([new, old], row).runs] == ["new"]


def test_costs_and_reported_numbers(make_record: Make) -> None:
    report = {"capacity": 12.5, "masks": {"bits": [1.0, 3.0]}, "text": "x"}
    runs = runs_of(make_record, measurement__report=report)
    side = side_of(runs, Row("mine", "slca", config=config_hash(runs[0].record)))
    part = Part("p", "exact", BOARD.name)
    assert values_of(side, "trained-parameters", part) == {0: 100.0, 1: 100.0, 2: 100.0}
    assert values_of(side, "tflops", part)[0] == 2.0
    assert values_of(side, "report.capacity", part)[1] == 12.5
    assert values_of(side, "report.masks.bits", part)[2] == 3.0
    assert values_of(side, "report.text", part) == values_of(side, "report.none", part) == {}
    assert values_of(side, "BWT", part)[0] == pytest.approx(-0.125)


def test_rows_of_two_boards_are_paired_by_seed_alone(make_record: Make) -> None:
    runs = runs_of(make_record)
    better = runs_of(make_record, correct=[[90, None, None], [80, 70, None], [70, 75, 50]], strategy="ewc")
    rows = [
        Row("one", "slca", config=config_hash(runs[0].record)),
        Row("two", "ewc", config=config_hash(better[0].record)),
    ]
    claims = declared(rows=rows)
    other = Board("other", "another", "split-digits", (0, 1, 2), "results/other")
    claims = type(claims)({**claims.boards, "other": other}, claims.rows, claims.claims)
    evidence = Evidence(claims, [*runs, *better])
    found = paired(evidence.side("two", "other"), evidence.side("one", BOARD.name), Part("p", "equal", "other"))
    assert found is not None and found.drawn == "seeds"
    assert found.values == pytest.approx((10 / 300,) * 3)
