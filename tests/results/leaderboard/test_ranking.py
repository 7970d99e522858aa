"""The leaderboard: what may be compared, who ties, and what is said beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.records.flops import COUNTED_BY
from cl.results.leaderboard.compare import compare
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.ranking import COLUMNS, leaderboard, unanswered
from cl.results.plots.rows import boards

Make = Callable[..., dict[str, Any]]


def runs(make: Make, strategy: str, last: list[int], **changes: Any) -> list[dict[str, Any]]:
    """One run per seed that ends with accuracy `last[seed]` percent on each of three tasks."""
    return [
        make([[99, None, None], [99, 99, None], [value] * 3], strategy=strategy, seed=seed, **changes)
        for seed, value in enumerate(last)
    ]


def test_means_and_secondary_columns_in_the_documented_order(make_record: Make) -> None:
    board = leaderboard(runs(make_record, "slca", [60, 62, 64]))
    assert list(board.columns) == list(COLUMNS)
    row = board.iloc[0]
    assert row["mean"] == row["A_last_sample"] == pytest.approx(0.62)
    assert row["A_inc_sample"] == pytest.approx((0.99 + 0.99 + 0.62) / 3)
    assert row["F_chaudhry"] == pytest.approx(0.37) == -row["BWT"]
    assert (row["n_seeds"], row["seeds"], row["rank"], row["note"]) == (3, "0 1 2", 1, "")
    assert (row["train_seconds"], row["tflops"], row["peak_mb"]) == (75.0, 2.0, 300.0)
    assert 0.60 <= row["ci_low"] < 0.62 < row["ci_high"] <= 0.64


def test_pairing_over_seeds_separates_what_intervals_alone_would_not(make_record: Make) -> None:
    # b is 2 points below a in every seed although the seeds spread over 40 points; c is mixed, so it ties with a.
    records = [
        *runs(make_record, "a", [50, 70, 90]),
        *runs(make_record, "b", [48, 68, 88]),
        *runs(make_record, "c", [52, 65, 92]),
    ]
    board = leaderboard(records)
    assert list(zip(board["strategy"], board["rank"], strict=True)) == [("a", 1), ("c", 1), ("b", 3)]
    first, last = board.iloc[0], board.iloc[2]
    assert first["ci_low"] < last["ci_high"]
    assert leaderboard(records[::-1]).equals(board)


def test_lower_is_better_for_forgetting(make_record: Make) -> None:
    records = [*runs(make_record, "a", [50, 50]), *runs(make_record, "b", [60, 60])]
    assert leaderboard(records, metric="F_chaudhry")["strategy"].tolist() == ["b", "a"]
    assert leaderboard(records)["strategy"].tolist() == ["b", "a"]
    assert leaderboard(records, metric="BWT")["mean"].tolist() == pytest.approx([-0.39, -0.49])


def test_a_search_of_the_options_is_told_once_per_study(make_record: Make) -> None:
    records = runs(make_record, "slca", [60, 62])
    for record in records:
        record["measurement"]["tuning"] = {
            "study": "ab12cd34", "trials": 20, "flops": {"executed": 1e12, "uncached": 3.5e12}, "seconds": 60.0,
            "source": "",
        }  # fmt: skip
    row = leaderboard(records).iloc[0]
    assert row["note"] == "+ 3.5 TFLOPs of tuning in 20 trials" and (row["tflops"], row["rank"]) == (2.0, 1)


def test_single_seeds_are_ranked_without_an_interval_and_say_so(make_record: Make) -> None:
    board = leaderboard([*runs(make_record, "a", [60]), *runs(make_record, "b", [50]), *runs(make_record, "c", [50])])
    assert board["rank"].tolist() == [1, 2, 2]
    assert board["ci_low"].isna().all()
    assert board["note"].tolist() == [
        "",
        "not tested against a: 1 common seed",
        "not tested against b: 1 common seed",
    ]
    assert board["drawn"].tolist() == [""] * 3


def test_runs_on_another_class_order_are_not_paired(make_record: Make) -> None:
    other = runs(make_record, "b", [50, 51, 52], result__stream__id="stream-1")
    board = leaderboard([*runs(make_record, "a", [50, 52, 54]), *other])
    assert board["note"].tolist() == ["", "not tested against a: 0 common seeds"]
    assert board["stream_id"].tolist() == ["stream-0", "stream-1"]


def test_bounds_are_shown_unranked_and_undefined_metrics_too(make_record: Make) -> None:
    nothing = [None] * 3
    joint = make_record([nothing, nothing, [95] * 3], strategy="joint", result__strategy__access="past")
    last_only = make_record([nothing, nothing, [90] * 3], strategy="offline")
    board = leaderboard([joint, last_only, *runs(make_record, "a", [50])], metric="F_chaudhry")
    assert board["strategy"].tolist() == ["a", "joint", "offline"]
    assert board["rank"].isna().tolist() == [False, True, True]
    assert board["A_last_sample"].tolist() == pytest.approx([0.5, 0.95, 0.9])
    assert board["note"].tolist()[1:] == [
        "bound: may read earlier data; F_chaudhry undefined in 1 run",
        "F_chaudhry undefined in 1 run",
    ]
    assert board["marks"].tolist() == ["", "bound", ""]
    assert leaderboard([joint])["rank"].isna().all()


def test_runs_with_marks_are_shown_unranked_with_the_reason(make_record: Make) -> None:
    legacy = make_record([[90] * 3] * 3, strategy="ported", result__strategy__marks=["batch-dependent"])
    board = leaderboard([legacy, *runs(make_record, "a", [50])])
    assert board["strategy"].tolist() == ["a", "ported"] and board["rank"].isna().tolist() == [False, True]
    assert board["note"].tolist()[1] == "batch-dependent: unranked" and board["marks"][1] == "batch-dependent"


def test_limited_runs_are_marked_and_unfinished_ones_stay_out(make_record: Make) -> None:
    good = runs(make_record, "a", [50])
    limited = runs(make_record, "a", [99], result__limited=True)
    rest = [make_record(status="partial"), make_record(status="failed")]
    board = leaderboard([*limited, *rest, *good])
    assert board["marks"].tolist() == ["", "limited"] and board["rank"].isna().tolist() == [False, True]
    assert leaderboard(limited)["rank"].isna().all()
    with pytest.raises(UsageError, match="None of the 2 runs here is complete"):
        leaderboard(rest)


def test_older_versions_of_a_method_are_marked_and_unranked(make_record: Make) -> None:
    old, new = ({"result__strategy__version": version} for version in ("9", "10"))
    board = leaderboard([*runs(make_record, "a", [99], **old), *runs(make_record, "a", [50], **new)])
    assert board["strategy_version"].tolist() == ["10", "9"] and board["rank"].isna().tolist() == [False, True]
    assert board["marks"][1] == "other-version" and board["note"][1] == "version 9: runs of a newer version exist"


def test_usage_errors_name_the_fix() -> None:
    with pytest.raises(UsageError, match="make one with clbench run"):
        leaderboard([])
    with pytest.raises(UsageError, match=r"no metric 'A_lst'\. Did you mean I_last or A_last_task"):
        leaderboard([], metric="A_lst")


def test_configurations_and_presets_are_rows_of_their_own(make_record: Make) -> None:
    config = {"epochs": {"value": 5, "origin": "command line"}}
    records = [
        *runs(make_record, "a", [50]),
        *runs(make_record, "a", [55], result__config=config),
        *runs(make_record, "a", [60], result__strategy__preset="paper"),
    ]
    board = leaderboard(records)
    assert board["mean"].tolist() == pytest.approx([0.6, 0.55, 0.5])
    assert board["config_hash"].nunique() == 2


def test_the_newest_of_two_runs_with_the_same_seeds_counts(make_record: Make) -> None:
    new = runs(make_record, "a", [70], measurement__created="2025-06-01T00:00:00+00:00")
    board = leaderboard([*new, *runs(make_record, "a", [50])])
    assert board["mean"].tolist() == pytest.approx([0.7])
    assert board["note"].tolist() == ["1 older run of the same seeds left out"]


def test_other_versions_and_sources_are_marked(make_record: Make) -> None:
    old = {"measurement__environment": {"packages": {"torch": "2.4.0", "timm": "1.0"}}}
    records = [
        *runs(make_record, "a", [60, 61]),
        *runs(make_record, "b", [50, 51], **old),
        *runs(make_record, "c", [40, 41])[:1],
        *runs(make_record, "c", [40, 41], result__strategy__source_sha256="9" * 64)[1:],
    ]
    assert leaderboard(records)["note"].tolist() == [
        "",
        "torch 2.4.0 (usual here: 2.8.0)",
        "the code of the strategy differs between its runs",
    ]


def test_a_board_says_which_flops_are_not_comparable(make_record: Make) -> None:
    def board(*counted: dict[str, Any]) -> list[str]:
        names = [f"s{index}" for index in range(len(counted))]
        records = [
            record
            for name, changes in zip(names, counted, strict=True)
            for record in runs(make_record, name, [90 - int(name[1:])], **changes)
        ]
        notes = leaderboard(records)["note"].tolist()
        return [". ".join(part for part in note.split("; ") if "FLOPs" in part) for note in notes]

    def by_pytorch(torch: str, device: str = "cpu") -> dict[str, Any]:
        return {"measurement__environment": {"packages": {"torch": torch}, "device": device}}

    ours = {"measurement__flops_counted_by": COUNTED_BY}
    assert board(ours, {**ours, **by_pytorch("2.4.0")}, by_pytorch("2.15.0+cpu")) == ["", "", ""], "all count alike"
    assert board(by_pytorch("2.14.1"), by_pytorch("2.9.1")) == ["", ""]
    old, gpu = board(by_pytorch("2.14.1"), by_pytorch("2.15.0", "NVIDIA H100"), ours, ours)[:2]
    assert old == (
        "do not compare FLOPs: counted by PyTorch before 2.15, which leaves out fused attention of CPUs "
        f"(usual here: {COUNTED_BY})"
    )
    assert gpu.startswith("do not compare FLOPs: counted by PyTorch, by the attention kernel of its version and device")
    assert board(ours, {"measurement__flops_counted_by": "clbench-9"})[1].startswith("do not compare FLOPs: counted by")
    assert board({}, ours)[0], "who does not say where it ran may have counted otherwise"
    avalanche = runs(make_record, "avalanche/naive", [80], **by_pytorch("2.15.0"))
    note = leaderboard([*runs(make_record, "a", [90], **ours), *avalanche])["note"].tolist()[1]
    assert "do not compare FLOPs" in note, "its loop differentiates the fused kernel"


def test_rules_are_not_mixed(make_record: Make) -> None:
    both = runs(make_record, "a", [50], rules=("til_masked", "cil_seen"))
    til = runs(make_record, "b", [90], rules=("til_masked",))
    rows = leaderboard([*both, *til])
    assert rows["strategy"].tolist() == ["a", "b", "a"], "a board of the strictest rule of each"
    assert rows["rule"].tolist() == ["cil_seen", "til_masked", "til_masked"]
    asked = leaderboard([*both, *til], rule="cil_seen")
    assert asked["note"].tolist()[1] == "has no rule cil_seen"
    assert asked["rank"].isna().tolist() == [False, True]
    assert leaderboard([*both, *til], rule="til_masked")["strategy"].tolist() == ["b", "a"]
    assert leaderboard(til)["rule"].tolist() == ["til_masked"]


def test_a_rule_that_no_run_of_a_board_has_makes_no_board(make_record: Make) -> None:
    told = {"result__stream__name": "told"}
    masked, oracle = (runs(make_record, "b", [90, 91], rules=(rule,), **told) for rule in ("til_masked", "til_oracle"))
    found = [*runs(make_record, "a", [50]), *masked]
    assert leaderboard(found, rule="cil_seen")["strategy"].tolist() == ["a"]
    left = unanswered(map(Run, found), "cil_seen")
    assert [run.record for run in left] == masked
    assert unanswered(map(Run, found), "cil_seen", {"strategy": ["a"]}) == []
    assert [unanswered(map(Run, found), rule) for rule in (None, "all")] == [[], []]
    assert unanswered(map(Run, masked), "til_oracle") == [], "it is shown under til_masked"
    with pytest.raises(UsageError, match="No run here has the prediction rule 'cil_seen'; they have: til_masked"):
        leaderboard(masked, rule="cil_seen")
    with pytest.raises(UsageError, match="No run here has the prediction rule 'dil'; they have: til_oracle"):
        leaderboard(oracle, rule="dil")


def test_who_is_not_told_the_task_stands_beside_those_who_are(make_record: Make) -> None:
    free = runs(make_record, "free", [50, 52], rules=("til_masked", "cil_seen"))
    told = runs(make_record, "told", [90, 91], rules=("til_oracle",))
    rows = leaderboard([*free, *told]).query("rule == 'til_oracle'")
    assert rows["strategy"].tolist() == ["told", "free"] and rows["rank"].tolist() == [1, 2]
    assert rows["mean"].tolist()[1] == pytest.approx(leaderboard(free, rule="til_masked")["mean"].item())
    assert rows["note"].tolist()[1] == "shown under til_masked: it is not told the task"
    (board,) = [board for board in boards([*free, *told]) if board.rule == "til_oracle"]
    assert [row.label for row in board.rows] == ["told", "free"]
    found = compare([Run(record) for record in told], [Run(record) for record in free])
    assert found["rule"] == "til_oracle" and found["mean"]["difference"] > 0.3
