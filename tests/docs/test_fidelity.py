"""docs/fidelity.md is what its generator makes of code, tests and records."""

from __future__ import annotations

import fidelity
import pytest

from cl.results import load_results
from cl.results.leaderboard.published import published


@pytest.fixture(scope="module")
def page() -> str:
    return fidelity.PAGE.read_text(encoding="utf-8")


def test_the_page_is_current(page: str) -> None:
    records = load_results(fidelity.RECORDS).records
    made = fidelity.with_table(page, fidelity.page(records), fidelity.MARKS)
    assert made == page, "run `python docs/fidelity.py`"


def test_every_strategy_has_a_row_and_a_section(page: str) -> None:
    for name in fidelity.own(fidelity.registry.strategies):
        assert f"| [{name}](#{name.replace('/', '')}) |" in page and f"\n### {name}\n" in page


def test_every_published_number_is_shown_with_its_tag(page: str) -> None:
    for row in published():
        part = page.partition(f"\n### {row.strategy}\n")[2].partition("\n### ")[0]
        assert all(number.text in part for number in row.values.values()) and f"({row.tag})" in part, row


def test_tests_are_found_by_strategy() -> None:
    slca = fidelity.tests_of("slca")["test_strategy_slca.py"]
    assert "alignment never accumulates" in slca
    joint = fidelity.tests_of("joint")["test_strategy_baselines.py"]
    assert "joint has only a last row and no forgetting" in joint
    assert not any("simplecil" in words for words in joint)
    assert len(fidelity.tests_of("pred-kd")) == 2


def test_a_strategy_without_tests_or_runs_has_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "own", lambda _: ["slca"])
    monkeypatch.setattr(fidelity, "tests_of", lambda _: {})
    row = fidelity.overview([]).splitlines()[2]
    assert "| the contract alone |" in row and "| not yet |" in row and "`clbench reproduce vitb16-slca`" in row
