"""The loop: what a strategy may see, what it costs, and resuming."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from cl.errors import ContractError, NonFiniteLoss
from cl.progress.base import Observer
from cl.records.record import load
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.slca import SLCA
from cl.strategy import Inputs
from cl.stream import View
from tests.conftest import make, run, tiny_stream

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "flip"}


def everything(root: object) -> list[object]:
    """All objects reachable from `root` through attributes and containers."""
    found: dict[int, object] = {}
    queue = [root]
    while queue:
        item = queue.pop()
        if id(item) in found or isinstance(item, (type, type(json))) or callable(item):
            continue
        found[id(item)] = item
        queue += gc.get_referents(item)
    return list(found.values())


class Spy(SimpleCIL):
    """Keeps what it was given, under names that are not state."""

    def learn(self, view: View) -> None:
        self._views = [*getattr(self, "_views", []), view]
        self._reach = everything(view)
        super().learn(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        self._tasks = [*getattr(self, "_tasks", []), task]
        return super().predict(inputs, task)


def test_learn_cannot_reach_test_images_and_views_die(tmp_path: Path) -> None:
    stream, spy = tiny_stream(), make(Spy)
    run(spy, stream, tmp_path)
    assert isinstance(spy, Spy)
    forbidden = {id(stream.dataset.test), id(stream.dataset.test.pixels), id(stream.dataset), id(stream)}
    assert not forbidden & {id(item) for item in spy._reach}
    assert any(item is stream.dataset.train.pixels for item in spy._reach), "the search finds training pixels"
    for view in spy._views:
        assert not view.past
        with pytest.raises(ContractError, match="Views die after learn"):
            view.train.pixels([0])
        with pytest.raises(ContractError, match="Views die after learn"):
            _ = view.train.labels
    assert set(spy._tasks) == {None}


def test_views_die_also_when_learn_fails(tmp_path: Path) -> None:
    class Failing(Spy):
        def learn(self, view: View) -> None:
            self._views = [view]
            raise NonFiniteLoss("the loss became nan.")

    failing = make(Failing)
    with pytest.raises(NonFiniteLoss):
        run(failing, tiny_stream(), tmp_path)
    with pytest.raises(ContractError):
        len(failing._views[0].train)
    record = load(tmp_path / "record.json")
    assert record["status"] == "failed" and record["error"] == "the loss became nan."


def test_flops_match_hand_arithmetic(tmp_path: Path) -> None:
    record = run(make(LinearProbe, epochs=3, batch_size=16, lr=0.1), tiny_stream(tasks=1), tmp_path)
    tokens, width, mlp = 5, 16, 64  # four patches and CLS
    block = 2 * tokens * (width * 3 * width + width * width + 2 * width * mlp) + 2 * 2 * tokens * tokens * width
    forward = 2 * block + 2 * 4 * (3 * 16) * width
    train, test, classes = 120, 60, 10
    head = 2 * width * classes
    fit = 3 * train * 2 * head  # forward and the weights' gradient; the features need none
    flops = record["measurement"]["flops"]
    blocks = sum(min(64, n) for n in np.bincount(tiny_stream(train_per_class=None).dataset.train.labels))
    encoded = flops["executed"] - fit - test * head
    assert encoded >= (train + test) * forward and encoded <= forward * (blocks * 2)
    assert flops["uncached"] == pytest.approx(fit + test * head + forward * (3 * train + test))


def test_an_accuracy_is_told_beside_the_classes_that_it_is_of(tmp_path: Path) -> None:
    heard: list[str] = []

    class Listener(Observer):
        def event(self, index: int, total: int, text: str) -> None:
            heard.append(text)

    learner = make(SimpleCIL)
    learner.trainer.observer = Listener()
    run(learner, tiny_stream(), tmp_path, max_tasks=2)
    assert [text.partition(", ")[1] for text in heard] == ["", ", "] * 2, heard


def test_max_tasks_stops_and_says_so(tmp_path: Path) -> None:
    record = run(make(SimpleCIL), tiny_stream(), tmp_path, max_tasks=2)
    assert [row["task"] for row in record["result"]["rows"]] == [0, 1] and record["status"] == "complete"


def test_resumed_runs_reach_the_same_result(tmp_path: Path) -> None:
    stream = tiny_stream()
    whole = run(make(SLCA, **FAST, ca_epochs=1, ca_samples=8, milestones=()), stream, tmp_path / "whole")

    class Stop(BaseException):
        pass

    for _ in range(10):
        learner = make(SLCA, folder=tmp_path / "cut", **FAST, ca_epochs=1, ca_samples=8, milestones=())

        def stop(*_: Any) -> None:
            raise Stop

        learner.trainer.observer.event = stop  # type: ignore[method-assign, assignment]
        with pytest.raises(Stop):
            run(learner, stream, tmp_path / "cut")
        assert load(tmp_path / "cut" / "record.json")["status"] == "partial"
    last = make(SLCA, folder=tmp_path / "cut", **FAST, ca_epochs=1, ca_samples=8, milestones=())
    record = run(last, stream, tmp_path / "cut")
    assert record["result"] == whole["result"] and record["result_sha256"] == whole["result_sha256"]
    assert len(record["measurement"]["resumed_from"]) == 10
