"""`clbench cache`: what is listed and cleaned, and that a run gives the same afterwards."""

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

import pytest
import torch

from cl import registry
from cl.cli import call
from cl.options import option
from cl.strategy import Strategy
from cl.training import state
from tests.help.cached import Shown, decode_something, listed

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


def record(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    (path,) = (tmp_path / "results").rglob("record.json")
    return path, json.loads(path.read_text())


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
    state.save(run / "learner-after-2.safetensors", {"x": torch.zeros(10)})
    found = listed(capsys)
    assert {kind: len(items) for kind, items in found.items()} == {"decoded": 1, "downloads": 3, "learners": 2}
    assert found["decoded"][0]["files"] == 5 and found["decoded"][0]["used"] > time.time() - 100
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
