"""Costs of runs: means over seeds, what is not measured, and what they were measured with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.records.flops import COUNTED_BY
from cl.results.costs import COLUMNS, costs, letters
from cl.results.leaderboard.entries import Run, environment_text

Make = Callable[..., dict[str, Any]]

ONE: dict[str, Any] = {
    "packages": {"clbench": "0.2.0", "torch": "2.8.0"}, "device": "cpu", "processor": "A CPU", "threads": 1
}  # fmt: skip
GPU = {**ONE, "device": "A GPU"}


def test_rows_are_means_over_seeds_and_the_cheapest_is_first(make_record: Make) -> None:
    given = [
        make_record(seed=seed, measurement__flops={"executed": 1e12, "uncached": (seed + 1) * 1e12}, **more)
        for seed in (0, 1)
        for more in (
            {"measurement__stored": {"samples": 10 * seed, "statistics": 64, "parameters": 400}},
        )
    ]  # fmt: skip
    cheap = make_record(strategy="ewc", measurement__flops={"executed": 1e11, "uncached": 1e11})
    [found] = costs(map(Run, [*given, cheap]))
    assert [row["strategy"] for row in found.rows] == ["ewc", "slca"] and found.board.startswith("split-toy@1")
    row = found.rows[1]
    assert list(row) == list(COLUMNS)
    assert (row["n_runs"], row["tflops"], row["tflops_executed"], row["tuning_tflops"]) == (2, 1.5, 1.0, None)
    assert (row["kept_samples"], row["kept_statistics"], row["kept_parameters"]) == (5, 64, 400)
    assert (row["trained"], row["parameters"], row["peak_rss"], row["peak_device"]) == (100, 1000, 3e8, None)
    assert (row["learning_seconds"], row["total_seconds"]) == (75, 90)


def test_energy_is_a_mean_only_if_every_run_measured_it(make_record: Make) -> None:
    measured = [{"processor": 100.0, "accelerator": None}, {"processor": 300.0, "accelerator": 5.0}]
    runs = [make_record(seed=seed, measurement__energy=each) for seed, each in enumerate(measured)]
    [[row]] = [each.rows for each in costs(map(Run, runs))]
    assert (row["processor_joules"], row["accelerator_joules"]) == (200, None)
    [[row]] = [each.rows for each in costs(map(Run, [*runs, make_record(seed=2)]))]
    assert (row["processor_joules"], row["accelerator_joules"]) == (None, None)


def test_rows_name_the_environments_of_their_runs(make_record: Make) -> None:
    two = {**ONE, "threads": 2}
    records = [
        make_record(seed=0, measurement__environment=ONE, measurement__flops_counted_by=COUNTED_BY),
        make_record(seed=1, measurement__environment=two, measurement__flops_counted_by=COUNTED_BY),
        make_record(strategy="ewc", measurement__environment=GPU, measurement__flops_counted_by="other"),
    ]
    [found] = costs(map(Run, records))
    assert {row["strategy"]: row["measured_with"] for row in found.rows} == {"ewc": "A", "slca": "B C"}
    assert found.environments == {
        "A": "clbench 0.2.0, torch 2.8.0, A GPU, float32",
        "B": "clbench 0.2.0, torch 2.8.0, A CPU (1 thread), float32",
        "C": "clbench 0.2.0, torch 2.8.0, A CPU (2 threads), float32",
    }
    assert found.counted_by == tuple(sorted((COUNTED_BY, "other")))
    old = make_record()
    assert environment_text(old) == "torch 2.8.0, unknown device, float32"
    assert len(set(letters(map(str, range(60))).values())) == 60


def test_tuning_is_shown_beside_the_cost_of_the_run(make_record: Make) -> None:
    tuning = {"study": "s", "trials": 3, "flops": {"executed": 1e12, "uncached": 4e12}}
    [[row]] = [each.rows for each in costs([Run(make_record(measurement__tuning=tuning))])]
    assert (row["tflops"], row["tuning_tflops"]) == (2, 4)


def test_boards_are_apart_and_filters_choose(make_record: Make) -> None:
    runs = [Run(make_record()), Run(make_record(strategy="ewc", result__backbone__name="other"))]
    assert len(costs(runs)) == 2
    assert [each.rows[0]["strategy"] for each in costs(runs, {"backbone": ["oth*"]})] == ["ewc"]
    assert costs(runs, {"strategy": ["absent"]}) == []
    with pytest.raises(UsageError, match="cannot be filtered"):
        costs(runs, {"colour": ["red"]})
    with pytest.raises(UsageError, match="no records"):
        costs([])
