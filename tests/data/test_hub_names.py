"""Class names in the footers of Parquet files, and the library's lines."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from cl.data.hub_names import all_names, names_of_rows, parts, quiet
from cl.errors import DataError
from tests.help.hub import write_parquet


@pytest.fixture(autouse=True)
def library() -> Any:
    return pytest.importorskip("datasets", reason="the package datasets is not installed: clbench[hub]")


def test_files_that_agree_are_left_to_the_library(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", range(2), [0, 1], ("owl", "cat"))
    assert parts({"train": [str(tmp_path / "a.parquet")] * 2}) == {}


def test_the_names_of_every_file_are_its_own(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", range(2), [0, 1], ("owl", "cat"))
    write_parquet(tmp_path / "b.parquet", range(1), [0], ("bee", "owl"))
    found = parts({"test": [str(tmp_path / "b.parquet")], "train": [str(tmp_path / "a.parquet")]})
    assert all_names(found, "kind") == ("owl", "cat", "bee")
    assert list(names_of_rows(found["test"], "kind", ())) == [("bee", "owl")]
    write_parquet(tmp_path / "c.parquet", range(1), [0])
    with pytest.raises(DataError, match=r"c.parquet numbers the classes of column 'kind' without naming them"):
        parts({"train": [str(tmp_path / f"{each}.parquet") for each in "abc"]})


def test_the_library_is_quiet_and_as_before_afterwards(library: Any) -> None:
    before = (library.are_progress_bars_disabled(), logging.getLogger("datasets").level)
    with quiet():
        assert library.are_progress_bars_disabled()
        assert not logging.getLogger("datasets.builder").isEnabledFor(logging.CRITICAL)
    assert (library.are_progress_bars_disabled(), logging.getLogger("datasets").level) == before
