"""The leaderboard in every format: nothing cut, nothing lost; and the one in results/reference rebuilt."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.results.leaderboard.board_tables import NARROWEST, to_csv, to_json, to_text
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.layout import EVERY, Layout
from cl.results.leaderboard.paper_tables import to_latex, to_markdown
from cl.results.leaderboard.ranking import COLUMNS, Row, board_rows
from cl.results.store import load_results

Make = Callable[..., dict[str, Any]]
REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"


def board(make: Make, **last: list[int]) -> list[Row]:
    """Strategies with the accuracy of each seed after the last task, percent; "joint" is a bound."""
    return board_rows(
        Run(make([[99, None, None], [99, 99, None], [value] * 3], strategy=name, seed=seed,
                 result__strategy__access="past" if name == "joint" else "present"))
        for name, values in last.items()
        for seed, value in enumerate(values)
    )  # fmt: skip


def test_csv_keeps_full_precision(make_record: Make) -> None:
    rows = board(make_record, a=[50, 51, 51])
    found = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert list(found[0]) == list(COLUMNS)
    assert float(found[0]["mean"]) == rows[0]["mean"]
    assert (found[0]["rank"], found[0]["reported"]) == ("1", "")


def test_json_has_every_column(make_record: Make) -> None:
    found = json.loads(to_json([{**board(make_record, a=[50])[0], "stale": True}]))
    assert list(found[0]) == [*COLUMNS, "continued", "stds", "stale"]
    assert found[0]["ci_low"] is None and found[0]["mean"] == 0.5


def test_text_is_in_percent_and_cuts_nothing(make_record: Make) -> None:
    name = "a-strategy-with-a-really-long-name-" * 3
    text = to_text(board(make_record, **{name: [60, 62], "b": [50, 51], "joint": [90, 91]}))
    assert name in text and text.isascii() and "…" not in text
    assert "61.00 [60.00, 62.00]" in text
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1
    assert "bound | joint" in text and "bound: may read earlier data" in text
    assert " settings " not in text and " reported " not in text  # columns that would say nothing


def test_precision_is_shown_where_it_differs(make_record: Make) -> None:
    rows = board_rows(Run(make_record(result__precision={"dtype": dtype})) for dtype in ("fp32", "bf16"))
    assert "precision" in to_text(rows) and "precision" not in to_text(rows[:1])


@pytest.mark.parametrize("width", [60, 72, 80, 100, 132, 250])
def test_a_table_fits_the_terminal(make_record: Make, width: int) -> None:
    config = {name: {"value": 10.5, "origin": "command line"} for name in ("learning_rate", "memory", "weight_decay")}
    config["stream.tasks"] = {"value": 3, "origin": "command line"}
    rows = board_rows(
        Run(make_record([[99, None, None], [99, 99, None], [last] * 3], strategy=name, seed=s, result__config=config))
        for name, last in (("first", 60), ("second-of-them", 50)) for s in (0, 1)
    )  # fmt: skip
    text = to_text(rows, Layout(width=width))
    assert max(map(len, text.splitlines())) <= width
    assert all(word in text for word in ("first", "60.00", "50.00", "memory=10.5", "A_last_sample"))
    assert len({len(line) for line in text.splitlines() if line.startswith("|")}) == 1
    left_out = "Left out to fit" in text
    assert left_out == (width < 250) and (("| config" not in text) == left_out)


def test_a_row_in_lines_is_one_record_whatever_its_notes(make_record: Make) -> None:
    rows = [{**row, "note": "; ".join(f"remark {i}" for i in range(19))} for row in board(make_record, a=[60], b=[50])]
    lines = to_text(rows, Layout(width=40)).splitlines()
    assert sum(line.startswith("rank:") for line in lines) == 2
    notes = [line for line in lines if line.strip().startswith("note:")]
    assert len(notes) == 2 and notes[0].startswith("  note: 1 2 3 4 5 6 7 8 9")
    assert max(map(len, lines)) <= 40


def test_nothing_is_left_out_where_there_is_space_or_it_was_asked_for(make_record: Make) -> None:
    rows = board(make_record, a=[60, 62], joint=[90, 91])
    assert to_text(rows, Layout(width=300)) == to_text(rows) == to_text(rows, Layout((EVERY,), width=80))
    text = to_text(rows, Layout(("strategy", "config_hash", "stream", "backbone", "peak_mb"), width=NARROWEST))
    assert "Left out" not in text and "| strategy | config" in text and "split-toy@1" in text


def test_columns_and_spread_are_those_asked_for(make_record: Make) -> None:
    rows = board(make_record, a=[60, 62], joint=[90, 91])
    lines = to_text(rows, Layout(("strategy", "mean", "F_chaudhry", "std"), "std")).splitlines()
    assert re.split(r"\s*\|\s*", lines[1])[1:-1] == ["strategy", "A_last_sample", "F_chaudhry", "std"]
    assert re.split(r"\s*\|\s*", lines[3])[1:-1] == ["a", "61.00 +- 1.41", "38.00 +- 1.41", "1.41"]
    assert "61.00 |" in to_text(rows, Layout(("mean", "strategy"), "none"))
    assert to_csv(rows, Layout(("strategy", "mean"))).splitlines()[0] == "strategy,mean"
    assert list(json.loads(to_json(rows, Layout(("mean", "std"))))[0]) == ["mean", "std"]


def test_rows_that_are_left_out_are_counted(make_record: Make) -> None:
    assert "3 more rows; without --top all are shown." in to_text(board(make_record, a=[60]), Layout(left_out={1: 3}))


def test_untuned_rows_say_so(make_record: Make) -> None:
    config = {"lr": {"value": 0.1, "origin": "default"}}
    make = [make_record(strategy="a", result__config=config, result__strategy__preset=None)]
    make.append(make_record(strategy="b", result__config=config, result__strategy__preset="default"))
    make.append(make_record(strategy="c", result__config={}, result__strategy__preset=None))  # it has no options
    rows = board_rows(map(Run, make))
    assert [row["strategy"] for row in rows if "untuned: no preset is meant" in row["note"]] == ["a"]
    for text in (to_csv(rows), to_text(rows), to_markdown(rows), to_latex(rows), to_json(rows)):
        assert "untuned: no preset is meant for this stream and backbone" in text
    assert "| untuned |" in to_text(rows)


def test_csv_names_what_costs_were_measured_with(make_record: Make) -> None:
    records = [make_record(strategy="slca", seed=seed) for seed in range(2)]
    records[1]["measurement"]["environment"]["packages"] = {"torch": "1.0"}
    row = next(csv.DictReader(io.StringIO(to_csv(board_rows(map(Run, records))))))
    assert row["measured_with"] == "torch 1.0, unknown device, float32; torch 2.8.0, unknown device, float32"


def test_the_documentation_explains_every_column() -> None:
    page = (REFERENCE.parents[1] / "docs" / "leaderboard.md").read_text(encoding="utf-8")
    rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in COLUMNS.items())
    assert page.endswith(rows), "copy `cl.results.leaderboard.ranking.COLUMNS` to the end of docs/leaderboard.md"


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference records are not in this installation")
def test_the_reference_leaderboard_is_rebuilt_byte_for_byte() -> None:
    results = load_results(REFERENCE)
    rows = board_rows(Run(record, file.parent) for record, file in zip(results.records, results.files, strict=True))
    fix = "rebuild it: clbench leaderboard results/reference --csv results/reference/leaderboard.csv"
    assert to_csv(rows) == (REFERENCE / "leaderboard.csv").read_text(encoding="utf-8"), fix
    assert {row["drawn"] for row in rows} <= {"seeds x images", "images", ""}, "predictions of some runs do not fit"


HOSTILE = "\x1b[31m=evil\x07\n"


def test_control_characters_of_records_reach_no_table(make_record: Callable[..., Any]) -> None:
    changes: dict[str, Any] = {"result__backbone__name": HOSTILE, "result__strategy__preset": HOSTILE}
    config = {"loss": {"value": HOSTILE, "origin": "command line"}}
    rows = board_rows([Run(make_record(strategy=HOSTILE, result__config=config, **changes))])
    for write in (to_text, to_markdown, to_latex):
        text = write(rows)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), write.__name__
        assert "31m=evil" in text
        lines = [line for line in text.splitlines() if "evil" in line]
        assert all("x07" in line for line in lines), "a newline in a name begins no line"
    row = next(csv.DictReader(io.StringIO(to_csv(board_rows([Run(make_record(strategy="+evil"))])))))
    assert row["strategy"] == "'+evil"
