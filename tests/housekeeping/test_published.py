"""One dataset in official files on this machine: its places, its checksums, and what may be removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data import releases
from cl.housekeeping.published import checks_of, families, places_of, where_is
from tests.help.releases import written


@pytest.fixture(autouse=True)
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of CLBENCH_DATA_PATH, empty."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    return tmp_path / "data"


def test_every_release_is_of_a_stream_or_of_none() -> None:
    found = families()
    assert {name for names in found.values() for name in names} == set(releases.names())
    assert "coil20" in found["nevis"] and not set(found["nevis"]) & set(found["no stream"])


def test_a_place_that_cannot_be_read_is_a_problem_and_the_others_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("coil20", tmp_path / "home" / "data")
    plain = Path.is_file

    def denied(path: Path) -> bool:
        if path.parent == tmp_path / "data" / "coil20":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(Path, "is_file", denied)
    coil = releases.release("coil20")
    looked = places_of(coil)
    assert "Permission denied" in looked[0].problem and not any(place.problem for place in looked[1:])
    where, problem = where_is(coil)
    assert where == str(tmp_path / "home" / "data" / "coil20" / "coil-20-proc.zip") and "Permission denied" in problem


def test_the_hash_of_the_first_download_counts_where_none_is_published(data: Path) -> None:
    written("not_mnist", data)
    archive = data / "not_mnist" / "notMNIST_small.tar.gz"
    (check,) = checks_of(releases.release("not_mnist"))
    assert check.state == "wrong" and check.compared == "size"
    archive.with_name(archive.name + ".sha256").write_text("0" * 64)
    (check,) = checks_of(releases.release("not_mnist"))
    assert check.state == "wrong" and check.compared == "SHA-256 of the first download"
