"""A file of the cache: rows survive, damaged and foreign ones count as missing, and a broken file costs one warning."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from cl.results.leaderboard.cache_file import CacheFile, _warn

FILE = CacheFile("some.sqlite", "things are computed", most=3)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    _warn.cache_clear()
    return tmp_path / "home"


def test_values_are_read_by_key_and_by_code(home: Path) -> None:
    assert FILE.read(["a"], "1") == {} and not home.exists(), "reading makes no file"
    FILE.write({"a": b"x", "b": b"y"}, "1")
    assert FILE.read(["a", "c"], "1") == {"a": b"x"}
    assert FILE.read(["a"], "2") == {}
    FILE.write({"c": b"z"}, "2")
    assert FILE.read(["a", "b", "c"], "1") == {}, "rows of other code are deleted"


def test_the_oldest_rows_are_deleted() -> None:
    for number in range(5):
        FILE.write({str(number): b"x"}, "1")
    assert sorted(FILE.read([str(number) for number in range(5)], "1")) == ["2", "3", "4"]


@pytest.mark.parametrize("change", ["update kept set value = x'00' where key = 'a'", "update kept set key = 'c'"])
def test_a_changed_row_counts_as_missing(change: str, home: Path) -> None:
    FILE.write({"a": b"x"}, "1")
    with sqlite3.connect(home / FILE.name) as connection:
        connection.execute(change)
    connection.close()
    assert FILE.read(["a", "c"], "1") == {}


def test_a_file_that_is_no_database_costs_one_warning(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / FILE.name).write_bytes(b"no database" * 100)
    monkeypatch.setattr(logging.getLogger("clbench"), "propagate", True)
    with caplog.at_level(logging.WARNING, "clbench"):
        assert FILE.read(["a"], "1") == {}
        FILE.write({"a": b"x"}, "1")
    [record] = {id(record): record for record in caplog.records}.values()  # two handlers may have it
    message = record.getMessage()
    assert message.startswith("Things are computed every time") and "CLBENCH_HOME" in message
