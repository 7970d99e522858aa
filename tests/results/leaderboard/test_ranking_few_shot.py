"""Boards of few-shot runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.protocol import FEW_SHOT
from cl.results.leaderboard.board_tables import to_csv, to_text
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.ranking import board_rows, leaderboard
from tests.help.few_shot import IMAGES, few_shot_runs, runs

Make = Callable[..., dict[str, Any]]


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
