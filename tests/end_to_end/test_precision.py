"""Runs in bf16 are as accurate as runs in fp32."""

from __future__ import annotations

from pathlib import Path

import pytest

import cl
from cl.plan.precision import resolve_precision

WITHIN = 0.003
"""Accuracy, as a fraction: 0.3 points."""


@pytest.mark.skipif(resolve_precision("auto", "cpu") != "bf16", reason="this processor has no instructions for bf16")
@pytest.mark.parametrize("strategy", ["simplecil", "ranpac"])
def test_accuracies_in_bf16_are_within_a_third_of_a_point(strategy: str, tmp_path: Path) -> None:
    exact, half = (
        cl.run(strategy, "split-digits", precision=precision, device="cpu", results=tmp_path)
        for precision in ("fp32", "auto")
    )
    assert [run.record["result"]["precision"]["dtype"] for run in (exact, half)] == ["fp32", "bf16"]
    last, expected = (run.metrics["cil_seen"]["A_last_sample"] for run in (half, exact))
    assert last == pytest.approx(expected, abs=WITHIN)
