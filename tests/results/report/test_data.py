"""What a report embeds: the rows of the leaderboard, shared parts once, and every number."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl import registry
from cl.records.record import save
from cl.results.index import indexed_runs
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.ranking import leaderboard
from cl.results.report import data as module
from cl.results.report import page_of, render
from tests.help.on_disk import write_records
from tests.help.records import build_probe
from tests.help.report_runs import embedded, report_records

Make = Callable[..., dict[str, Any]]


def test_rows_are_those_of_the_leaderboard_with_their_runs(make_record: Make) -> None:
    records = report_records(make_record)
    board, data = leaderboard(records), embedded(render(records))
    assert sum(len(each["rows"]) for each in data["boards"]) == len(board)
    rows = [row for each in data["boards"] for row in each["rows"]]
    found = [(data["runs"][row[0]]["label"].split()[0], len(row)) for row in rows]
    assert found == list(zip(board["strategy"], board["n_seeds"], strict=True))
    assert {run["status"] for run in data["runs"]} == {"complete", "failed"}


def test_what_runs_share_is_kept_once_and_numbers_survive(make_record: Make) -> None:
    records = report_records(make_record)
    data = embedded(render(records))
    assert (len(data["environments"]), len(data["backbones"]), len(data["streams"])) == (1, 1, 2)
    run = data["runs"][2]
    assert run["label"] == "slca epochs=20" and run["rule"] == "cil_seen"
    table = run["rules"]["cil_seen"]
    assert table["correct"] == [[99], [99, 80], [62, 62, 62]]
    assert table["curve"] == pytest.approx([0.99, 0.895, 0.62])
    assert table["forgetting"] == [pytest.approx(0.37), pytest.approx(0.18), None]
    names = [name for name, *_ in data["metrics"]]
    stored = records[2]["result"]["metrics"]["cil_seen"]
    shown = dict(zip(names, table["metrics"], strict=True))
    assert {k: shown[k] for k in stored if shown[k] is not None} == pytest.approx(
        {k: round(v, 5) for k, v in stored.items() if v is not None}
    )
    assert shown["DR_BWT"] == pytest.approx(-((99 - 99) + (99 - 62) + (80 - 62)) / 300, abs=1e-5)
    assert shown["NFR"] is None and [unit for name, *_, unit in data["metrics"] if name == "NLL"] == ["nats"]
    assert data["configs"][run["config"]]["lr"] == [0.02, "preset slca#1"]


def test_memory_and_probe_by_task_are_those_of_the_record(make_record: Make) -> None:
    stored = {"samples": 10, "statistics": 5, "parameters": 100}
    events = [{"event": 1, "stored": stored}, {"event": 5, "stored": {**stored, "samples": 30}}]
    probed = make_record(result__probe=build_probe([120, 110, 130, 90]), measurement__events=events)
    old = make_record(strategy="ewc")
    first, second = embedded(render([probed, old]))["runs"]
    assert first["kept"] == [115, None, 135] and first["probe"] == ["other", [0.6, 0.55, 0.65, 0.45]]
    assert "kept" not in second and "probe" not in second


def test_the_newest_run_of_a_repeated_seed_stands_in_its_row(make_record: Make) -> None:
    old, new = make_record(), make_record(measurement__created="2025-02-01T00:00:00+00:00")
    new["run_id"] = "newer"
    data = embedded(render([new, old]))
    [[row]] = [each["rows"] for each in data["boards"]]
    assert [data["runs"][index]["id"] for index in row] == ["newer"]


def test_metrics_of_answers_come_from_the_predictions_in_the_folders(make_run: Callable[..., Run]) -> None:
    right = np.ones((3, 12), dtype=bool)
    right[1:, 0] = False
    run = make_run(right)
    data = embedded(render([run.record], folders=[run.folder]))
    place = [name for name, *_ in data["metrics"]].index("NFR")
    assert data["runs"][0]["rules"]["cil_seen"]["metrics"][place] == pytest.approx(run.metrics("cil_seen")["NFR"])
    assert run.metrics("cil_seen", ["NFR"])["NFR"] is not None


def test_a_run_with_predictions_has_its_answers_by_class(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = np.ones((3, 12), dtype=bool)
    right[2, 0] = False
    run = make_run(right)
    [found] = embedded(render([run.record], folders=[run.folder]))["runs"]
    [[row, column, images]] = found["mistakes"]
    assert images == 1 and found["classes"][row][1:] == [2, 1, 1] and found["classes"][column][1:] == [2, 2, 3]
    assert [name for name, *_ in found["classes"]] == run.result["stream"]["class_names"]
    assert "classes" not in embedded(render([run.record]))["runs"][0], "no predictions"
    monkeypatch.setattr(module, "_MAP", 5)
    monkeypatch.setattr(module, "_WRONG", 0)
    assert embedded(render([run.record], folders=[run.folder]))["runs"][0]["mistakes"] == []


def test_kept_runs_and_runs_of_other_processes_give_the_same_page(
    make_record: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "_MANY", 3)
    records = report_records(make_record)
    folder = write_records(tmp_path / "runs", records)
    expected = render([run.record for run in map(_whole, indexed_runs(folder)[0])])
    assert page_of(indexed_runs(folder)[0], jobs=2) == expected
    monkeypatch.setattr(module, "_run", lambda run: pytest.fail("it is in the cache"))
    assert page_of(indexed_runs(folder)[0]) == expected


def _whole(run: Run) -> Run:
    """The run with all of its record in memory."""
    run.result  # noqa: B018 - reads the file
    return Run(dict(run.record))


def test_the_metric_of_a_plugin_is_in_the_page_as_its_code_is_now(
    make_run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    made = make_run(np.ones((3, 60), bool))
    assert made.folder is not None
    save(made.record, made.folder / "record.json")
    file = tmp_path / "a_metric_of_reports.py"
    source = """
