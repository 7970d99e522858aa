"""Bytes kept after every task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import ContractError
from cl.records.record import validate
from cl.records.stored import growth, stored_by_task
from cl.strategies.replay import Replay
from cl.strategies.simplecil import SimpleCIL
from tests.conftest import make, run, tiny_stream

Make = Callable[..., dict[str, Any]]


def events(*sizes: int) -> list[dict[str, Any]]:
    """A train event and an evaluation for every task; the evaluation says what is kept."""
    found: list[dict[str, Any]] = []
    for task, size in enumerate(sizes):
        stored = {"samples": 0, "statistics": size, "parameters": 100}
        found += [{"event": 2 * task, "what": f"train {task}"}, {"event": 2 * task + 1, "stored": stored}]
    return found


def test_bytes_by_task(make_record: Make) -> None:
    record = make_record(measurement__events=events(100, 200, 300))
    validate(record)
    assert {task: sum(kept.values()) for task, kept in stored_by_task(record).items()} == {0: 200, 1: 300, 2: 400}
    assert growth(record) == 2.0
    old = make_record()
    assert stored_by_task(old) == {} and growth(old) is None
    nothing = make_record(
        measurement__events=[
            {**each, "stored": dict.fromkeys(("samples", "statistics", "parameters"), 0)} for each in events(0, 0, 0)
        ]
    )
    assert growth(nothing) is None
    with pytest.raises(ContractError, match=r"measurement\.events\[1\]\.stored"):
        validate(make_record(measurement__events=[{}, {"event": 1, "stored": {"samples": -1}}]))


def test_a_run_records_what_its_method_kept(tmp_path: Path) -> None:
    learner, stream = make(SimpleCIL), tiny_stream(evaluate_on="all")
    record = run(learner, stream, tmp_path / "one")
    kept = stored_by_task(record)
    per_class = 4 * learner.backbone.dim + 8  # a mean and a number of images
    sizes = [len(experience.classes) for experience in stream.experiences]
    assert [kept[task]["statistics"] for task in range(len(sizes))] == [
        per_class * sum(sizes[: task + 1]) for task in range(len(sizes))
    ]
    assert record["measurement"]["stored"] == kept[len(sizes) - 1]
    assert "stored" in record["measurement"]["events"][0] and "stored" not in record["measurement"]["events"][1]
    replay = make(Replay, epochs=1, batch_size=16, lr=0.05, augment="flip", memory_size=20)
    samples = [kept["samples"] for kept in stored_by_task(run(replay, stream, tmp_path / "two")).values()]
    assert samples[0] == samples[-1] > 0, "a memory of constant size"
