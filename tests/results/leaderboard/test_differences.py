"""Paired differences: over common images, over seeds only, and on one seed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cl.records.predictions import read_predictions, write_predictions
from cl.results.leaderboard.board_tables import to_text
from cl.results.leaderboard.differences import Resamples, difference
from cl.results.leaderboard.entries import Entry, Run
from cl.results.leaderboard.ranking import Row, board_rows

MakeRun = Callable[..., Run]

Answers = NDArray[np.bool_]


def answers(chance: float, seed: int = 0, images: int = 300) -> Answers:
    """Right with this chance after the last task, always before."""
    last = np.random.default_rng(seed).random(images) < chance
    return np.stack([np.ones(images, bool), np.ones(images, bool), last])


def worse_by(right: Answers, images: int) -> Answers:
    """The same answers, so many of the right ones spoilt after the last task."""
    spoilt = right.copy()
    spoilt[2, np.flatnonzero(right[2])[:images]] = False
    return spoilt


def ranks(rows: list[Row]) -> dict[str, int | None]:
    return {row["strategy"]: row["rank"] for row in rows}


def test_common_images_tell_what_intervals_alone_would_not(make_run: MakeRun) -> None:
    # "less" loses 12 of the 300 images of "best" in both seeds; "other" has the same accuracy, on other images.
    best, less, other = [], [], []
    for seed in (0, 1):
        right = answers(0.6, seed)
        spoilt = worse_by(right, 12)
        turned = np.concatenate([np.random.default_rng(9).permutation(part) for part in np.split(spoilt[2], 6)])
        best.append(make_run(right, seed=seed, strategy="best"))
        less.append(make_run(spoilt, seed=seed, strategy="less"))
        other.append(make_run(np.stack([*spoilt[:2], turned]), seed=seed, strategy="other"))
    rows = board_rows([*best, *less])
    assert ranks(rows) == {"best": 1, "less": 2}
    assert [row["drawn"] for row in rows] == ["seeds x images"] * 2
    assert rows[0]["ci_low"] < rows[1]["mean"] < rows[0]["ci_high"]
    unpaired = board_rows([*best, *other])
    assert unpaired[1]["mean"] == pytest.approx(rows[1]["mean"])
    assert ranks(unpaired) == {"best": 1, "other": 1}
    assert board_rows([*less, *best][::-1]) == rows


def test_without_predictions_the_seeds_decide_alone(make_run: MakeRun) -> None:
    first, second = (
        [make_run(answers(chance, seed), seed=seed, strategy=name) for seed in (0, 1, 2)]
        for name, chance in (("a", 0.8), ("b", 0.5))
    )
    bare = [Run(run.record) for run in first]
    alone, both = board_rows(bare)[0], board_rows(first)[0]
    assert (alone["drawn"], both["drawn"]) == ("seeds", "seeds x images")
    assert alone["ci_high"] - alone["ci_low"] < both["ci_high"] - both["ci_low"]
    assert "its interval covers seeds only: no answers to resample" in to_text([alone])
    mixed = board_rows([*bare, *second])
    assert ranks(mixed) == {"a": 1, "b": 2}
    assert mixed[1]["note"] == "tested against a over seeds only: it has no predictions"


def test_one_seed_is_tested_over_its_images_and_says_so(make_run: MakeRun) -> None:
    right = answers(0.6)
    rows = board_rows([make_run(right, strategy="a"), make_run(worse_by(right, 60), strategy="b")])
    assert [(row["rank"], row["drawn"]) for row in rows] == [(1, "images"), (2, "images")]
    assert rows[1]["note"] == "tested against a on one seed only"
    tie = board_rows([make_run(right, strategy="a"), make_run(worse_by(right, 2), strategy="b")])
    assert [row["rank"] for row in tie] == [1, 1]


def test_two_answers_of_one_run_have_their_own_resamples(make_run: MakeRun) -> None:
    right = answers(0.6)
    run, other = make_run(right, strategy="best"), make_run(worse_by(right, 30), strategy="less")
    assert run.folder is not None and other.folder is not None
    mine, theirs = read_predictions(run.folder / "predictions.npz"), read_predictions(other.folder / "predictions.npz")
    table = {**mine.prediction, "cil_seen:student": theirs.prediction["cil_seen"]}
    record = copy.deepcopy(run.record)
    record["result"]["accuracy"]["cil_seen:student"] = other.result["accuracy"]["cil_seen"]
    file = run.folder.parent / "both" / "predictions.npz"
    record["result"]["predictions_sha256"] = write_predictions(file, replace(mine, prediction=table))
    one, two = (Entry((Run(record, file.parent),), f"cil_seen{kind}", "A_last_sample") for kind in ("", ":student"))
    best, less = (Entry((each,), "cil_seen", "A_last_sample") for each in (run, other))
    found, expected = difference(one, two, Resamples([one, two])), difference(best, less, Resamples([best, less]))
    assert found.values == expected.values == pytest.approx((0.1,))
    assert found.interval is not None and found.interval == expected.interval and found.interval[0] < found.interval[1]
