"""The loop on online streams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl.records.record import result_sha256
from cl.running import loop
from cl.strategies.replay import Replay
from cl.strategies.simplecil import SimpleCIL
from tests.conftest import make, run
from tests.help.online import ONE_PASS, small, stream_in


def test_an_interrupted_online_run_ends_in_the_same_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stream_in("online", chunk=16, evaluate_every=30)
    options = {**ONE_PASS, "memory_size": 20}
    whole = run(make(Replay, folder=tmp_path / "whole", **options), stream, tmp_path / "whole")
    learn, calls = loop._learn, []

    def stops(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        learn(*arguments)

    monkeypatch.setattr(loop, "_learn", stops)
    with pytest.raises(KeyboardInterrupt):
        run(make(Replay, folder=tmp_path / "cut", **options), stream, tmp_path / "cut")
    monkeypatch.undo()
    resumed = run(make(Replay, folder=tmp_path / "cut", **options), stream, tmp_path / "cut")
    assert resumed["measurement"]["resumed_from"]
    assert result_sha256(resumed["result"]) == result_sha256(whole["result"])


def test_records_of_other_streams_have_no_anytime_accuracy(tmp_path: Path) -> None:
    result = run(make(SimpleCIL), small(), tmp_path)["result"]
    assert set(result["rows"][0]) == {"event", "task", "split"} and "A_auc" not in result["metrics"]["cil_seen"]


def test_rows_say_which_evaluations_were_due_by_the_period(tmp_path: Path) -> None:
    """Tasks of 12 images in chunks of 8 and 4; some evaluations at the ends of tasks are due too, others are not."""
    stream = stream_in("online", chunk=8, evaluate_every=10)
    result = run(make(SimpleCIL), stream, tmp_path)["result"]
    sizes = [len(experience.train) for experience in stream.experiences]
    arrived = [sum(sizes[: row["task"] + 1]) for row in result["rows"]]
    before = [count - sizes[row["task"]] for count, row in zip(arrived, result["rows"], strict=True)]
    due = [count // 10 > earlier // 10 for count, earlier in zip(arrived, before, strict=True)]
    assert [row["periodic"] for row in result["rows"]] == due and any(due) and not all(due)
    table = result["accuracy"]["cil_seen"]["class_correct"]
    shares = [
        sum(table[index][: row["seen"]]) / sum(result["class_count"][: row["seen"]])
        for index, row in enumerate(result["rows"])
        if row["periodic"]
    ]
    assert result["metrics"]["cil_seen"]["A_auc"] == pytest.approx(sum(shares) / len(shares))
    ends = {group["task"] for group in result["stream"]["groups"]}
    assert any(row["periodic"] and row["task"] in ends for row in result["rows"])
