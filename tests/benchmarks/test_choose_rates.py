"""The program that chooses rates: which answers it shows."""

from __future__ import annotations

import pytest

from benchmarks.choose_rates import line
from cl.errors import UsageError

METRICS: dict[str, dict[str, float | None]] = {
    "cil_seen": {"A_last_sample": 0.2, "A_inc_sample": 0.4, "A_last_task": None},
    "til_masked": {"A_last_sample": 0.7, "A_inc_sample": 0.8, "A_last_task": 0.6},
}


def test_a_line_has_the_answers_of_the_rule_that_was_asked_for() -> None:
    assert line("tag", {"lr": "0.1"}, METRICS) == "tag lr=0.1: last 20.00 %, average incremental 40.00 %"
    assert line("tag", {}, METRICS, "til_masked") == (
        "tag (preset): last 70.00 %, average incremental 80.00 %, last as a mean over tasks 60.00 %"
    )


def test_a_rule_that_a_run_does_not_answer_is_refused() -> None:
    with pytest.raises(UsageError, match="tag has no answers by the rule til_oracle; it has cil_seen, til_masked"):
        line("tag", {}, METRICS, "til_oracle")
