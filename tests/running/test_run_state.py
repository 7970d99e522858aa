"""The progress of a run, as a checkpoint holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cl.running.evaluation import Row
from cl.running.run_state import RunState
from cl.training import state


def test_the_state_of_a_run_survives_the_disk(tmp_path: Path) -> None:
    index, best = np.array([2, 0, 1]), np.array([4, -1, 3], np.int64)
    row = Row(index, {"cil_seen": best}, {"cil_seen": np.array([0.5, 0, 1.25], np.float32)})
    before = RunState(
        next_event=3, seen=4, rows=[{"event": 1, "task": 0, "split": "test"}], results=[row, Row(np.array([1]))],
        resumed_from=["after event 1"], report={"gates": 0.25},
    )  # fmt: skip
    state.save(tmp_path / "event.safetensors", before.as_state())
    after = RunState.from_state(state.load(tmp_path / "event.safetensors"))
    assert vars(after) | {"results": None} == vars(before) | {"results": None}
    assert len(after.results) == 2 and after.results[1].prediction == {}
    assert np.array_equal(after.results[0].index, index)
    assert np.array_equal(after.results[0].prediction["cil_seen"], best), "a rule without an answer stays without"
    assert np.array_equal(after.results[0].margin["cil_seen"], row.margin["cil_seen"])


def test_a_new_run_shares_nothing_with_another() -> None:
    one, other = RunState(), RunState()
    one.rows.append({})
    one.peak["peak_rss"] = 5
    assert other.rows == [] and other.peak["peak_rss"] == 0
