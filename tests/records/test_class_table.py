"""Counts per class: runs say the same as a list, and everything that reads a record reads both."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.errors import ContractError
from cl.records import class_table, record
from cl.records.class_table import DENSE, RUNS, class_values, fault_of_runs, has_classes, written
from cl.records.matrix import anytime_of, classes_of
from cl.records.metrics import metrics_of_rule
from cl.records.structure import canonical, conforms
from cl.results import load_results
from cl.results.export import long_table

Make = Callable[..., dict[str, Any]]
RULE = "cil_seen"
OWN = [[5, 0, None, None, None, None], [None, None, 3, None, None, None], [None, None, None, None, 9, 8]]
"""Three tasks of two classes, each tested alone; one class has no images."""


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is written as runs, however small and full."""
    monkeypatch.setattr(class_table, "LEAST", 0)
    monkeypatch.setattr(class_table, "SHARE", 1.0)


def both(make_record: Make, rows: Any = OWN) -> tuple[dict[str, Any], dict[str, Any]]:
    """A record with a list per row, and one with runs; `always` must be in force."""
    plain = make_record(
        [[5, None, None], [None, 3, None], [None, None, 17]],
        result__accuracy={RULE: {"correct": [[5, None, None], [None, 3, None], [None, None, 17]], DENSE: rows}},
    )
    lean = copy.deepcopy(plain)
    lean["result"]["accuracy"][RULE] |= written(lean["result"]["accuracy"][RULE].pop(DENSE))
    assert RUNS in lean["result"]["accuracy"][RULE]
    return plain, lean


def hashed(value: dict[str, Any]) -> dict[str, Any]:
    return {**value, "result_sha256": record.result_sha256(value["result"])}


def sound(value: dict[str, Any]) -> bool:
    """Whether a record is accepted; the fast check and the thorough one must agree."""
    value = hashed(value)
    try:
        record.validate(value)
        thorough = True
    except ContractError:
        thorough = False
    assert conforms(value, canonical(value["result"])) == thorough
    return thorough


def test_runs_are_the_measured_neighbours(always: None) -> None:
    assert written(OWN) == {RUNS: [{"0": [5, 0]}, {"2": [3]}, {"4": [9, 8]}]}
    assert written([[None, 1, None, 2, 3], [None] * 5]) == {RUNS: [{"1": [1], "3": [2, 3]}, {}]}


def test_only_large_tables_with_few_entries_are_runs() -> None:
    def table(rows: int, classes: int, measured: int) -> list[list[int | None]]:
        return [[1] * measured + [None] * (classes - measured)] * rows

    assert RUNS in written(table(100, 1000, 250))
    assert DENSE in written(table(100, 1000, 251))
    assert DENSE in written(table(99, 100, 1)), "small"
    after = [[1] * (100 * step) + [None] * (1000 - 100 * step) for step in range(1, 11)]
    assert all(DENSE in written(after[:rows]) for rows in range(11)), "1,000 classes in ten tasks, at any moment"


@pytest.mark.parametrize("seed", range(20))
def test_runs_hold_what_the_lists_hold(seed: int, make_record: Make, always: None) -> None:
    draw = random.Random(seed)
    share = draw.random()
    rows = [[draw.randrange(51) if draw.random() < share else None for _ in range(6)] for _ in range(3)]
    plain, lean = both(make_record, rows)
    for wanted in ([], [2], [0, 1, 2]):
        one, two = (class_values(each["result"], RULE, wanted) for each in (plain, lean))
        assert len(one) == len(two) == len(wanted)
        assert not wanted or np.array_equal(one, two, equal_nan=True)
    assert sound(lean) and sound(plain)


def test_a_rule_without_counts_per_class_has_none(make_record: Make) -> None:
    tables = make_record()["result"]["accuracy"][RULE]
    assert not has_classes(tables) and has_classes({DENSE: []}) and has_classes({RUNS: []})
    with pytest.raises(KeyError):
        class_values(make_record()["result"], RULE, [0])


def test_every_reader_reads_both(make_record: Make, always: None, tmp_path: Path) -> None:
    plain, lean = both(make_record)
    assert metrics_of_rule(plain["result"], RULE) == metrics_of_rule(lean["result"], RULE)
    one, two = (classes_of(each["result"], RULE) for each in (plain, lean))
    assert one is not None and two is not None and np.array_equal(one.correct, two.correct, equal_nan=True)
    assert np.nansum(one.correct) == 25
    for each in (plain, lean):
        each["result"]["rows"][1] |= {"seen": 3, "periodic": True}
    now, then = (anytime_of(each["result"], RULE) for each in (plain, lean))
    assert now is not None and then is not None and np.array_equal(now, then, equal_nan=True)
    frames = []
    for name, each in (("plain", plain), ("lean", lean)):
        (tmp_path / name).mkdir()
        record.save(each, tmp_path / name / "record.json")
        frames.append(long_table(load_results(tmp_path / name), "classes"))
    assert frames[0].equals(frames[1]) and frames[0]["correct"].tolist() == [5, 0, 3, 9, 8]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"00": [1]}, "'00' is not the position"),
        ({"-1": [1]}, "'-1' is not the position"),
        ({"": [1]}, "'' is not the position"),
        ({"\u0663": [1]}, "is not the position"),
        ({"9" * 50: [1]}, "is not the position"),
        ({"4": [1, 1, 1]}, "the run at 4 has 3 entries, and there are 6 classes"),
        ({"6": [0]}, "the run at 6 has 1 entries"),
        ({"1": []}, "the run at 1 has 0 entries"),
        ({"1": [1, 51]}, "51 right answers among 50 images of class 2"),
        ({"0": [1, 1], "2": [1]}, "two runs touch"),
        ({"0": [1, 1], "1": [1]}, "two runs touch"),
    ],
)
def test_a_row_that_is_not_written_so_is_refused(row: Any, fault: str, make_record: Make, always: None) -> None:
    assert fault in fault_of_runs(row, [50] * 6)
    _, lean = both(make_record)
    lean["result"]["accuracy"][RULE][RUNS][1] = row
    assert not sound(lean)
    with pytest.raises(ContractError, match=r"result\.accuracy\.cil_seen\.class_correct_runs\[1\]"):
        record.validate(hashed(lean))


@pytest.mark.parametrize("row", [None, [], 3, {"0": None}, {"0": [None]}, {"0": [-1]}, {"0": [1.5]}, {"0": {"1": 1}}])
def test_a_row_of_another_type_is_refused(row: Any, make_record: Make, always: None) -> None:
    _, lean = both(make_record)
    lean["result"]["accuracy"][RULE][RUNS][1] = row
    assert not sound(lean)


def test_tables_that_disagree_are_refused(make_record: Make, always: None) -> None:
    plain, lean = both(make_record)
    tables = lean["result"]["accuracy"][RULE]
    tables[RUNS].pop()
    assert not sound(lean), "a row is missing"
    plain["result"]["accuracy"][RULE][RUNS] = both(make_record)[1]["result"]["accuracy"][RULE][RUNS]
    assert not sound(plain), "both forms"
