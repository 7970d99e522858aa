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
    slca = fidelity.tests_of("slca")["strategies/test_slca.py"]
    assert "alignment never accumulates" in slca
    assert list(fidelity.tests_of("pred-kd"))[:2] == [
        "strategies/test_pred_kd.py",
        "strategies/test_pred_kd_mammoth.py",
    ]
    assert list(fidelity.tests_of("finetune")) == ["bases/test_fine_tuning.py"], "not those of finetune-dynamic"
    assert "bases/test_network_per_task.py" in fidelity.tests_of("pretrained")
    for module in {module for modules in fidelity.ALSO.values() for module in modules}:
        assert (fidelity.ROOT / "cl" / f"{module}.py").is_file(), module


def test_a_test_of_one_avalanche_strategy_is_not_one_of_another() -> None:
    icarl = fidelity.tests_of("avalanche/icarl")["strategies/test_avalanche.py"]
    assert "icarl refuses classes that return" in icarl and not any("lwf" in words for words in icarl)


def test_a_strategy_without_tests_or_runs_has_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "own", lambda _: ["slca"])
    monkeypatch.setattr(fidelity, "tests_of", lambda _: {})
    row = fidelity.overview([]).splitlines()[2]
    assert "| the contract alone |" in row and "| not yet |" in row and "`clbench reproduce vitb16-slca`" in row
