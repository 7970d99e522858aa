"""Recorded searches find again what they found, or what is there now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cl.data.official.release import find
from cl.data.reads import recording
from cl.data.releases import release
from cl.data.searches import repeated
from cl.data.sources import candidates
from tests.help.releases import written


@pytest.fixture(autouse=True)
def _places(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join(str(tmp_path / name) for name in ("one", "two")))


def test_a_search_for_a_release(tmp_path: Path) -> None:
    written("coil20", tmp_path / "two")
    with recording() as found:
        find(release("coil20"))
    (search,) = found.searches
    archive = Path("coil20", "coil-20-proc.zip")
    assert repeated(search) == search["found"] == [str(tmp_path / "two" / archive)]
    written("coil20", tmp_path / "one")
    assert repeated(search) == [str(tmp_path / "one" / archive)]
    for name in ("one", "two"):
        (tmp_path / name / archive).unlink()
    assert repeated(search) == []


def test_a_search_by_names(tmp_path: Path) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "x.npz").touch()
    with recording() as found:
        next(candidates(["x.npz"]))
    assert [repeated(search) for search in found.searches] == [[str(tmp_path / "two" / "x.npz")]]
