"""What cleaning deletes, what it leaves because a process uses it, and what it never touches."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from cl.backbone.facts import keep
from cl.backbone.options import BackboneOptions
from cl.cli import call
from cl.housekeeping import cache
from cl.plan.run_options import DEFAULT_BACKBONE
from cl.records.record import save
from cl.training import state
from tests.help.cached import Shown, decode_something, listed


def test_what_is_locked_stays_and_the_rest_goes(tmp_path: Path, capsys: Shown) -> None:
    for value in (0, 1):
        decode_something(value)
    run = tmp_path / "results" / "run"
    (run / "checkpoint").mkdir(parents=True)
    (run / "config.toml").touch()
    for name in ("event", "event-before", f"kept-{0:032x}", "entry--1-1", "entry-0-2", "partial"):
        (run / "checkpoint" / f"{name}.safetensors").write_bytes(b"x")
    with FileLock(run / ".lock"), FileLock(tmp_path / "home" / "decoded" / f"{0:064x}.lock"):
        assert call(["cache", "clean", "all", "--yes"]) == 0
        shown = capsys.readouterr().err
        assert shown.count("(a running process uses it)") == 2
    assert {kind: len(items) for kind, items in listed(capsys).items()} == {"decoded": 1, "checkpoints": 1}
    assert call(["cache", "clean", "all", "--yes"]) == 0
    assert listed(capsys) == {} and (run / "config.toml").exists()


def test_facts_of_backbones_are_listed_and_cleaned(tmp_path: Path, capsys: Shown) -> None:
    keep(DEFAULT_BACKBONE, BackboneOptions())
    folder = tmp_path / "home" / "backbones"
    (file,) = folder.iterdir()
    (folder / f".{file.name}.abc.tmp").touch()
    (folder / "mine.json").touch()
    assert {kind: len(items) for kind, items in listed(capsys).items()} == {"backbones": 2, "unknown": 1}
    assert call(["cache", "clean", "backbones", "--yes"]) == 0
    assert [path.name for path in folder.iterdir()] == ["mine.json"]


def test_foreign_and_damaged_things_are_unknown_and_left_alone(tmp_path: Path, capsys: Shown) -> None:
    home, outside, run = tmp_path / "home", tmp_path / "outside", tmp_path / "results" / "run"
    precious = outside / "1-2.safetensors"  # what a link leads to looks like ours and is not
    state.save(precious, {"x": torch.zeros(4)})
    key = "0123456789abcdef01234567"
    state.save(home / "features" / key / "1-2.safetensors", {"x": torch.zeros(4)})
    decode_something()
    decode_something(1)
    (home / "decoded" / f"{1:064x}" / "meta.json").write_text("{")
    unknown = [
        home / "weights" / "net.safetensors",
        home / "features" / "notes.txt",
        home / "features" / key / "mine.txt",
        home / "features" / key / "3-4.safetensors",  # damaged
        home / "features" / key / ".5-6.safetensors.abc.tmp",  # being written
        home / "decoded" / "thing",
        home / "data" / "my.npz",
        run / "checkpoint" / "mine.txt",
        tmp_path / "results" / "other" / "checkpoint" / "event.safetensors",  # not next to a config.toml
    ]
    for path in unknown:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not ours")
    (run / "config.toml").touch()
    for link in (home / "features" / key[::-1], home / "decoded" / f"{2:064x}"):
        link.symlink_to(outside)
        unknown.append(link)
    unknown.append(home / "decoded" / f"{1:064x}" / "meta.json")
    assert len(listed(capsys)["unknown"]) == 11  # the checkpoint without a config.toml is not even looked at
    assert call(["cache"]) == 0
    assert f"Unknown: {home / 'weights'}" in capsys.readouterr().out
    assert call(["cache", "clean", "all", "--yes"]) == 0
    assert set(listed(capsys)) == {"unknown"}
    assert all(os.path.lexists(path) for path in unknown) and precious.exists()
    assert not (home / "features" / key / "1-2.safetensors").exists()


def test_what_cannot_be_deleted_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: Shown) -> None:
    decode_something()

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cache.shutil, "rmtree", denied)
    assert call(["cache", "clean", "decoded", "--yes"]) == 1
    shown = capsys.readouterr()
    assert "(Permission denied)" in shown.err and "Freed 0 B" in shown.out


def test_leftovers_of_killed_processes_are_recognised_and_cleaned(
    make_record: Any, tmp_path: Path, capsys: Shown
) -> None:
    results = tmp_path / "results"
    for name, status in (("done", "complete"), ("partial", "partial"), ("damaged", "complete")):
        folder = results / name
        save(make_record(status=status), folder / "record.json")
        (folder / "config.toml").touch()
        (folder / ".lock").touch()
        (folder / "checkpoint").mkdir()
        (folder / "checkpoint" / "event.safetensors").write_bytes(b"x")
        (folder / ".record.json.a1b2.tmp").write_bytes(b"{")
        (folder / ".mine.tmp").write_bytes(b"mine")
    (results / "damaged" / "record.json").write_text("{")
    (results / "begun" / "seed1").mkdir(parents=True)
    (results / "begun" / "seed1" / ".lock").touch()
    found = listed(capsys)
    assert {kind: len(items) for kind, items in found.items()} == {"checkpoints": 2, "leftovers": 5}
    assert {Path(item["path"]) for item in found["checkpoints"]} == {
        results / "partial" / "checkpoint",
        results / "damaged" / "checkpoint",
    }
    with FileLock(results / "done" / ".lock"):
        assert call(["cache", "clean", "leftovers", "--yes"]) == 0
        assert capsys.readouterr().err.count("(a running process uses it)") == 2
    assert call(["cache", "clean", "leftovers", "--yes"]) == 0
    assert "will start from the beginning" not in capsys.readouterr().out
    left = {path.relative_to(results) for path in results.rglob("*") if path.is_file() and path.name != ".lock"}
    files = ("record.json", "config.toml", ".mine.tmp")
    kept = {Path(name, file) for name in ("done", "partial", "damaged") for file in files}
    assert left == kept | {Path(name, "checkpoint", "event.safetensors") for name in ("partial", "damaged")}
    assert not (results / "begun" / "seed1" / ".lock").exists()
