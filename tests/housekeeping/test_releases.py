"""Datasets in official files: their state on this machine, and fetching many of them from a local server."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cl.data import releases
from cl.data.official.release import find, load
from cl.declared.declaration import DatasetEntry, Declaration
from cl.errors import DataError, MissingData, UsageError
from cl.housekeeping.published import removable_of
from cl.housekeeping.releases import declared, fetch_all, get, states, wanted
from tests.help.releases import written
from tests.help.served_releases import replaced, served, server_of


@pytest.fixture(autouse=True)
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of CLBENCH_DATA_PATH, empty."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    return tmp_path / "data"


def entry(name: str) -> DatasetEntry:
    return DatasetEntry(name=name, reader="official", release=name, title=name.upper(), year=2000)


STREAM = Declaration(
    name="some",
    setting="task-incremental",
    size=32,
    datasets=(*map(entry, ("coil20", "mit_scenes", "shanghai_tech")), DatasetEntry("cats", "folder", path="cats")),
    unlearned=(entry("voc_2007"),),
)


def test_only_declared_streams_have_a_declaration() -> None:
    found = declared("nevis-tiny")
    assert found is not None and len(found.datasets) + len(found.unlearned) == 7
    assert declared("split-digits") is None and declared("no-such-stream") is None


def test_states_say_what_is_here_and_what_to_do(data: Path) -> None:
    written("coil20", data)
    written("mit_scenes", data)
    (data / "mit_scenes" / "TestImages.txt").unlink()
    (data / "cats").mkdir()
    found = {state.name: state for state in states(STREAM)}
    assert list(found) == ["coil20", "mit_scenes", "shanghai_tech", "cats", "voc_2007"]
    assert [state.form for state in found.values()] == ["official files", "", "", "folder", ""]
    coil = found["coil20"]
    assert coil.where == str(data / "coil20" / "coil-20-proc.zip") and coil.checked == "dm_nevis" and not coil.why
    assert coil.bytes == (data / "coil20" / "coil-20-proc.zip").stat().st_size and coil.verified == ""
    scenes = found["mit_scenes"].why
    assert scenes == f"{data / 'mit_scenes'} lacks TestImages.txt; `clbench data get mit_scenes` fetches it"
    assert "(or what they unpack to) into a folder shanghai_tech/" in found["shanghai_tech"].why
    assert found["voc_2007"].why == "`clbench data get voc_2007` fetches it"


def test_what_cannot_be_read_is_said_on_its_line(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path.is_file

    def denied(path: Path) -> bool:
        if path.parent == data / "coil20":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(Path, "is_file", denied)
    written("voc_2007", data)
    (data / "mit_scenes").symlink_to("mit_scenes")  # a link to itself
    (data / "shanghai_tech").touch()
    (data / "cats").symlink_to(tmp_path / "nowhere")
    found = {state.name: state for state in states(STREAM, checksums=True)}
    assert [state.form for state in found.values()] == ["", "", "", "", "official files"]
    path = data / "coil20" / "coil-20-proc.zip"
    assert found["coil20"].why == f"cannot use {path}: Permission denied; check the path and its permissions."
    assert found["mit_scenes"].why.startswith(f"{data / 'mit_scenes'} is a link that leads nowhere; `clbench data get")
    assert found["shanghai_tech"].why.startswith(f"{data / 'shanghai_tech'} is a file, not a folder; ")
    assert found["cats"].why == f"{data / 'cats'} is a link that leads nowhere; needs cats"
    (data / "cats").unlink()
    (data / "cats").touch()
    (cats,) = [state for state in states(STREAM) if state.name == "cats"]
    assert not cats.form and cats.why == f"{data / 'cats'} is a file, not a folder; needs cats"
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(data / "cats"))
    assert all(f"{data / 'cats'} is a file, not a folder" in state.why for state in states(STREAM))


def test_a_folder_that_cannot_be_listed_is_not_here(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "cats").mkdir(parents=True)
    plain = os.scandir

    def denied(path: Path) -> Any:
        if path == data / "cats":
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(os, "scandir", denied)
    (cats,) = [state for state in states(STREAM) if state.name == "cats"]
    assert not cats.form and cats.why.startswith(f"cannot use {data / 'cats'}: Permission denied")


def test_checksums_are_compared_when_asked_for(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written("coil20", data)
    only = replace(STREAM, datasets=STREAM.datasets[:1], unlearned=())
    assert [state.verified for state in states(only, checksums=True)] == ["no"], "the miniature is another file"
    coil = served(releases.release("coil20"), tmp_path / "server", "http://x")
    replaced(monkeypatch, coil)
    assert [state.verified for state in states(only, checksums=True)] == ["yes"]
    replaced(monkeypatch, replace(coil, files=tuple(replace(file, md5=None) for file in coil.files)))
    assert [state.verified for state in states(only, checksums=True)] == ["unknown"]
    (data / "coil20" / "coil-20-proc.zip").unlink()
    (data / "coil20" / "coil-20-proc").mkdir()
    assert [state.verified for state in states(only, checksums=True)] == ["unpacked"]


def test_what_is_wanted_counts_a_dataset_once(data: Path) -> None:
    written("coil20", data)
    twice = replace(entry("coil20"), name="coil20-2019")
    plan = wanted(replace(STREAM, datasets=(*STREAM.datasets, twice)))
    assert [release.name for release in plan.here] == ["coil20"]
    assert [release.name for release in plan.fetch] == ["mit_scenes", "voc_2007"]
    assert [release.name for release in plan.by_hand] == ["shanghai_tech"] and [each.name for each in plan.other] == [
        "cats"
    ]
    assert plan.bytes == sum(release.size for release in plan.fetch)


def test_several_releases_are_fetched_and_a_failure_stops_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server_of(tmp_path / "server", monkeypatch) as (url, requests):
        chosen = [served(releases.release(name), tmp_path / "server", url) for name in ("coil20", "mit_scenes")]
        broken = served(releases.release("landsat"), tmp_path / "server", url)
        broken = replace(broken, files=tuple(replace(file, md5="0" * 32) for file in broken.files))
        seen: dict[str, bool] = {}
        errors = fetch_all(
            [*chosen, broken], 3, None, lambda release, error: seen.update({release.name: error is None})
        )
        assert seen == {"coil20": True, "mit_scenes": True, "landsat": False}
        assert len(errors) == 1 and "another content" in str(errors[0])
        assert all(find(release) is not None for release in chosen)
        asked = len(requests)
        assert fetch_all(chosen, 2) == [] and len(requests) == asked, "what is here is not fetched again"


def test_get_says_what_a_user_has_to_do() -> None:
    with pytest.raises(
        MissingData, match=r"ShanghaiTech .*was not found in .*shanghai_tech/ of CLBENCH_DATA_PATH, or pip"
    ):
        get("shanghai_tech")
    with pytest.raises(UsageError, match="There is no dataset 'coil2'"):
        get("coil2")


def test_get_compares_checksums(data: Path) -> None:
    written("coil20", data)
    with pytest.raises(DataError, match="is damaged or not the file we know"):
        get("coil20")


def test_an_archive_that_a_user_must_unpack_is_not_here(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data / "tid2013" / "tid2013.rar"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"Rar!\x1a\x07\x01\x00")
    stream = replace(STREAM, datasets=(entry("tid2013"),), unlearned=())
    (state,) = states(stream)
    assert not state.form and f"unpack it first: `cd {path.parent}`, then `bsdtar -xf tid2013.rar`" in state.why
    assert [release.name for release in wanted(stream).by_hand] == ["tid2013"] and not wanted(stream).here
    with pytest.raises(DataError, match="is damaged or not the file we know"):
        get("tid2013")
    tid = releases.release("tid2013")
    replaced(monkeypatch, replace(tid, files=(replace(tid.files[0], md5=None),)))
    with pytest.raises(DataError, match=r"unpack it first: `cd .*`, then `bsdtar -xf tid2013\.rar`, `unrar x"):
        get("tid2013")
    (path.parent / "distorted_images").mkdir()
    (path.parent / "metrics_values").mkdir()
    (state,) = states(stream)
    assert state.form == "official files"


def test_only_what_lacks_is_fetched(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server_of(tmp_path / "server", monkeypatch) as (url, requests):
        scenes = served(releases.release("mit_scenes"), tmp_path / "server", url)
        replaced(monkeypatch, scenes)
        written("mit_scenes", data)
        (data / "mit_scenes" / "TestImages.txt").unlink()
        stream = replace(STREAM, datasets=(entry("mit_scenes"),), unlearned=())
        assert wanted(stream).bytes == scenes.files[2].size
        monkeypatch.setenv("CLBENCH_OFFLINE", "1")
        with pytest.raises(MissingData, match=f"{data / 'mit_scenes'} lacks TestImages.txt"):
            get("mit_scenes")
        monkeypatch.delenv("CLBENCH_OFFLINE")
        where = get("mit_scenes")
        assert requests == ["/mit_scenes/TestImages.txt"]
        cached = tmp_path / "home" / "data" / "mit_scenes" / "TestImages.txt"
        assert str(cached) in where and str(data / "mit_scenes" / "TrainImages.txt") in where
        found = find(scenes)
        assert found is not None and len(load(found, 8).class_names) == scenes.classes
        (state,) = states(stream, checksums=True)
        assert state.form == "official files" and state.verified == "yes"
        assert get("mit_scenes") == where and len(requests) == 1
        assert removable_of(scenes) == [cached, cached.with_name("TestImages.txt.sha256")]
