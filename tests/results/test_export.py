"""Runs as one long table: every number once, with what identifies its run."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cl.errors import UsageError
from cl.records.record import save
from cl.results.export import IDENTITY, TABLES, long_table, to_csv, write_table
from cl.results.leaderboard.entries import Run
from cl.results.store import Results, load_results
from tests.help.on_disk import write_records

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def results(make_record: Make, tmp_path: Path) -> Results:
    return load_results(write_records(tmp_path / "runs", [make_record(seed=seed) for seed in (0, 1)]))


@pytest.mark.parametrize("table", TABLES)
def test_rows_begin_with_what_identifies_their_run(results: Results, table: str) -> None:
    frame = long_table(results, table)
    assert tuple(frame.columns[: len(IDENTITY)]) == IDENTITY
    assert not frame.duplicated().any()
    assert len(frame) == 0 if table == "classes" else set(frame["seed_order"]) == {0, 1}


def test_values_are_those_of_the_records(results: Results) -> None:
    metrics = long_table(results).query("seed_order == 1 and rule == 'cil_seen'").set_index("metric")["value"]
    assert metrics["A_last_task"] == pytest.approx(185 / 300) and "FWT" not in metrics
    accuracy = long_table(results, "accuracy").query("seed_order == 0")
    assert accuracy["correct"].tolist() == [90, 80, 70, 60, 75, 50] and accuracy["accuracy"].tolist()[-1] == 0.5
    costs = long_table(results, "costs").query("seed_order == 0").set_index("quantity")["value"]
    assert costs["flops.uncached"] == 2e12 and "memory.peak_device" not in costs
    with pytest.raises(UsageError, match="no table 'x'; choose one of: metrics"):
        long_table(results, "x")


def test_classes_carry_the_labels_of_the_dataset(make_record: Make, tmp_path: Path) -> None:
    tables = {"correct": [[9, None]], "class_correct": [[5, 4, None, None]]}
    record = make_record(
        [[9, None]], result__accuracy={"cil_seen": tables}, result__stream__class_order=[3, 1, 0, 2],
        result__count=[100, 100], result__class_count=[50] * 4,
    )  # fmt: skip
    save(record, tmp_path / "record.json")
    frame = long_table(load_results(tmp_path), "classes")
    assert frame[["label", "class_name", "correct", "count", "accuracy"]].to_numpy().tolist() == [
        [3, "class 0", 5, 50, 0.1],
        [1, "class 1", 4, 50, 0.08],
    ]


def test_parquet(results: Results, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    frame = long_table(results)
    write_table(frame, tmp_path / "metrics.parquet")
    back = pd.read_parquet(tmp_path / "metrics.parquet")
    assert list(back.columns) == list(frame.columns) and back["value"].tolist() == frame["value"].tolist()


def test_parquet_without_pyarrow_names_the_fix(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'clbench\[parquet\]'"):
        write_table(long_table(results), tmp_path / "metrics.parquet")
    assert not (tmp_path / "metrics.parquet").exists()


def test_formulas_in_csv_are_escaped_and_numbers_are_not(make_record: Make, tmp_path: Path) -> None:
    record = make_record(strategy="=cmd|' /C calc'!A0", result__backbone__name="@x", result__strategy__preset="-p")
    frame = long_table(load_results(write_records(tmp_path, [record])))
    text = to_csv(frame)
    row = next(row for row in csv.DictReader(io.StringIO(text)) if row["metric"] == "BWT")
    assert (row["strategy"], row["backbone"], row["preset"]) == ("'=cmd|' /C calc'!A0", "'@x", "'-p")
    assert float(row["value"]) == -0.125
    assert frame["strategy"][0] == "=cmd|' /C calc'!A0", "only the file is escaped"


def test_metrics_include_those_of_the_stored_predictions(make_run: Callable[..., Run]) -> None:
    right = np.ones((3, 12), dtype=bool)
    right[2, :4] = False
    run = make_run(right)
    assert run.folder is not None
    found = long_table(load_results(run.folder)).set_index("metric")["value"]
    assert found["NFR"] == pytest.approx(run.metrics("cil_seen")["NFR"]) and found["F1_macro"] < 1
    assert "ECE" not in found
