"""The record of a run and the files next to it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cl.records import predictions
from cl.records.record import load, recompute, validate
from cl.running.record_writer import Writer
from cl.running.run_state import RunState
from cl.strategies.finetune import Finetune
from cl.strategies.simplecil import SimpleCIL
from tests.conftest import header, make, run, tiny_stream

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "flip"}


def test_record_is_valid_derived_and_recomputable(tmp_path: Path) -> None:
    learner = make(Finetune, **FAST)
    record = run(learner, tiny_stream(), tmp_path)
    validate(record)
    assert record == load(tmp_path / "record.json") and record["status"] == "complete"
    assert recompute(record)["result"] == record["result"]
    saved = predictions.read_predictions(tmp_path / "predictions.npz")
    for rule, table in record["result"]["accuracy"].items():
        for row, correct in enumerate(table["correct"]):
            for group, value in enumerate(correct):
                here = saved.group == group
                found = int((saved.prediction[rule][row][here] == saved.label[here]).sum())
                assert value is None or value == found
    events = (tmp_path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in events] == list(range(10))
    measurement = record["measurement"]
    assert measurement["parameters"]["trainable"] == sum(p.numel() for p in learner.backbone.parameters()) + 10 * 17
    assert measurement["parameters"]["total"] == measurement["parameters"]["trainable"], "each parameter counts once"
    assert measurement["flops"]["executed"] > 0 and measurement["memory"]["peak_rss"] > 0
    assert measurement["stored"] == {"samples": 0, "statistics": 0, "parameters": measurement["stored"]["parameters"]}
    assert not (tmp_path / "checkpoint").exists()


def test_years_and_domains_stand_outside_the_result(tmp_path: Path) -> None:
    stream = tiny_stream()
    plain = run(make(SimpleCIL), stream, tmp_path / "plain")
    dated = (replace(stream.groups[0], year=1998, domain="ocr"), *stream.groups[1:])
    told = run(make(SimpleCIL), replace(stream, groups=dated), tmp_path / "told")
    validate(told)
    assert told["measurement"]["groups"] == [{"year": 1998, "domain": "ocr"}] + [{}] * (len(dated) - 1)
    assert "groups" not in plain["measurement"], "a stream without them has the record that it always had"
    assert told["result_sha256"] == plain["result_sha256"] and told["result"] == plain["result"]


def test_header_is_kept(tmp_path: Path) -> None:
    record = run(make(SimpleCIL), tiny_stream(), tmp_path)
    assert record["result"]["strategy"] == header(SimpleCIL)["strategy"]
    assert record["result"]["backbone"]["name"] == "tiny"


@pytest.mark.parametrize("options", [{}, {"split": "val"}])
def test_what_is_kept_between_writes_gives_the_files_of_a_fresh_writer(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, compared = Writer.write, []

    def checked(self: Writer, state: RunState, status: str, error: str | None = None) -> None:
        write(self, state, status, error)
        fresh = Writer(self.strategy, self.stream, tmp_path / "fresh", self.header, self.trainer, self.warnings)
        fresh.created = self.created
        write(fresh, state, status, error)
        assert fresh.record["result"] == self.record["result"] and fresh.record["status"] == status
        for name in ("predictions.npz", "events.jsonl"):
            assert (tmp_path / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()
        compared.append(len(state.rows))

    monkeypatch.setattr(Writer, "write", checked)
    run(make(SimpleCIL), tiny_stream(**options), tmp_path, save_scores=True)
    assert compared == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    saved = predictions.read_predictions(tmp_path / "predictions.npz")
    assert set(saved.scores) == set(predictions.SCORES) and len(saved.prediction["cil_seen"]) == 5


def test_each_row_is_laid_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out, lay_out = [], Writer._lay_out

    def noted(self: Writer, i: int, *arguments: Any, **more: Any) -> None:
        laid_out.append(i)
        lay_out(self, i, *arguments, **more)

    monkeypatch.setattr(Writer, "_lay_out", noted)
    run(make(SimpleCIL), tiny_stream(), tmp_path)
    assert laid_out == [0, 1, 2, 3, 4]
