"""Folders of the user: cache, results and data, from the environment or by default."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cl import paths
from cl.errors import UsageError


def test_the_checkout_is_the_folder_of_this_repository() -> None:
    assert Path(__file__).resolve().parent.parent == paths.CHECKOUT


def test_the_cache_is_in_the_users_cache_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CLBENCH_HOME", "  ")
    assert paths.home().name == "clbench"
    monkeypatch.setenv("CLBENCH_HOME", "~/mine")
    assert paths.home() == Path.home() / "mine"


def test_results_are_in_the_working_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLBENCH_RESULTS", raising=False)
    assert paths.results() == Path("results")
    monkeypatch.setenv("CLBENCH_RESULTS", "elsewhere")
    assert paths.results() == Path("elsewhere")


def test_empty_entries_are_no_data_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLBENCH_DATA_PATH", raising=False)
    assert paths.data_path() == []
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join(["a", "", " ", "~/b"]))
    assert paths.data_path() == [Path("a"), Path.home() / "b"]


@pytest.mark.parametrize(
    ("variable", "look"),
    [("CLBENCH_HOME", paths.home), ("CLBENCH_RESULTS", paths.results), ("CLBENCH_DATA_PATH", paths.data_path)],
)
def test_a_user_that_does_not_exist_is_named_with_the_variable(
    variable: str, look: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "~no-such-user/x")
    with pytest.raises(UsageError, match=f"{variable} is ~no-such-user/x, and there is no such user"):
        look()


def test_looking_only_puts_new_files_into_a_folder_that_goes_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path))
    assert paths.writable_cache() == tmp_path and not paths.looking_only() and not paths.writing_nothing()
    with paths.look_only():
        folder = paths.writable_cache()
        (folder / "file").touch()
        assert folder == paths.writable_cache() != tmp_path and paths.looking_only() and paths.writing_nothing()
        assert paths.home() == tmp_path
    assert not folder.exists()
    with paths.look_only(cache=True):
        assert paths.writable_cache() == tmp_path and paths.looking_only() and not paths.writing_nothing()
