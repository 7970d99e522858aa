"""`clbench metrics`: every metric, and the metrics of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cl
from cl.cli import call
from cl.records.metrics import METRICS
from cl.records.record import save

Shown = pytest.CaptureFixture[str]


def test_metrics_explain_themselves(capsys: Shown) -> None:
    assert call(["metrics"]) == 0
    shown = capsys.readouterr().out
    for metric in METRICS.values():
        assert f"{metric.id}: {metric.title}\n    formula  {metric.formula}\n    source   {metric.source}\n" in shown
    assert call(["metrics", "F_local_rf"]) == 0
    assert "range    -1 to 1, higher is better; needs local" in capsys.readouterr().out
    assert call(["metrics", "BWT", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["range"] == [-1.0, 1.0]
    assert call(["metrics", "F_chaudry"]) == 2
    assert "There is no metric and no run 'F_chaudry'. Did you mean F_chaudhry?" in capsys.readouterr().err


def test_metrics_of_a_run_come_from_its_counts(tmp_path: Path, capsys: Shown) -> None:
    reference = sorted((Path(cl.__file__).parent.parent / "results" / "reference").rglob("record.json"))
    if not reference:
        pytest.skip("needs the records of the repository")
    record = json.loads(reference[0].read_text())
    assert call(["metrics", str(reference[0].parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == record["result"]["metrics"]
    record["result"]["metrics"]["cil_seen"]["A_last_sample"] = 0.123
    save(record, tmp_path / "record.json")
    assert call(["metrics", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "The record says 0.123000 for A_last_sample, cil_seen." in shown.err
    assert "| A_last_sample " in shown.out and "0.123000" not in shown.out
    (tmp_path / "empty").mkdir()
    assert call(["metrics", str(tmp_path / "empty")]) == 2
    assert "holds no record.json" in capsys.readouterr().err
