"""The statistics of the benchmarks: intervals of medians, verdicts, and the bounds of the comparison with Avalanche."""

from __future__ import annotations

import pytest

from benchmarks.measuring import Figure, Interval, median_interval
from benchmarks.peers.report import WORK, figures


@pytest.mark.parametrize(
    ("count", "low", "high", "confidence"),
    [
        (1, 1, 1, 0.0),
        (2, 1, 2, 0.5),
        (5, 1, 5, 1 - 2 / 32),
        (7, 1, 7, 1 - 2 / 128),  # the next pair, 2 to 6, has 0.875
        (8, 2, 7, 1 - 2 * 9 / 256),
        (11, 3, 9, 1 - 2 * 67 / 2048),
    ],
)
def test_interval_of_a_median(count: int, low: int, high: int, confidence: float) -> None:
    """Of the values 1 to `count`; the confidences are binomial probabilities."""
    values = [float(value) for value in range(count, 0, -1)]
    found = median_interval(values)
    assert found == Interval((count + 1) / 2, low, high, count, found.confidence)
    assert found.confidence == pytest.approx(confidence)


def test_more_confidence_needs_a_wider_interval() -> None:
    values = [float(value) for value in range(1, 12)]
    assert median_interval(values, 0.98).low == 2 and median_interval(values, 0.5).low == 4


def test_no_values_have_no_median() -> None:
    with pytest.raises(ValueError, match="no values"):
        median_interval([])


@pytest.mark.parametrize(
    ("low", "high", "count", "target", "verdict"),
    [
        (0.80, 0.85, 5, 0.85, "met"),
        (0.80, 0.86, 5, 0.85, "open"),
        (0.86, 0.90, 5, 0.85, "missed"),
        (0.80, 0.81, 4, 0.85, "needs 5"),
        (0.80, 0.81, 5, None, ""),
    ],
)
def test_verdict(low: float, high: float, count: int, target: float | None, verdict: str) -> None:
    """A figure is met only if its whole interval is at or below the bound."""
    assert Figure("x", Interval((low + high) / 2, low, high, count, 0.94), target).verdict == verdict


def rows(tests: int) -> list[dict[str, object]]:
    """Five pairs in which ours takes 0.80, 0.81, ... of the other's seconds."""
    work = dict(zip(WORK, ("naive", "split-cifar100", 10, 50, tests, 1, 20, "fp32", 1), strict=True))
    found: list[dict[str, object]] = []
    for pair in range(5):
        for side, seconds in (("theirs", 2.0), ("ours", 1.6 + 0.02 * pair)):
            parts = {f"{part}_cpu": seconds for part in ("learn", "evaluation", "whole")}
            found.append({**work, "pair": pair, "side": side, **parts})
    return found


def test_figures_of_a_comparison() -> None:
    found = {figure.name: figure for figure in figures([*rows(50), *rows(4)])}
    assert len(found) == 6
    assert found["naive evaluation, 10 tasks, 50 / 50 images per class"].target == 0.85
    assert found["naive evaluation, 10 tasks, 50 / 4 images per class"].target == 0.90
    assert found["naive learn, 10 tasks, 50 / 50 images per class"].target == 1.00
    assert found["naive learn, 10 tasks, 50 / 4 images per class"].target == 1.00
    assert found["naive whole, 10 tasks, 50 / 4 images per class"].target is None
    for figure in found.values():
        assert figure.found.median == pytest.approx(0.82)
        assert [figure.found.low, figure.found.high] == pytest.approx([0.80, 0.84])


@pytest.mark.parametrize("change", [{"stream": "split-digits"}, {"epochs": 3}, {"batch_size": 64}, {"threads": 2}])
def test_bounds_hold_for_their_work_only(change: dict[str, object]) -> None:
    assert all(figure.target is None for figure in figures([{**row, **change} for row in rows(50)]))


@pytest.mark.parametrize(("tasks", "bound"), [(10, 0.8), (5, None)])
def test_bounds_of_a_whole_run_hold_for_ten_tasks(tasks: int, bound: float | None) -> None:
    found = {
        figure.name: figure.target for figure in figures([{**row, "method": "ewc", "tasks": tasks} for row in rows(4)])
    }
    assert found[f"ewc whole, {tasks} tasks, 50 / 4 images per class"] == bound
