"""The index of records: what it gives equals what the records say, and a file that changed is read again."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.records.record import load, save
from cl.results import index
from cl.results.index import INDEX, indexed_runs
from cl.results.leaderboard.entries import Summary
from cl.results.store import find_records

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(make_record: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four settled records."""
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(index, "SETTLED", 0.0)
    for strategy in ("slca", "ewc"):
        for seed in (0, 1):
            save(make_record(strategy=strategy, seed=seed), tmp_path / "runs" / strategy / str(seed) / "record.json")
    return tmp_path / "runs"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The records that were read and checked."""
    found: list[Path] = []
    real = index.load

    def noted(path: Path, **options: Any) -> Any:
        found.append(path)
        return real(path, **options)

    monkeypatch.setattr(index, "load", noted)
    return found


def test_runs_are_those_of_the_records_and_read_once(folder: Path, loaded: list[Path]) -> None:
    first, second = indexed_runs(folder)[0], indexed_runs(folder)[0]
    assert loaded == find_records(folder)
    assert [run.folder for run in first] == [run.folder for run in second] == [file.parent for file in loaded]
    for run in second:
        assert run.folder is not None
        record = load(run.folder / "record.json")
        assert run.summary._replace(content=None, shown={}) == Summary.of(record)._replace(shown={})
        assert {name: tuple(texts) for name, texts in run.summary.shown.items()} == Summary.of(record).shown
        assert run.result == record["result"]


def test_a_record_that_was_written_again_is_read_again(make_record: Make, folder: Path, loaded: list[Path]) -> None:
    indexed_runs(folder)
    file = folder / "slca" / "0" / "record.json"
    times = file.stat()
    save(make_record(strategy="l2p_"[:4]), file)  # a name as long as the old one
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    runs = indexed_runs(folder)[0]
    assert loaded[4:] == [file]
    assert sorted(run.summary.shown["strategy"][0] for run in runs) == ["ewc", "ewc", "l2p_", "slca"]


def test_a_file_that_was_just_written_is_not_kept(
    folder: Path, loaded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "SETTLED", 1000.0)
    indexed_runs(folder)
    indexed_runs(folder)
    assert len(loaded) == 8


def test_bad_records_are_left_out_and_named_each_time(folder: Path) -> None:
    (folder / "slca" / "0" / "record.json").write_text("{")
    for _ in range(2):
        runs, left_out = indexed_runs(folder)
        assert len(runs) == 3 and [each.path for each in left_out] == [folder / "slca" / "0" / "record.json"]


def test_a_damaged_index_is_read_over(folder: Path, loaded: list[Path]) -> None:
    indexed_runs(folder)
    home = Path(os.environ["CLBENCH_HOME"])
    with sqlite3.connect(home / INDEX.name) as connection:
        connection.execute("update kept set value = replace(value, 'complete', 'failed!!')")
    connection.close()
    assert {run.summary.status for run in indexed_runs(folder)[0]} == {"complete"} and len(loaded) == 8
