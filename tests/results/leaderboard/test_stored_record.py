"""A record that is read when it is needed, and forgotten after."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import DataError
from cl.records.record import save
from cl.results.leaderboard.entries import Run, Summary
from cl.results.leaderboard.stored_record import StoredRecord, release

Make = Callable[..., dict[str, Any]]


def stored(record: dict[str, Any], path: Path) -> StoredRecord:
    saved = save(record, path)
    return StoredRecord(path, Summary.of(saved, hashlib.sha256(path.read_bytes()).hexdigest()))


def test_it_reads_its_file_for_what_the_summary_lacks(make_record: Make, tmp_path: Path) -> None:
    found = stored(make_record(), tmp_path / "record.json")
    assert found["run_id"] == "slca-0" and "result" not in found
    assert found["result"]["strategy"]["name"] == "slca" and found["measurement"]["seconds"]["train"] == 75.0
    with pytest.raises(KeyError):
        found["nothing"]


def test_release_forgets_the_numbers_and_they_are_read_again(make_record: Make, tmp_path: Path) -> None:
    found = stored(make_record(), tmp_path / "record.json")
    plain = make_record()
    runs = [Run(found), Run(plain)]
    assert runs[0].result["seeds"] == plain["result"]["seeds"]
    release(runs)
    assert "result" not in found and found["status"] == "complete" and plain["result"]
    assert found["result"]["seeds"] == plain["result"]["seeds"]


def test_a_file_that_changed_since_is_not_read(make_record: Make, tmp_path: Path) -> None:
    found = stored(make_record(), tmp_path / "record.json")
    save(make_record(seed=1), tmp_path / "record.json")
    with pytest.raises(DataError, match="written while it was read"):
        found["result"]
