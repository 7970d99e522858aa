"""Boards in the cache: used while nothing has changed, computed again after any change."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl import registry
from cl.records.record import result_sha256, save
from cl.results.index import indexed_runs
from cl.results.leaderboard import kept_boards, ranking
from cl.results.leaderboard.entries import Run
from cl.results.leaderboard.ranking import board_rows
from tests.help.records import build_record, build_run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three seeds of two strategies, with predictions."""
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    rng = np.random.default_rng(0)
    for strategy in ("slca", "ewc"):
        for seed in range(3):
            place = tmp_path / "runs" / strategy / str(seed)
            place.mkdir(parents=True)
            build_run(place, rng.random((3, 60)) < 0.7, seed=seed, strategy=strategy)
    return tmp_path / "runs"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A list that grows with every board that is computed."""
    found: list[int] = []
    real = ranking._board

    def counted(entries: Any, number: int) -> Any:
        found.append(number)
        return real(entries, number)

    monkeypatch.setattr(ranking, "_board", counted)
    yield found


def rows_of(folder: Path, **options: Any) -> list[dict[str, Any]]:
    return board_rows(indexed_runs(folder)[0], **options)


def in_memory(folder: Path) -> list[dict[str, Any]]:
    """The rows without any index: of records in memory, whose boards are not kept."""
    return board_rows([replace(run, known=None, record=_whole(run)) for run in indexed_runs(folder)[0]])


def _whole(run: Run) -> dict[str, Any]:
    run.result  # noqa: B018 - reads the file
    return dict(run.record)


def test_kept_rows_are_those_that_were_computed(folder: Path, computed: list[int]) -> None:
    first = rows_of(folder)
    assert rows_of(folder) == first and len(computed) == 1
    assert [list(row) for row in rows_of(folder)] == [list(row) for row in first], "keys keep their order"
    assert in_memory(folder) == first and len(computed) == 2
    assert {row["drawn"] for row in first} == {"seeds x images"}


def test_another_metric_or_rule_is_another_board(folder: Path, computed: list[int]) -> None:
    for seed in range(3):
        save(build_record(seed=seed, rules=("cil_seen", "til_masked")), folder / "both" / str(seed) / "record.json")
    rows_of(folder)
    rows_of(folder, metric="A_inc_sample")
    rows_of(folder, rule="til_masked")
    assert len(computed) == 3
    rows_of(folder, metric="A_inc_sample")
    assert len(computed) == 3


def test_a_new_run_changes_its_board_only(folder: Path, computed: list[int]) -> None:
    other = build_record(result__stream__name="split-other")
    save(other, folder / "other" / "record.json")
    assert len({row["board"] for row in rows_of(folder)}) == 2 and len(computed) == 2
    save(build_record(result__stream__name="split-other", seed=1), folder / "other-1" / "record.json")
    rows = rows_of(folder)
    assert len(computed) == 3 and [row["n_seeds"] for row in rows if row["stream"].startswith("split-other")] == [2]


def test_an_edited_record_is_read_again(folder: Path, computed: list[int]) -> None:
    before = rows_of(folder)
    record = build_record([[1, None, None], [1, 1, None], [1, 1, 1]], strategy="slca")
    record["result_sha256"] = result_sha256(record["result"])
    save(record, folder / "slca" / "0" / "record.json")
    assert rows_of(folder) != before and len(computed) > 1


def test_damaged_predictions_are_named_each_time(folder: Path, computed: list[int]) -> None:
    rows_of(folder)
    file = folder / "slca" / "0" / "predictions.npz"
    file.write_bytes(file.read_bytes()[:-30])
    for _ in range(2):
        assert any("are damaged and not used" in row["note"] for row in rows_of(folder))
    assert len(computed) == 3, "such a board is not kept"


def test_predictions_that_vanish_change_the_board(folder: Path, computed: list[int]) -> None:
    rows_of(folder)
    (folder / "slca" / "0" / "predictions.npz").unlink()
    assert {row["drawn"] for row in rows_of(folder)} == {"seeds", "seeds x images"} and len(computed) == 2


def test_other_code_computes_again(folder: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of(folder)
    monkeypatch.setattr(kept_boards, "code", lambda: "other")
    rows_of(folder)
    assert len(computed) == 2


def test_the_code_of_boards_is_the_content_of_its_files() -> None:
    assert kept_boards.files_sha256("cl.records") != kept_boards.files_sha256("cl.results.leaderboard")
    assert len(kept_boards.code()) == 64


def test_the_stamp_of_a_file_changes_with_its_content_and_its_place(tmp_path: Path) -> None:
    one = tmp_path / "one"
    assert kept_boards.stamp(str(one)) == ""
    one.write_text("a")
    first = kept_boards.stamp(str(one))
    other = tmp_path / "two"
    other.write_text("b")
    os.utime(other, ns=(one.stat().st_atime_ns, one.stat().st_mtime_ns))
    os.replace(other, one)
    assert kept_boards.stamp(str(one)) != first, "size and time are as before"


def test_the_metric_of_a_plugin_is_computed_again_when_its_code_changes(
    folder: Path, computed: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a_kept_metric.py"
    source = """
from cl import MetricPlugin
class First(MetricPlugin):
    '''The accuracy on one task.'''
    higher_is_better = True
    def compute(self, matrix): return matrix.accuracy[-1, PLACE]
PLACE = 0
"""
    file.write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = registry.Entry("first", "a_kept_metric:First", registry.Distribution("acme", "1.5"))
    monkeypatch.setitem(registry.metrics._entries(), "first", [entry])
    before = rows_of(folder, metric="first")
    assert rows_of(folder, metric="first") == before and len(computed) == 1
    assert before[0]["drawn"] == "seeds x images" and before[0]["ci_low"] < before[0]["mean"] < before[0]["ci_high"]

    file.write_text(source.replace("PLACE = 0", "PLACE = 2"))
    del sys.modules["a_kept_metric"]  # as a new process would
    after = rows_of(folder, metric="first")
    assert len(computed) == 2 and [row["mean"] for row in after] != [row["mean"] for row in before]
    assert len(rows_of(folder)) == 2 and len(computed) == 3, "a board of another metric"
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "another home"))
    assert rows_of(folder, metric="first") == after, "resamples too are those of the new code"
