"""Heat maps of the confusion matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cl.results.leaderboard.entries import Run
from cl.results.plots import plots_of

MakeRun = Callable[..., Run]


def answered(make_run: MakeRun, seed: int) -> Run:
    """Two images of each of six classes; in each class of the first run one is wrong, and none in the second."""
    right = np.ones((3, 12), dtype=bool)
    right[2, ::2] = seed == 1
    return make_run(right, seed=seed)


def test_seeds_with_their_own_class_orders_add_up(make_run: MakeRun) -> None:
    found = [answered(make_run, seed) for seed in range(2)]
    [plot] = plots_of([run.record for run in found], ["confusion"], folders=[run.folder for run in found])
    assert plot.data["classes"] == [f"class {label}" for label in range(6)]
    table = np.array(plot.data["table"])
    np.testing.assert_array_equal(np.diag(table), [75.0] * 6)
    np.testing.assert_array_equal(table.sum(axis=1), [100.0] * 6)
    order = np.random.default_rng(0).permutation(6)  # a wrong answer of seed 0 is the class at the next position
    assert all(table[order[place], order[(place + 1) % 6]] == 25 for place in range(6))


def test_runs_without_predictions_have_none(make_run: MakeRun, tmp_path: Path) -> None:
    found = [answered(make_run, seed) for seed in range(2)]
    records = [run.record for run in found]
    assert plots_of(records, ["confusion"]) == []
    (found[0].folder / "predictions.npz").unlink()  # type: ignore[operator]
    assert plots_of(records, ["confusion"], folders=[run.folder for run in found]) == []


def test_it_is_drawn_with_many_and_few_classes(make_run: MakeRun, tmp_path: Path) -> None:
    run = answered(make_run, 0)
    [plot] = plots_of([run.record], ["confusion"], folders=[run.folder])
    assert b"class 5" in plot.save(tmp_path / "few.svg").read_bytes()
    plot.data["classes"], plot.data["table"] = [f"c{i}" for i in range(60)], (np.eye(60, 61) * 100).tolist()
    assert plot.save(tmp_path / "many.svg").stat().st_size > 1000
