"""Evaluating all groups, also before the first task."""

from __future__ import annotations

from pathlib import Path

from cl.strategies.linear_probe import LinearProbe
from tests.conftest import make, run, tiny_stream


def test_growing_heads_have_no_answer_before_they_learned_a_task(tmp_path: Path) -> None:
    record = run(make(LinearProbe, epochs=1, batch_size=16), tiny_stream(evaluate_on="all"), tmp_path)
    accuracy = record["result"]["accuracy"]
    assert accuracy["cil_seen"]["correct"][0] == [None] * 5, "no class was seen"
    assert accuracy["cil_seen"]["correct"][1][1:] == [0] * 4, "classes not seen yet are never answered"
    assert accuracy["til_masked"]["correct"][1][0] is not None
    assert accuracy["til_masked"]["correct"][1][1:] == [None] * 4, "there is no column for these classes"
    assert record["result"]["metrics"]["til_masked"]["FWT"] is None
