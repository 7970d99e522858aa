"""Merging: whole runs, none overwritten, conflicts named, and continued after a stop."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.records.record import save
from cl.results import merge as module
from cl.results.merge import LOCK, STAGING, counts, differences, exclusive, merge
from tests.help.records import build_record
from tests.help.remote import content, place, write_run, write_runs, write_stopped


def merged(*folders: Path, into: Path, **options: Any) -> dict[str, int]:
    found = counts(merge(folders, into, **options))
    return {state: number for state, number in found.items() if number}


def test_runs_of_several_folders_are_copied_whole(tmp_path: Path) -> None:
    one = write_runs(tmp_path / "one", 2)
    two = tmp_path / "two"
    write_run(place(two, 5), seed=5)
    (place(one) / "learner.safetensors").write_bytes(b"kept")
    (place(one) / "notes.txt").write_text("not a file of a run")
    assert merged(one, two, into=tmp_path / "all") == {"merged": 3}
    expected = {**content(one), **content(two)}
    del expected[f"{place(Path()).as_posix()}/notes.txt"]
    assert content(tmp_path / "all") == expected
    assert not (tmp_path / "all" / STAGING).exists()
    assert merged(one, two, into=tmp_path / "all") == {"the same": 3}


def test_a_dry_run_counts_the_same_and_writes_nothing(tmp_path: Path) -> None:
    one = write_runs(tmp_path / "one", 2)
    two = shutil.copytree(one, tmp_path / "two")
    write_run(place(two, 5), seed=5)
    expected = {"merged": 3, "the same": 2}
    assert merged(one, two, into=tmp_path / "all", dry_run=True) == expected
    assert not (tmp_path / "all").exists()
    assert merged(one, two, into=tmp_path / "all") == expected


def test_different_runs_of_one_place_are_a_conflict_and_the_first_stays(tmp_path: Path) -> None:
    one, two = write_runs(tmp_path / "one", 2), tmp_path / "two"
    write_run(place(two), seed=7, result__strategy__source_sha256="e" * 64)
    write_run(place(two, 3), seed=3)
    *_, first, last = merge([one, two], tmp_path / "all")
    assert (first.state, last.state) == ("conflict", "merged"), "the others are merged"
    assert str(place(two)) in first.reason and str(place(tmp_path / "all")) in first.reason
    assert "the code of the strategy" in first.reason and "the right answers" in first.reason
    assert content(place(tmp_path / "all")) == content(place(one))


def test_what_differs_is_named() -> None:
    one = build_record()
    environment = build_record(measurement__environment={"packages": {"torch": "2.9.0"}})
    configured = {**build_record(), "config_hash": "00000000"}
    assert differences(one, environment) == ["the environment"]
    assert differences(one, configured) == ["the configuration"]
    assert differences(one, build_record([[1, None, None], [1, 1, None], [1, 1, 1]])) == ["the right answers"]
    assert differences(one, build_record(result__stream__id="other")) == ["the stream or its images"]
    assert differences(one, build_record(status="partial")) == ["the status (complete, partial)"]


def test_stopped_runs_are_copied_if_asked_for(tmp_path: Path) -> None:
    write_stopped(tmp_path / "one" / "a")
    assert merged(tmp_path / "one", into=tmp_path / "all") == {"unfinished": 1}
    assert content(tmp_path / "all") == {}
    assert merged(tmp_path / "one", into=tmp_path / "all", partial=True) == {"merged": 1}
    save(build_record(), tmp_path / "two" / "a" / "record.json")
    [found] = merge([tmp_path / "two"], tmp_path / "all")
    assert found.state == "conflict" and "the status (complete, partial)" in found.reason


def test_damaged_runs_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    one = write_runs(tmp_path / "one", 3)
    (place(one, 0) / "record.json").write_text("{")
    predictions = place(one, 1) / "predictions.npz"
    predictions.write_bytes(predictions.read_bytes()[:-9])
    assert merged(one, into=tmp_path / "all") == {"merged": 1, "refused": 2}
    assert set(content(tmp_path / "all")) == {name for name in content(one) if "/seed2/" in name}


def test_a_folder_without_a_record_or_a_file_in_the_way_is_a_conflict(tmp_path: Path) -> None:
    one, all_ = write_runs(tmp_path / "one", 2), tmp_path / "all"
    place(all_).mkdir(parents=True)
    (place(all_) / "log.txt").write_text("begun here")
    place(all_, 1).mkdir()
    assert merged(one, into=all_) == {"merged": 1, "conflict": 1}, "an empty folder is in nobody's way"
    assert (place(all_) / "log.txt").read_text() == "begun here"
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "split-toy").write_text("")
    assert merged(one, into=tmp_path / "blocked") == {"conflict": 2}


def test_a_merge_that_was_killed_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, all_ = write_runs(tmp_path / "one", 3), tmp_path / "all"
    real, calls = os.rename, []

    def killed(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "rename", killed)
        patch.setattr(module.shutil, "rmtree", lambda *_, **__: None)  # a kill cleans nothing up
        with pytest.raises(KeyboardInterrupt):
            list(merge([one], all_))
    assert (all_ / STAGING).is_dir()
    assert merged(one, into=all_) == {"the same": 1, "merged": 2}
    assert content(all_) == content(one)


def test_one_merge_at_a_time(tmp_path: Path) -> None:
    one = write_runs(tmp_path / "one", 1)
    with exclusive(tmp_path / "all"):
        assert (tmp_path / "all" / f"{LOCK}.1").exists()
        with pytest.raises(UsageError, match="Another process is merging"):
            list(merge([one], tmp_path / "all"))


def test_folders_that_cannot_be_merged_are_named(tmp_path: Path) -> None:
    one = write_runs(tmp_path / "one", 1)
    with pytest.raises(UsageError, match="is one run"):
        list(merge([place(one)], tmp_path / "all"))
    with pytest.raises(UsageError, match="inside each other"):
        list(merge([one], one / "split-toy"))
    with pytest.raises(UsageError, match="no results at"):
        list(merge([tmp_path / "none"], tmp_path / "all"))
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("name", ["config.toml", "predictions.npz"])
def test_a_run_that_is_not_whole_is_refused_by_the_name_of_its_folder(name: str, dry_run: bool, tmp_path: Path) -> None:
    one = write_runs(tmp_path / "one", 1)
    file = place(one) / name
    file.write_bytes(file.read_bytes()[:-9] + b"[[[")
    [found] = merge([one], tmp_path / "all", dry_run=dry_run)
    assert found.state == "refused" and content(tmp_path / "all") == {}
    assert found.reason.startswith(f"{place(one)} is not copied, because its {name} is damaged")
    assert "copy the run again from where it was made" in found.reason and STAGING not in found.reason
