"""Which runs decide a row, which are missing, and quantities that are not metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.records.record import config_hash
from cl.results.claims import Board, Evidence, Row
from cl.results.claims.evidence import paired, unlike, values_of
from cl.results.leaderboard.entries import Run
from tests.help.claims import BOARD, a_part, declared

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
    report = {"capacity": 12.5, "task10.capacity": 3.0, "text": "x"}
    runs = runs_of(make_record, measurement__report=report)
    side = side_of(runs, Row("mine", "slca", config=config_hash(runs[0].record)))
    assert values_of(side, "trained-parameters", "cil_seen") == {0: 100.0, 1: 100.0, 2: 100.0}
    assert values_of(side, "tflops", "cil_seen")[0] == 2.0
    assert values_of(side, "report.capacity", "cil_seen")[1] == 12.5
    assert values_of(side, "report.task10.capacity", "cil_seen")[2] == 3.0
    assert values_of(side, "report.text", "cil_seen") == values_of(side, "report.none", "cil_seen") == {}
    assert values_of(side, "BWT", "cil_seen")[0] == pytest.approx(-0.125)
    assert values_of(side, "stored", "cil_seen") == dict.fromkeys(range(3), 464)
    assert values_of(side, "stored-growth", "cil_seen") == {}, "records of earlier versions"


def test_growth_of_the_memory(make_record: Make) -> None:
    events = [
        {"event": 2 * task + 1, "stored": {"samples": size, "statistics": 0, "parameters": 50}}
        for task, size in enumerate((50, 70, 100))
    ]
    runs = runs_of(make_record, measurement__events=events)
    side = side_of(runs, Row("mine", "slca", config=config_hash(runs[0].record)))
    assert values_of(side, "stored-growth", "cil_seen") == dict.fromkeys(range(3), 1.5)


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
    found = paired(evidence.side("two", "other"), evidence.side("one", BOARD.name), "A_last_sample", "cil_seen")
    assert found is not None and found.drawn == "seeds"
    assert found.values == pytest.approx((10 / 300,) * 3)


def test_the_rule_of_a_part_is_one_that_all_rows_answer(make_record: Make) -> None:
    """One row answers without the task and with it, the other only with it: both are compared with the task told."""
    strict = make_record()["result"]["accuracy"]["cil_seen"]
    both = runs_of(make_record, result__accuracy={"cil_seen": strict, "til_masked": strict})
    told = runs_of(make_record, result__accuracy={"til_oracle": strict}, strategy="ewc")
    seen = runs_of(make_record, strategy="l2")
    named = {"both": both, "told": told, "seen": seen}
    rows = [Row(n, r[0].result["strategy"]["name"], config=config_hash(r[0].record)) for n, r in named.items()]
    evidence = Evidence(declared(rows=rows), [run for runs in named.values() for run in runs])
    assert evidence.rule(a_part("exact", "both", "seen")) == "cil_seen"
    assert evidence.rule(a_part("exact", "both", "told")) == "til_oracle"
    assert evidence.rule(a_part("exact", "seen", "told", quantity="tflops")) == ""
    with pytest.raises(UsageError, match="its rows share no prediction rule; give them"):
        evidence.rule(a_part("exact", "seen", "told"))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"result__stream__fingerprints": {"train": "c", "test": "d"}, "result__stream__id": "e"}, "images"),
        ({"result__backbone__weights_sha256": "c"}, "weights"),
        ({"result__stream__id": "e"}, "class order"),
    ],
)
def test_runs_of_other_images_weights_or_orders_are_no_pair(make_record: Make, changes: Any, what: str) -> None:
    """Neither is part of the config hash, by which the runs of a row are found."""
    mine, theirs = runs_of(make_record), runs_of(make_record, strategy="ewc")
    changed = [*theirs[:2], Run(make_record(seed=2, strategy="ewc", **changes))]
    rows = [
        Row("one", "slca", config=config_hash(mine[0].record)),
        Row("two", "ewc", config=config_hash(theirs[0].record)),
    ]
    for runs, want in (
        (theirs, ""),
        (changed, f"the runs of one and two differ in their {what}; run one of them again"),
    ):
        evidence = Evidence(declared(rows=rows), [*mine, *runs])
        assert unlike(evidence.sides(a_part("greater"))) == want


def test_a_network_that_a_row_names_may_differ_and_one_that_none_names_may_not(make_record: Make) -> None:
    mine = runs_of(make_record)
    theirs = [Run(make_record(seed=seed, strategy="ewc", result__backbone__name="other")) for seed in range(3)]
    hashes = {"one": config_hash(mine[0].record), "two": config_hash(theirs[0].record)}
    for backbone, want in (
        (None, "the runs of one and two differ in their backbone; run one of them again"),
        ("x", ""),
    ):
        rows = [Row("one", "slca", config=hashes["one"]), Row("two", "ewc", config=hashes["two"], backbone=backbone)]
        evidence = Evidence(declared(rows=rows), [*mine, *theirs])
        assert unlike(evidence.sides(a_part("greater"))) == want
