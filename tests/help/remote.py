"""Runs in folders and in memory, for tests of merging, pushing and pulling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cl.records.record import save
from tests.help.records import build_record, build_run


def write_run(folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """A complete run with predictions, a configuration, inputs, events and a log; returns `folder`."""
    folder.mkdir(parents=True)
    build_run(folder, np.random.default_rng(seed).random((3, 60)) < 0.7, seed=seed, **changes)
    (folder / "config.toml").write_text('[run]\nstrategy = "slca"\n')
    (folder / "inputs.json").write_text("{}")
    (folder / "events.jsonl").write_text('{"event": 0}\n{"event": 1}\n')
    (folder / "log.txt").write_text("INFO begins\n")
    return folder


def write_runs(folder: Path, seeds: int = 3) -> Path:
    """Runs of some seeds in the layout of a results folder; returns `folder`."""
    for seed in range(seeds):
        write_run(place(folder, seed), seed=seed)
    return folder


def place(folder: Path, seed: int = 0) -> Path:
    return folder / "split-toy" / "slca" / "vit_micro" / "0badcafe" / f"seed{seed}"


def write_stopped(folder: Path) -> Path:
    """A run that was stopped; returns `folder`."""
    save(build_record(status="partial"), folder / "record.json")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its path, apart from the lock of a merge."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".merge.lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def in_memory(name: str) -> Iterator[Any]:
    """An empty folder memory://NAME: its file system; emptied afterwards."""
    import fsspec

    system = fsspec.filesystem("memory")
    for _ in (0, 1):
        for held in (system.store, system.pseudo_dirs):  # `rm` of earlier versions fails where a file is a folder, too
            for path in [path for path in held if f"{path}/".startswith(f"/{name}/")]:
                held.pop(path) if held is system.store else held.remove(path)
        if not _:
            yield system