from cl import MetricPlugin
class Always(MetricPlugin):
    '''Always the same.'''
    higher_is_better, unit = True, "points"
    def compute(self, matrix): return VALUE
VALUE = 0.25
"""
    file.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = registry.Entry("always", "a_metric_of_reports:Always", registry.Distribution("acme", "1.5"))

    def shown() -> dict[str, Any]:
        runs = indexed_runs(made.folder)[0]  # type: ignore[arg-type]
        data = module.payload(runs, metric="A_last_sample", rule=None)[1]
        names = [name for name, *_ in data["metrics"]]
        return dict(zip(names, data["runs"][0]["rules"]["cil_seen"]["metrics"], strict=True))

    assert "always" not in shown()
    monkeypatch.setitem(registry.metrics._entries(), "always", [entry])
    assert shown()["always"] == shown()["always"] == 0.25
    file.write_text(source.replace("VALUE = 0.25", "VALUE = 0.75"))
    del sys.modules["a_metric_of_reports"]
    assert shown()["always"] == 0.75
    (board,) = module.payload(indexed_runs(made.folder)[0], metric="always", rule=None)[0]
    assert board["unit"] == "points" and board["rows"][0]["mean"] == 0.75


def test_values_that_runs_share_may_hold_what_orjson_refuses() -> None:
    pool = module._Pool()
    odd: list[Any] = [
        {"b": 1 << 70, "a": 1},
        {"a": 1, "b": 1 << 70},
        {"a": "\ud800"},
        {"a": 1},
        {"a": 1.0},
        {"a": True},
    ]
    assert [pool.place(value) for value in odd] == [0, 0, 1, 2, 3, 4]
    assert pool.place({"a": 1}) == 2 and len(pool.values) == 5


def test_a_run_that_orjson_cannot_write_is_described_all_the_same_and_not_kept(
    make_record: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    runs = indexed_runs(write_records(tmp_path / "runs", [make_record(), make_record(strategy="ewc")]))[0]
    described = module._run
    odd = {"warnings": [1 << 70]}
    monkeypatch.setattr(module, "_run", lambda run: described(run) | (odd if run.folder.name == "0" else {}))
    assert [each["warnings"] for each in module._described(runs, 1)] == [[1 << 70], []]
    monkeypatch.setattr(module, "_run", lambda run: {"asked": run.folder.name})
    assert [each.get("asked") for each in module._described(runs, 1)] == ["0", None]


def test_the_count_of_a_group_with_several_classes_per_image_is_its_precision_times_its_images(
    make_record: Make,
) -> None:
    correct = [[99, None, None], [99, None, None], [62, None, 62]]
    told = [[None, None, None], [None, 0.123456, None], [None, 0.25, None]]
    record = make_record(correct, result__mean_precision={"cil_seen": told})
    [run] = embedded(render([record]))["runs"]
    count = record["result"]["count"]
    assert run["rules"]["cil_seen"]["correct"] == [[99], [99, round(0.123456 * count[1], 5)], [62, count[1] / 4, 62]]


def test_the_largest_board_is_first_and_boards_keep_their_numbers(make_record: Make) -> None:
    few = [make_record(strategy="ewc", result__backbone__name="a_first")]
    many = [make_record(strategy=name, result__backbone__name="b_second") for name in ("ewc", "si")]
    boards, data = module.payload(map(Run, [*few, *many]), metric="A_last_sample", rule=None)
    assert [(board["number"], len(board["rows"])) for board in boards] == [(2, 2), (1, 1)]
    assert [board["title"].endswith("b_second") for board in data["boards"]] == [True, False]


def test_columns_of_the_matrix_count_tasks_as_its_rows_do(make_record: Make) -> None:
    record = make_record()
    record["result"]["stream"]["groups"][2]["name"] = "task 7"  # a name of its own
    data = embedded(render([record]))
    assert data["runs"][0]["steps"] == [1, 2, 3]
    assert [name for name, _ in data["streams"][0]["groups"]] == ["task 1", "task 2", "task 7"]
