"""Tables of one run: right numbers, and never a number cut."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from cl.errors import UsageError
from cl.records.metrics import shown
from cl.results.tables import CURVE, aligned, csv_cell, curve_rows, forgetting_table, forgetting_text, summary_line
from tests.help.few_shot import few_shot_runs, runs
from tests.help.records import build_probe

Make = Callable[..., dict[str, Any]]


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_the_worked_example(make_record: Make) -> None:
    text = forgetting_text(make_record())
    assert cells(text)[0] == ["after task", "1", "2", "3", "A_t"]
    assert cells(text)[2:] == [
        ["1", "90.00", "", "", "90.00"],
        ["2", "80.00", "70.00", "", "75.00"],
        ["3", "60.00", "75.00", "50.00", "61.67"],
        ["forgetting", "30.00", "-5.00", "-", "12.50"],
    ]
    want = "A_last_sample 61.67  A_inc_sample 75.56  F_chaudhry 12.50  BWT -12.50  time 90.0 s  GFLOP 1000  peak MB 300"
    assert text.splitlines()[-1] == want == summary_line(make_record())
    assert text.splitlines()[0] == "slca on split-toy with vit_micro, accuracy in percent, rule cil_seen"
    assert text.isascii()


def big(make: Make, tasks: int) -> dict[str, Any]:
    """Row t, group g holds a number of its own; the first groups were learned to 100 percent."""
    table = [
        [100 - group - (step - group) // 2 if group <= step else None for group in range(tasks)]
        for step in range(tasks)
    ]
    return make(table)


@pytest.mark.parametrize("tasks", [10, 20])
@pytest.mark.parametrize("width", [None, 20, 80, 200])
def test_no_number_is_cut(make_record: Make, tasks: int, width: int | None) -> None:
    record = big(make_record, tasks)
    text = forgetting_text(record, width=width)
    table = record["result"]["accuracy"]["cil_seen"]["correct"]
    rows = cells(text)
    found = {}
    for row in rows:
        if row[0] == "after task":
            header = row[1:-1]
        elif row[0].isdigit():
            found.update(
                {(int(row[0]), int(group)): cell for group, cell in zip(header, row[1:-1], strict=True) if cell}
            )
    want = {(t + 1, g + 1): f"{table[t][g]:.2f}" for t in range(tasks) for g in range(t + 1)}
    assert found == want
    if width is not None and width >= 80:
        assert max(len(line) for line in text.splitlines() if line.startswith("|")) <= width


def test_the_rich_table_holds_everything(make_record: Make) -> None:
    record = big(make_record, 20)
    out = io.StringIO()
    Console(file=out, width=200, color_system=None).print(forgetting_table(record))
    rows = [line.split() for line in out.getvalue().splitlines()]
    for step, row in enumerate(record["result"]["accuracy"]["cil_seen"]["correct"]):
        values = [value for value in row if value is not None]
        want = [f"{value:.2f}" for value in [*values, sum(values) / len(values)]]
        assert [str(step + 1), *want] in rows
    assert summary_line(record) in out.getvalue()


def test_one_task_and_no_rows_yet(make_record: Make) -> None:
    text = forgetting_text(make_record([[42]]))
    assert cells(text)[2:] == [["1", "42.00", "42.00"], ["forgetting", "-", "-"]]
    assert "A_last_sample 42.00  A_inc_sample 42.00  F_chaudhry -  BWT -" in text
    empty = forgetting_text(make_record([], status="partial"))
    assert cells(empty)[2:] == [["forgetting", "-", "-", "-", "-"]]
    assert ", partial" in empty.splitlines()[0]


def test_unknown_measurements_and_rules(make_record: Make) -> None:
    seconds = {"train": None, "eval": None, "data": None, "checkpoint": None, "total": None}
    record = make_record(
        measurement__seconds=seconds,
        measurement__flops={"executed": None, "uncached": None},
        measurement__memory={"peak_rss": 1e6, "peak_device": 2e9},
    )
    assert summary_line(record).endswith("time -  GFLOP -  peak MB 2000")
    with pytest.raises(UsageError, match="no prediction rule 'dil'"):
        forgetting_table(record, "dil")
    with pytest.raises(UsageError, match="no prediction rule 'dil'"):
        summary_line(record, "dil")


def test_the_usual_rule_is_shown_and_limited_runs_say_so(make_record: Make) -> None:
    record = make_record(rules=("dil", "cil_seen"), result__limited=True)
    assert "rule cil_seen, limited" in forgetting_text(record)
    assert "rule dil, limited" in forgetting_text(record, "dil")


def test_the_summary_line_says_base_and_novel_instead_of_forgetting(make_record: Make) -> None:
    line = summary_line(few_shot_runs(make_record, "a")[0])
    assert "A_base 75.00  A_novel 40.00  A_harmonic 52.17  PD 20.00" in line
    assert "F_chaudhry" not in line and "BWT" not in line
    assert "F_chaudhry" in summary_line(runs(make_record, "a")[0])
    assert shown("class-incremental") == ("A_last_sample", "A_inc_sample", "F_chaudhry", "BWT")


@pytest.mark.parametrize("text", ["=1+1", "+1 a", "-a", "@SUM(A1)", "\tx", "\rx", "=", "-"])
def test_text_that_a_spreadsheet_takes_for_a_formula_is_escaped(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["-1.5", "+2e3", "a=1", "", "1-2", -1.5, None, 3, "'=1"])
def test_numbers_and_other_text_stay(value: object) -> None:
    assert csv_cell(value) is value


def test_cells_hold_no_control_characters() -> None:
    assert aligned(["a"], [["x\x1b[31m\n|y"]])[2] == r"| x\x1b[31m\n|y |"


def test_a_curve_has_the_probe_and_the_memory_of_records_that_have_them(make_record: Make) -> None:
    assert list(curve_rows(make_record())[0]) == list(CURVE)
    stored = {"samples": 10, "statistics": 5, "parameters": 100}
    events = [{"event": 1, "stored": stored}, {"event": 5, "stored": {**stored, "samples": 30}}]
    rows = curve_rows(make_record(result__probe=build_probe([120, 110, 130, 90]), measurement__events=events))
    assert [row["F_pretraining"] for row in rows] == pytest.approx([0.05, -0.05, 0.15])
    assert [row["stored"] for row in rows] == [115, None, 135]
