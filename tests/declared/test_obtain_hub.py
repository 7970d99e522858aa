"""Datasets of the Hugging Face hub in declared streams: from a local copy to the stream, and what is said without."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from cl.declared.declaration import DatasetEntry, Declaration
from cl.declared.obtain import available, find
from cl.errors import MissingData, UsageError
from cl.housekeeping.releases import states, wanted
from cl.paths import look_only
from tests.help.declared import build
from tests.help.hub import clone

STREAM = """
name = "animals"
setting = "task-incremental"
size = 8

[[datasets]]
name = "pets"
reader = "hub"
hub = "zoo/pets"
"""
PETS = DatasetEntry("pets", "hub", hub="zoo/pets")


@pytest.fixture
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of CLBENCH_DATA_PATH, empty; the network is allowed."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("CLBENCH_OFFLINE", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def written(tmp_path: Path, more: str = "") -> Path:
    path = tmp_path / "animals.toml"
    path.write_text(STREAM + more)
    return path


def declaration(*entries: DatasetEntry) -> Declaration:
    return Declaration(name="animals", setting="task-incremental", size=8, datasets=entries)


def test_a_stream_of_a_local_copy(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="the package datasets is not installed: clbench[hub]")
    clone(data / "pets")
    stream = build(written(tmp_path))
    assert stream.dataset.class_names == ("pets/owl", "pets/cat", "pets/ant")
    (task,), (group,) = stream.experiences, stream.groups
    assert (len(task.train), len(task.val), len(group.rows["test"])) == (6, 3, 3)
    revised = build(written(tmp_path, f'revision = "{"a" * 40}"\n'))
    assert revised.dataset.fingerprints == stream.dataset.fingerprints


def test_keys_of_the_declaration(data: Path, tmp_path: Path) -> None:
    for more, sentence in {
        'revision = "main"': "revision is a commit of 40 hexadecimal digits, because others move; 'main' is none",
        'path = "pets"': "reader 'hub' does not take 'path'",
        "classes = []": "classes names none; name the classes to use, or leave it out to use all",
    }.items():
        with pytest.raises(UsageError, match=sentence):
            build(written(tmp_path, more))
    with pytest.raises(UsageError, match="hub is the name ORG/NAME of a dataset, not '/zoo/pets'"):
        written(tmp_path).write_text(STREAM.replace("zoo/pets", "/zoo/pets"))
        build(tmp_path / "animals.toml")
    with pytest.raises(UsageError, match="reader 'folder' does not take 'label'"):
        written(tmp_path).write_text(STREAM.replace('"hub"\nhub', '"folder"\nlabel = "x"\npath'))
        build(tmp_path / "animals.toml")


def test_the_revision_is_part_of_the_identity() -> None:
    revised = DatasetEntry("pets", "hub", hub="zoo/pets", revision="a" * 40)
    assert declaration(PETS).digest != declaration(revised).digest
    folder = DatasetEntry("pets", "folder", path="pets")
    assert declaration(folder).digest == "d67b1d05", "declarations without the hub keep their digests"


def test_offline_only_local_copies_are_used(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find(PETS, None) == (), "a run downloads it"
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    assert find(PETS, None) is None
    with pytest.raises(MissingData, match=r"needs pets \(the dataset zoo/pets of the Hugging Face hub\), not found in"):
        available(declaration(PETS), "error")
    near = dataclasses.replace(declaration(PETS), where=data.parent / "near" / "animals.toml")
    with pytest.raises(MissingData, match=r"not found in .*near, .*data.*CLBENCH_OFFLINE forbids downloading"):
        available(near, "error")
    (data / "zoo" / "pets").mkdir(parents=True)
    with pytest.raises(MissingData, match=r"pets holds no Parquet files and no save_to_disk folder; "):
        available(declaration(PETS), "error")
    clone(data / "zoo" / "pets")
    assert find(PETS, None) == (data / "zoo" / "pets",)


def test_a_plan_knows_that_a_run_downloads_it(data: Path) -> None:
    with look_only(), pytest.raises(MissingData, match="a run downloads it") as error:
        available(declaration(PETS), "skip")
    assert error.value.downloads


def test_status_of_the_hub(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state,) = states(declaration(PETS))
    assert not state.form and state.why == "a run downloads the dataset zoo/pets of the Hugging Face hub"
    assert wanted(declaration(PETS)).other == () and wanted(declaration(PETS)).library == (PETS,)
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    (state,) = states(declaration(PETS))
    assert state.why == "needs the dataset zoo/pets of the Hugging Face hub"
    clone(data / "pets")
    (state,) = states(declaration(PETS))
    assert wanted(declaration(PETS)).others_here == 1
    assert (state.form, state.where) == ("hub", str(data / "pets")) and state.bytes > 0
