"""The runs that the soak disturbs: small inputs, a few methods, and stored states to start from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.soak.outcome import Ended
from tools.soak.server import Strike, clbench, forked

STREAM_FILE = """name = "soak"
title = "Two folders of images"
setting = "domain-incremental"
size = 32

[[datasets]]
name = "first"
reader = "folder"
path = "images"

[[datasets]]
name = "second"
reader = "folder"
path = "others"
"""
SPARE = {"log.txt"}
"""Files of a run's folder that do not count: the log for people."""


@dataclass(frozen=True)
class Scenario:
    """A run by its command line: strategy, stream, more arguments, and the strategy to compare with, with its own."""

    name: str
    strategy: str
    stream: str = "folder:images"
    more: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    other: tuple[str, ...] = ("simplecil",)

    def command(self, *extra: str) -> list[str]:
        """The command line of the run."""
        return self._command(self.strategy, *self.own, *extra)

    def companion(self) -> list[str]:
        """The command line of a run to compare with."""
        return self._command(*self.other)

    def _command(self, *method: str) -> list[str]:
        always = ["--stream", self.stream, "--results", "results", "--checkpoint-every", "0", "--progress", "plain"]
        return ["run", "-s", *method, *self.more, *always]


_TASKS = ("--set", "stream.tasks=3")
_FILE = ("--backbone", "test_vit@weights.safetensors", "--set", "backbone.image_size=32")
_DIGITS = (
    *("--set", "stream.tasks=5", "--set", "stream.train_per_class=5", "--set", "stream.test_per_class=3"),
    *("--max-tasks", "2"),
)
_ONE = ("--set", "epochs=1")
_RANPAC = ("ranpac", *_ONE, "--set", "width=64")
_KEYS = tuple(
    text
    for value in ("codebooks=4", "pairs=16", "key_images=32", "key_epochs=1", "epochs=2")
    for text in ("--set", value)
)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("simplecil", "simplecil", more=_TASKS, other=_RANPAC),
        Scenario("slca", "slca", more=_TASKS, own=_ONE),
        Scenario("replay", "replay", "split-digits", more=_DIGITS, own=_ONE),
        Scenario("l2p", "l2p", more=_TASKS, own=_ONE),
        Scenario("weights", "slca", more=(*_TASKS, *_FILE), own=_ONE),
        Scenario("toml", "simplecil", "stream.toml", more=_FILE, other=_RANPAC),
        Scenario("learner", "kvb", more=(*_TASKS, *_FILE), own=("--save-learner", *_KEYS)),
    )
}
"""Features (simplecil), training with heads' statistics (slca), exemplars (replay), prompts (l2p), a weights file, a
stream file, and a saved learner."""


@dataclass
class Whole:
    """The undisturbed run: its results, how often it passes each moment, its time, its folder and the files in it."""

    result: dict[str, Any]
    predictions: str
    learner: str
    ticks: dict[str, int]
    seconds: float
    folder: Path
    names: frozenset[str]


