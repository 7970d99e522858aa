"""`clbench cache`: what is listed, what is cleaned, what is never touched, and that a run gives the same afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock

from cl import registry
from cl.cli import call
from cl.data.decoded import decoded_store
from cl.housekeeping import cache
from cl.options import option
from cl.strategy import Strategy
from cl.training import state

Shown = pytest.CaptureFixture[str]
SMALL = ["-b", "test_vit@random", "--set", "backbone.image_size=32"]
QUICK = ["--stream", "split-digits", "--limit", "2", "--set", "stream.tasks=2", "-q", *SMALL]


class Halting(Strategy):
    """Nearest mean of encodings; stops in the second task while STOP exists."""

    stop: Path
    sums: torch.Tensor

    @dataclass(frozen=True)
    class Options:
        unused: int = option(0, "nothing")

    def setup(self, info: Any) -> None:
        self.sums = torch.zeros(info.n_classes, self.backbone.dim)

    def learn(self, view: Any) -> None:
        if view.task == 1 and Halting.stop.exists():
            raise KeyboardInterrupt
        features = self.encode(view.train)
        self.sums = self.sums.index_add(0, view.train.labels, features)

    def predict(self, inputs: Any, task: int | None = None) -> torch.Tensor:
        return inputs.encode(self.backbone) @ self.sums.T


@pytest.fixture(autouse=True)
def halting(tmp_path: Path) -> Iterator[None]:
    Halting.stop = tmp_path / "stop"
    registry.strategies.register("halting", Halting)
    yield
    registry.strategies.unregister("halting")


def listed(capsys: Shown) -> dict[str, list[dict[str, Any]]]:
    capsys.readouterr()
    assert call(["cache", "--json"]) == 0
    found: dict[str, list[dict[str, Any]]] = {}
    for item in json.loads(capsys.readouterr().out):
        found.setdefault(item["kind"], []).append(item)
    return found


def record(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = (tmp_path / "results").rglob("record.json")
    return path, json.loads(path.read_text())


def decode_something(value: int = 0) -> None:
    decoded_store("toy", f"{value:064x}", np.zeros(2, np.int64), lambda: lambda i: np.full((4, 4, 3), i, np.uint8))


def test_after_cleaning_everything_a_run_gives_the_same(tmp_path: Path, capsys: Shown) -> None:
    assert call(["run", "-s", "halting", *QUICK]) == 0
    path, expected = record(tmp_path)
    assert len(listed(capsys)["features"]) >= 1
    assert call(["cache", "clean", "all", "--yes"]) == 0
    assert "Freed" in capsys.readouterr().out
    assert listed(capsys) == {}
    assert record(tmp_path)[1] == expected  # records stay
    assert call(["run", "-s", "halting", *QUICK, "--existing", "always"]) == 0
    assert record(tmp_path)[1]["result_sha256"] == expected["result_sha256"]
    assert listed(capsys)["features"]
    shutil.rmtree(path.parent)

    Halting.stop.touch()
    assert call(["run", "-s", "halting", *QUICK, "--checkpoint-every", "0"]) == 130
    assert record(tmp_path)[1]["status"] == "partial"
    (item,) = listed(capsys)["checkpoints"]
    assert item["path"] == str(path.parent / "checkpoint") and item["files"] >= 1
    assert call(["cache", "clean", "checkpoints", "features", "--yes"]) == 0
    assert record(tmp_path)[1]["status"] == "partial" and not (path.parent / "checkpoint").exists()
    Halting.stop.unlink()
    assert call(["run", "-s", "halting", *QUICK]) == 0  # from the beginning
    assert record(tmp_path)[1]["result_sha256"] == expected["result_sha256"]


def test_the_overview_counts_what_is_there(tmp_path: Path, capsys: Shown) -> None:
    home, run = tmp_path / "home", tmp_path / "results" / "a" / "seed1"
    decode_something()
    (home / "data").mkdir()
    for name in ("cifar-100-python.tar.gz", "cifar-100-python.tar.gz.part", "cifar-100-python.tar.gz.lock"):
        (home / "data" / name).write_bytes(b"x" * 1000)
    (home / "data" / "torchvision" / "MNIST" / "raw").mkdir(parents=True)
    (home / "data" / "torchvision" / "MNIST" / "raw" / "labels").write_bytes(b"x" * 1000)
    run.mkdir(parents=True)
    (run / "config.toml").touch()
    state.save(run / "learner.safetensors", {"x": torch.zeros(10)})
    found = listed(capsys)
    assert {kind: len(items) for kind, items in found.items()} == {"decoded": 1, "downloads": 3, "learners": 1}
    assert found["decoded"][0]["files"] == 4 and found["decoded"][0]["used"] > time.time() - 100
    assert call(["cache"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\| downloads +\| +3 \| +3 kB \| now", shown) and re.search(r"\| features +\| +0 \|", shown)
    assert call(["cache", "clean", "all", "--yes"]) == 0
    assert list(listed(capsys)) == ["learners"]


def test_dry_run_and_nobody_to_ask_touch_nothing(capsys: Shown) -> None:
    decode_something()
    assert call(["cache", "clean", "decoded", "--dry-run"]) == 0
    assert "Would free" in capsys.readouterr().out
    assert call(["cache", "clean", "decoded"]) == 2
    assert "give --yes" in capsys.readouterr().err
    assert listed(capsys)["decoded"]
    assert call(["cache", "clean", "features"]) == 0
    assert "nothing to clean" in capsys.readouterr().out


def test_older_than_keeps_what_was_used_since(tmp_path: Path, capsys: Shown) -> None:
    for value in (0, 1):
        decode_something(value)
    old = time.time() - 40 * 86_400
    for path in (tmp_path / "home" / "decoded" / f"{0:064x}").iterdir():
        os.utime(path, (old, old))
    assert call(["cache", "clean", "decoded", "--older-than", "41d", "--yes"]) == 0
    assert len(listed(capsys)["decoded"]) == 2
    assert call(["cache", "clean", "decoded", "--older-than", "30d", "--yes"]) == 0
    (left,) = listed(capsys)["decoded"]
    assert left["path"].endswith(f"{1:064x}")


def test_what_is_locked_stays_and_the_rest_goes(tmp_path: Path, capsys: Shown) -> None:
    for value in (0, 1):
        decode_something(value)
    run = tmp_path / "results" / "run"
    (run / "checkpoint").mkdir(parents=True)
    (run / "config.toml").touch()
    (run / "checkpoint" / "event.safetensors").write_bytes(b"x")
    with FileLock(run / ".lock"), FileLock(tmp_path / "home" / "decoded" / f"{0:064x}.lock"):
        assert call(["cache", "clean", "all", "--yes"]) == 0
        shown = capsys.readouterr().err
        assert shown.count("(a running process uses it)") == 2
    assert {kind: len(items) for kind, items in listed(capsys).items()} == {"decoded": 1, "checkpoints": 1}
    assert call(["cache", "clean", "all", "--yes"]) == 0
    assert listed(capsys) == {} and (run / "config.toml").exists()


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
        tmp_path / "results" / "other" / "checkpoint" / "event.safetensors",  # not beside a config.toml
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


def test_what_cannot_be_deleted_is_said(monkeypatch: pytest.MonkeyPatch, capsys: Shown) -> None:
    decode_something()

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(cache.shutil, "rmtree", denied)
    assert call(["cache", "clean", "decoded", "--yes"]) == 1
    shown = capsys.readouterr()
    assert "(Permission denied)" in shown.err and "Freed 0 B" in shown.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["clean"], "Missing argument"),
        (["clean", "records"], "'records' is not one of"),
        (["clean", "learners"], "'learners' is not one of"),
        (["clean", "all", "--older-than", "soon"], "'soon' is no age; write 30d"),
    ],
)
def test_mistakes_are_wrong_usage(arguments: list[str], says: str, capsys: Shown) -> None:
    assert call(["cache", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_another_results_folder_may_be_named_before_or_after(tmp_path: Path, capsys: Shown) -> None:
    run = tmp_path / "elsewhere" / "run"
    (run / "checkpoint").mkdir(parents=True)
    (run / "config.toml").touch()
    place = ["--results", str(tmp_path / "elsewhere")]
    for arguments in (["cache", *place, "clean", "all"], ["cache", "clean", "all", *place]):
        assert call([*arguments, "--dry-run"]) == 0
        assert str(run / "checkpoint") in capsys.readouterr().out
