"""Ranks from stored predictions, and what a board takes, leaves and marks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.registry import strategies
from cl.results.leaderboard.board_tables import to_text
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.ranking import Row, board_rows, is_stale, sorted_rows

Make = Callable[..., dict[str, Any]]


def ranks(rows: list[Row]) -> dict[str, int | None]:
    return {row["strategy"]: row["rank"] for row in rows}


def test_filters_choose_the_rows_that_are_ranked(make_record: Make) -> None:
    given = {"reg": {"value": 5.0, "origin": "command line"}, "lr": {"value": 0.1, "origin": "preset a:small"}}
    records = [
        make_record(strategy="a", result__config=given),
        make_record([[80, None, None]] * 2 + [[80] * 3], strategy="b"),
        make_record(strategy="c", result__stream__name="other"),
    ]
    runs = [Run(record) for record in records]
    assert ranks(board_rows(runs)) == {"a": 2, "b": 1, "c": 1}
    assert board_rows(runs, filters={"strategy": ["a", "c*"]})[1]["rank"] == 1
    assert ranks(board_rows(runs, filters={"options": ["reg=?"]})) == {"a": 1}
    assert ranks(board_rows(runs, filters={"settings": ["reg=?"]})) == {"a": 1}, "its name in 0.1.0"
    with pytest.raises(UsageError, match="Rows cannot be filtered by 'settings'"):
        board_rows(runs, filters={"settings": ["reg=?"], "options": ["*"]})
    assert ranks(board_rows(runs, filters={"stream": ["split-toy@1"], "strategy": ["b", "c"]})) == {"b": 1}
    with pytest.raises(UsageError, match="No complete run passes the filter"):
        board_rows(runs, filters={"preset": ["x"]})
    with pytest.raises(UsageError, match=r"cannot be filtered by 'strategi'\. Did you mean strategy"):
        board_rows(runs, filters={"strategi": ["x"]})


def test_rows_are_sorted_within_their_boards(make_record: Make) -> None:
    runs = [
        Run(make_record(strategy=name, result__stream__name=stream, measurement__flops={"uncached": flops}))
        for name, stream, flops in (("a", "one", 3e12), ("b", "one", None), ("c", "one", 1e12), ("d", "two", 2e12))
    ]
    rows = board_rows(runs)
    assert [row["strategy"] for row in sorted_rows(rows, "tflops")] == ["c", "a", "b", "d"]
    assert [row["strategy"] for row in sorted_rows(rows, "-tflops")] == ["a", "c", "b", "d"]
    with pytest.raises(UsageError, match="no column 'tflop' to sort by"):
        sorted_rows(rows, "tflop")


def test_all_rules_make_a_board_each(make_record: Make) -> None:
    runs = [Run(make_record(strategy="a", rules=("til_masked", "cil_seen"))), Run(make_record(strategy="b"))]
    boards = [(row["board"], row["rule"], row["strategy"]) for row in board_rows(runs, rule="all")]
    assert boards == [(1, "cil_seen", "a"), (1, "cil_seen", "b"), (2, "til_masked", "a")]


def test_runs_of_changed_code_are_stale(make_record: Make) -> None:
    now = strategies.source_sha256("slca")
    fresh = board_rows([Run(make_record(result__strategy__source_sha256=now))])[0]
    old = board_rows([Run(make_record())])[0]
    assert not is_stale(fresh) and is_stale(old)
    assert not is_stale(board_rows([Run(make_record(result__strategy__source_sha256=None))])[0])
    assert not is_stale(board_rows([Run(make_record(strategy="not-installed"))])[0])
    assert "stale: the code of the strategy has changed since" in to_text([{**old, "stale": True}])


def test_published_numbers_stand_beside_runs_of_their_protocol_alone(make_record: Make) -> None:
    groups = [{"name": f"task {i}", "classes": [2 * i, 2 * i + 1], "task": i} for i in range(3)]
    row = board_rows([Run(make_record(result__stream__groups=groups))])[0]
    assert row.get("reported") is None and row.get("delta") is None
    other = board_rows([Run(make_record(result__stream__name="split-cifar100"))])[0]
    assert other["reported"] is not None and other["delta"] is None and "published with" in other["reported_unlike"]
    assert "other [1]" in to_text([other])


def test_the_difference_to_a_published_number(make_record: Make) -> None:
    tasks = 10
    correct: list[list[int | None]] = [[90 if g <= t else None for g in range(tasks)] for t in range(tasks)]
    groups = [{"name": str(i), "classes": list(range(10 * i, 10 * i + 10)), "task": i} for i in range(tasks)]
    run = make_record(
        correct,
        strategy="slca",
        result__stream__name="split-cifar100",
        result__stream__groups=groups,
        result__strategy__preset="default",
        result__backbone__name="vit_base_patch16_224.augreg_in21k",
        result__config={"epochs": {"value": 20, "origin": "preset slca#1"}},
    )
    row = board_rows([Run(run)])[0]
    assert row["reported"] == pytest.approx(0.9153)
    assert row["delta"] == pytest.approx(0.90 - 0.9153) and not row["reported_unlike"]
    text = to_text([row])
    assert "91.53 [1]" in text and "-1.53" in text and "[1] reported in SLCA" in text
