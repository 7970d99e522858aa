"""Few-shot metrics by hand, and boards of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from cl.protocol import FEW_SHOT
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import METRICS, compute_all, metrics_of, shown
from cl.records.record import load, save
from cl.results.leaderboard.board_tables import to_csv, to_text
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.ranking import board_rows, leaderboard
from cl.results.tables import summary_line

Make = Callable[..., dict[str, Any]]
NAMES = ("A_base", "A_novel", "A_harmonic", "PD")
# 600 base images, then 50 and 50: 540 right of 600; 500 and 20; 450, 15 and 25
COUNTS: list[list[int | None]] = [[540, None, None], [500, 20, None], [450, 15, 25]]
IMAGES = [600, 50, 50]


def few(values: list[list[int | None]], count: list[int]) -> dict[str, float | None]:
    found = compute_all(AccuracyMatrix.of(values, count), setting=FEW_SHOT)
    return {name: found[name] for name in NAMES}


def runs(make: Make, strategy: str, **changes: Any) -> list[dict[str, Any]]:
    return [make(COUNTS, strategy=strategy, seed=seed, result__count=IMAGES, **changes) for seed in range(2)]


def few_shot_runs(make: Make, strategy: str, **changes: Any) -> list[dict[str, Any]]:
    return runs(make, strategy, result__stream__setting=FEW_SHOT, **changes)


def test_worked_example() -> None:
    base, novel = 450 / 600, (15 + 25) / 100
    want = {
        "A_base": base,
        "A_novel": novel,
        "A_harmonic": 2 * base * novel / (base + novel),
        "PD": 540 / 600 - 490 / 700,
    }
    assert few(COUNTS, IMAGES) == pytest.approx(want)


def test_harmonic_mean_is_below_both_and_zero_without_one_of_them() -> None:
    found = few(COUNTS, IMAGES)
    assert all(value is not None for value in found.values())
    low, high = sorted((found["A_base"], found["A_novel"]))  # type: ignore[type-var]
    assert low < found["A_harmonic"] < high  # type: ignore[operator]
    assert few([[9, None], [9, 0]], [10, 10])["A_harmonic"] == 0
    assert few([[9, None], [0, 0]], [10, 10])["A_harmonic"] == 0
    assert few([[5, None], [6, 9]], [10, 10])["PD"] == pytest.approx(0.5 - 0.75)  # negative where it improves


def test_what_was_not_measured_is_undefined() -> None:
    assert few([[9]], [10]) == {"A_base": 0.9, "A_novel": None, "A_harmonic": None, "PD": None}
    assert few([[9, None], [None, 5]], [10, 10])["A_base"] is None
    assert few([[9, None, None], [9, 5, None]], [10, 10, 10])["A_novel"] == 0.5  # the third was not learned
    nothing = few([], [10, 10])
    assert set(nothing.values()) == {None}
    assert set(few([[0]], [0]).values()) == {None}


def test_only_records_of_few_shot_streams_hold_them(make_record: Make) -> None:
    plain, few_shot = runs(make_record, "a")[0]["result"], few_shot_runs(make_record, "a")[0]["result"]
    assert not set(NAMES) & set(metrics_of(plain)["cil_seen"])
    assert set(metrics_of(few_shot)["cil_seen"]) == set(metrics_of(plain)["cil_seen"]) | set(NAMES)
    assert all(METRICS[name].setting == FEW_SHOT for name in NAMES)
    assert not math.isnan(METRICS["PD"].lowest) and not METRICS["PD"].higher_is_better


def test_the_record_with_them_is_valid(make_record: Make, tmp_path: Any) -> None:
    record = few_shot_runs(make_record, "a")[0]
    save(record, tmp_path / "record.json")
    assert load(tmp_path / "record.json")["result"]["metrics"]["cil_seen"]["A_base"] == pytest.approx(0.75)


def test_the_summary_line_says_base_and_novel_instead_of_forgetting(make_record: Make) -> None:
    line = summary_line(few_shot_runs(make_record, "a")[0])
    assert "A_base 75.00  A_novel 40.00  A_harmonic 52.17  PD 20.00" in line
    assert "F_chaudhry" not in line and "BWT" not in line
    assert "F_chaudhry" in summary_line(runs(make_record, "a")[0])
    assert shown("class-incremental") == ("A_last_sample", "A_inc_sample", "F_chaudhry", "BWT")


def test_few_shot_runs_have_boards_of_their_own(make_record: Make) -> None:
    other = {"result__stream__options": {"tasks": 3, "shots": 1}}
    records = [
        *runs(make_record, "a"),
        *few_shot_runs(make_record, "a"),
        *few_shot_runs(make_record, "b"),
        *few_shot_runs(make_record, "b", **other),
    ]
    board = leaderboard(records)
    boards = {(row["setting"], row["board"]): row["strategy"] for row in board.to_dict("records")}
    assert len(boards) == board["board"].nunique() == 3
    assert board["rank"].tolist().count(1) == 4  # a and b tie on one board
    few_shot = board[board["setting"] == FEW_SHOT]
    assert few_shot["A_base"].tolist() == pytest.approx([0.75] * 3)
    assert board[board["setting"] == "class-incremental"]["A_base"].isna().all()
    rows = board_rows(Run(record) for record in records)
    plain_text, *few_texts = sorted(to_text(rows).split("\n\n"), key=lambda text: FEW_SHOT in text)
    assert "F_chaudhry" in plain_text and "A_novel" not in plain_text and FEW_SHOT not in plain_text
    assert len(few_texts) == 2
    for text in few_texts:
        assert f"split-toy@1, {FEW_SHOT}, on vit_micro" in text
        assert "A_novel" in text and "PD" in text and "F_chaudhry" not in text
    assert "A_harmonic" in to_csv(rows).splitlines()[0]


def test_a_board_can_be_ranked_by_them(make_record: Make) -> None:
    worse = [
        make_record([[540, None, None], [500, 20, None], [480, 5, 5]], strategy="worse", seed=seed,
                    result__count=IMAGES, result__stream__setting=FEW_SHOT)
        for seed in range(2)
    ]  # fmt: skip
    records = [*worse, *few_shot_runs(make_record, "a")]
    assert leaderboard(records, metric="A_harmonic")["strategy"].tolist() == ["a", "worse"]
    assert leaderboard(records, metric="A_base")["strategy"].tolist() == ["worse", "a"]
    assert "A_harmonic" in to_text(board_rows((Run(record) for record in records), metric="A_harmonic"))
