"""The program that compares estimates of costs with records."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cost_model import CLOSE, ROOT, Ratio, counted, ratios, table


def test_learning_and_evaluation_are_counted_apart() -> None:
    events = [{"what": what, "uncached": sum_} for what, sum_ in (("train 0", 5.0), ("evaluate test", 7.0))]
    events.append({"what": "train 1", "uncached": 17.0})
    assert counted({"measurement": {"events": events}}) == (15.0, 2.0)


@pytest.mark.usefixtures("isolated")
def test_records_of_digits_are_estimated_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLBENCH_DATA_PATH", raising=False)
    files = sorted(ROOT.glob("results/reference/**/*-digits/*/*/*/*/record.json"))
    chosen = list({path.parts[-5] + path.parts[-4]: path for path in files}.values())
    found, left_out = ratios([path for path in chosen if "ear" not in path.parts])
    assert left_out == 0 and len({each.strategy for each in found}) >= 8
    assert all(CLOSE[0] < each.learning < CLOSE[1] and 0.9 < each.evaluation < 1.1 for each in found), found


def test_methods_that_are_close_share_a_line(tmp_path: Path) -> None:
    found = [Ratio("a", 1.0, 1.0), Ratio("b", 0.9, 1.0), Ratio("c", 3.0, 2.0)]
    assert table(found).splitlines()[2:] == [
        "| 2 other methods | 2 | 0.95 | 0.90 | 1.00 | 1.00 |",
        "| `c` | 1 | 3.00 | 3.00 | 3.00 | 2.00 |",
    ]
    assert len(table(found, every=True).splitlines()) == 5
