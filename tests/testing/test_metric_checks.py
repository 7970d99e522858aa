"""Checks of a metric: a good one passes, and each check finds the metric that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cl.errors import UsageError
from cl.testing import METRIC_CHECKS, check_metric, examine_metric, parametrize_with_metric_checks
from tests.help import metric_plugins as plugins

pytestmark = pytest.mark.usefixtures("isolated")


@parametrize_with_metric_checks(["A_last_sample", "F_chaudhry", "A_auc", "PD", plugins.GoodMetric, plugins.Errors])
def test_metrics_keep_the_contract(check: Callable[[], None]) -> None:
    check()


def test_every_check_is_tried() -> None:
    report = examine_metric(plugins.GoodMetric)
    assert {each.check: each.status for each in report.outcomes} == dict.fromkeys(METRIC_CHECKS, "passed")


@pytest.mark.parametrize(
    ("metric", "check", "says"),
    [
        (plugins.NoFormula, "documented", "the docstring has no 'Formula:' and no 'Source:'"),
        (plugins.NoDirection, "declarations", ".*higher_is_better must be True or False"),
        (plugins.Raises, "computes", "IndexError: "),
        (plugins.Text, "computes", r"compute returned '.*' for four tasks"),
        (plugins.Undefined, "computes", "it is undefined for a complete run of three tasks, under the rules cil_seen"),
        (plugins.Percent, "in-range", "it is .* for four tasks, outside 0 to 1"),
        (plugins.Noisy, "pure", r"it is 0\..* and then 0\..* for four tasks"),
        (plugins.Changes, "pure", "compute changed its argument result"),
        (plugins.Steps, "smooth", "for four tasks, it jumps by 1 when the correct answers of a task pass 12"),
        (plugins.Rounded, "smooth", "for four tasks, it jumps by 0.0001 when"),
    ],
)
def test_what_breaks_the_contract_is_found(metric: type[Any], check: str, says: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s){check}: {says}.*Fix: "):
        check_metric(metric, only=[check])


def test_an_error_is_found_in_the_authors_file() -> None:
    (outcome,) = examine_metric(plugins.Raises, only=["computes"]).outcomes
    assert "metric_plugins.py:" in outcome.found and "(which called" not in outcome.found


def test_a_step_function_that_says_so_passes() -> None:
    class Says(plugins.Steps):
        smooth = False

    (outcome,) = examine_metric(Says, only=["smooth"]).outcomes
    assert outcome.status == "skipped"


def test_what_no_small_run_has_is_skipped() -> None:
    (outcome,) = examine_metric("Omega_all", only=["computes"]).outcomes
    assert outcome.status == "skipped" and "it needs a joint run" in outcome.found
    (outcome,) = examine_metric("FWT", only=["computes"]).outcomes
    assert outcome.status == "skipped" and "it is undefined for the small run" in outcome.found
    (outcome,) = examine_metric("E_own", only=["computes"]).outcomes
    assert outcome.status == "skipped" and "no small run in the setting task-incremental" in outcome.found


def test_wrong_usage_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="There is no metric 'worst'"):
        check_metric("worst")
    with pytest.raises(UsageError, match="Give the name of a metric or a class, not 3"):
        check_metric(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"There is no check 'puer'\. Did you mean pure"):
        check_metric("BWT", only=["puer"])