@dataclass
class Workshop:
    """A worker's folder: every try happens in `work`, always at the same path; stored states are copied there."""

    base: Path
    scenario: Scenario
    wholes: dict[str, Whole] = field(default_factory=dict)
    boards: dict[tuple[str, ...], Ended] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.base / "work"

    def run(self, function: Callable[[], int], strike: Strike | None = None, **how: Any) -> Ended:
        return forked(function, self.work, strike, **how)

    def command(self, *extra: str) -> Callable[[], int]:
        """The scenario's run as a function for a child."""
        return clbench(self.scenario.command(*extra))

    # ------------------------------------------------------------------------------------------------------- states

    def enter(self, state: str) -> None:
        """Put `work` into a state: `inputs`, `warm` (a full cache, no results), `complete`, or `halfway-K`."""
        stored = self.base / "states" / self.scenario.name / state
        if not stored.is_dir():
            self._make(state)
            stored.parent.mkdir(parents=True, exist_ok=True)
            _copy(self.work, stored)
        _copy(stored, self.work)

    def _make(self, state: str) -> None:
        if state == "inputs":
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir(parents=True)
            done = self.run(_inputs)
        elif state == "complete":
            done = self._undisturbed()
        elif state == "warm":
            self.enter("complete")
            shutil.rmtree(self.work / "results")
            return
        else:
            share = float(state.partition("-")[2]) / 10
            changes = self.whole.ticks["change"]
            self.enter("companion")
            self.run(self.command(), Strike("change", max(1, int(share * changes)), signal.SIGKILL))
            return
        if done.code != 0:
            raise RuntimeError(f"{self.scenario.name}: the undisturbed run fails: {done.err[-2000:]}")

    def _undisturbed(self) -> Ended:
        self.enter("inputs")
        done = self.run(self.command(), count=True)
        if done.code != 0:
            return done
        [folder] = [path.parent for path in (self.work / "results").rglob("record.json")]
        self.wholes[self.scenario.name] = Whole(
            *contents(folder),
            done.ticks or {},
            done.seconds,
            folder.relative_to(self.work),
            frozenset(path.name for path in folder.iterdir()),
        )
        companion = self.base / "states" / self.scenario.name / "companion"
        again = self.run(clbench(self.scenario.companion()))
        if again.code == 0:
            _copy(self.work, companion)
            shutil.rmtree(companion / folder.relative_to(self.work))
            shutil.rmtree(companion / "home", ignore_errors=True)
        return again

    @property
    def whole(self) -> Whole:
        """The undisturbed run of the scenario."""
        if self.scenario.name not in self.wholes:
            self.enter("complete")
        return self.wholes[self.scenario.name]

    @property
    def folder(self) -> Path:
        """The folder of the scenario's run."""
        return self.work / self.whole.folder

    # ----------------------------------------------------------------------------------------------------- comparison

    def differs(self) -> str:
        """How the run in `work` differs from the undisturbed one; empty if it is equal."""
        try:
            result, predictions, learner = contents(self.folder)
            status = json.loads((self.folder / "record.json").read_text())["status"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"the record cannot be read: {error!r}"
        whole = self.whole
        if status != "complete":
            return f"the status is {status}"
        if result != whole.result:
            keys = [key for key in whole.result if result.get(key) != whole.result[key]]
            return f"another result: {', '.join(keys) or sorted(result.keys() - whole.result.keys())}"
        if predictions != whole.predictions:
            return "other predictions"
        return "another learner" if learner != whole.learner else ""

    def leftovers(self) -> list[str]:
        """Files in the folder of the run that the undisturbed one does not have."""
        return sorted({path.name for path in self.folder.iterdir()} - self.whole.names - SPARE)


def contents(folder: Path) -> tuple[dict[str, Any], str, str]:
    """The result of a run's record, and hashes of its predictions and of its learner."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    predictions, learner = folder / "predictions.npz", folder / "learner.safetensors"
    return (
        record["result"],
        _predicted(predictions) if predictions.is_file() else "",
        _learned(learner) if learner.is_file() else "",
    )


def _predicted(path: Path) -> str:
    """Hash of the arrays of a file of predictions; "unreadable" for a damaged file."""
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                digest.update(name.encode() + archive.read(name))
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return "unreadable"
    return digest.hexdigest()


def _learned(path: Path) -> str:
    """Hash of a saved learner without its costs, which are measurements; "unreadable" for a damaged file."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    try:
        skeleton = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["skeleton"])
    except (ValueError, KeyError, TypeError):
        return "unreadable"
    told = json.dumps(_without_costs(skeleton)).encode()
    return hashlib.sha256(told + content[8 + size :]).hexdigest()


def _without_costs(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_costs(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_costs(item) for item in value if not (isinstance(item, list) and item[:1] == ["cost"])]
    return value


def _copy(source: Path, target: Path) -> None:
    """Replace `target` by a copy of `source`, with its times."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True)


def _inputs() -> int:
    """Write the inputs of every scenario into the current folder: images, a weights file and a stream file."""
    import numpy as np
    import timm
    import torch
    from PIL import Image
    from safetensors.torch import save_file

    for number, root in enumerate(("images", "others")):
        rng = np.random.default_rng(number)
        for split, count in (("train", 5), ("test", 3)):
            for label in range(6):
                for index in range(count):
                    noise = rng.integers(0, 96, (34, 36, 3))
                    path = Path(root, split, f"class{label}", f"{index}.png")
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.fromarray((noise + 25 * label).astype(np.uint8)).save(path)
    Path("stream.toml").write_text(STREAM_FILE)
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=0)
    save_file(dict(model.state_dict()), "weights.safetensors")
    for path in Path().rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    return 0
