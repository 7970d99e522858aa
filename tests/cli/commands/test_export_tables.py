"""`clbench export`: every table, as CSV."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cl.cli.app import call
from cl.cli.commands.export import TABLES as OFFERED
from cl.results.export import TABLES, long_table
from cl.results.store import Results, load_results
from tests.help.on_disk import write_records

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def results(make_record: Make, tmp_path: Path) -> Results:
    return load_results(write_records(tmp_path / "runs", [make_record(seed=seed) for seed in (0, 1)]))


def test_the_command_offers_every_table() -> None:
    assert OFFERED == TABLES


def test_csv_by_the_command(results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "metrics.csv"
    assert call(["export", str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert f"of 2 runs to {out}" in capsys.readouterr().err
    assert call(["export", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out == out.read_text()
    read = pd.read_csv(io.StringIO(out.read_text()), float_precision="round_trip")
    assert read["value"].tolist() == long_table(results)["value"].tolist()
    assert call(["export", str(tmp_path / "runs"), "--out", "x.xlsx"]) == 2
    assert "neither .csv nor .parquet" in capsys.readouterr().err
    assert call(["export", str(tmp_path / "new")]) == 2
