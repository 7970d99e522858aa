"""Runs with --sealed: no test image is read, and a run ends where it falls below others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cl
from cl import registry
from cl.cli import call
from cl.data.duplicates import notes_on
from cl.data.sealed import FINGERPRINT
from cl.data.store import Dataset, ImageStore
from cl.errors import ContractError, UsageError
from cl.family import Family
from cl.plan.command import command_of
from cl.plan.plan import load_plan, make_plan
from cl.running.build import build_stream
from cl.running.sealing import accuracies, falls_below
from cl.streams.digits import SplitDigits, digits

pytestmark = pytest.mark.usefixtures("isolated")

OPTIONS = {"stream.tasks": 5, "stream.train_per_class": 10}
SMALL: dict[str, Any] = {
    "strategy": "simplecil", "stream": "split-digits", "backbone": "test_vit@random", "sealed": True,
    "options": OPTIONS, "device": "cpu",
}  # fmt: skip

FALLING = {**SMALL, "strategy": "toy"}
"""Predicts one class of the first task, whatever the weights: about 1/2, 1/4, then 1/6 of the images are right."""


def poison(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Put noise with wrong labels in the place of the test images of the digits, and fewer of them."""
    data = poisoned(seed)
    monkeypatch.setattr(SplitDigits, "read", lambda *_: data)


def poisoned(seed: int) -> Dataset:
    random, whole = np.random.default_rng(seed), digits()
    labels = np.repeat(np.arange(10), 1 + seed)
    return replace(
        whole, test=ImageStore.from_arrays(random.integers(0, 256, (len(labels), 8, 8, 1), np.uint8), labels)
    )


class Bare(Family):
    """A stream without an option for the images to evaluate."""

    def build(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def test_reading_a_test_image_raises_and_no_group_has_one() -> None:
    stream = build_stream(make_plan(**SMALL))
    assert [len(group.rows["test"]) for group in stream.groups] == [0] * 5 and len(stream.groups[0].rows["val"])
    with pytest.raises(ContractError, match="sealed"):
        _ = stream.dataset.test.pixels
    with pytest.raises(ContractError, match="sealed"):
        stream.test_rows([0])
    assert stream.dataset.fingerprints["test"] == FINGERPRINT and notes_on(stream.dataset) == list(stream.dataset.notes)


def test_a_sealed_run_is_bit_identical_whatever_the_test_images_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for seed in (0, 1, 2):
        if seed:
            poison(monkeypatch, seed)
        record = cl.run(**SMALL, max_tasks=2, results=tmp_path / str(seed)).record
        assert record["result"]["count"] == [0] * 5 and record["result"]["limited"]
        found.append(record["result_sha256"])
    assert found[0] == found[1] == found[2]


def test_only_held_out_training_images_can_be_evaluated() -> None:
    with pytest.raises(UsageError, match="leave the split of the stream out"):
        build_stream(make_plan(**SMALL | {"options": {**OPTIONS, "stream.split": "test"}}))
    registry.streams.register("bare", Bare)
    try:
        with pytest.raises(UsageError, match="Stream bare holds no training images out; leave --sealed out"):
            make_plan("finetune", "bare", sealed=True)
    finally:
        registry.streams.unregister("bare")


@pytest.mark.usefixtures("toy")
def test_a_run_ends_after_the_task_at_which_it_is_below(tmp_path: Path) -> None:
    whole = accuracies(cl.run(**FALLING, max_tasks=3, results=tmp_path / "whole").record)
    assert list(whole) == [0, 1, 2] and whole[0] > whole[1] > 0
    levels = (whole[0], whole[1] + 1e-3)
    record = cl.run(**FALLING, max_tasks=3, stop_below=levels, results=tmp_path / "cut").record
    assert accuracies(record) == {0: whole[0], 1: whole[1]} and record["status"] == "complete"
    assert falls_below(levels)(record) and not falls_below((0.0, whole[1]))(record) and not falls_below(())(record)
    assert not falls_below(levels[:1])(record), "there is no level for the last task"


@pytest.mark.usefixtures("toy")
def test_an_interrupted_run_that_is_below_does_not_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.running import loop

    real, arguments = loop._commit, {**FALLING, "stop_below": (0.0, 1.0), "results": tmp_path}

    def stopped(event: Any, state: Any, *given: Any) -> None:
        real(event, state, *given)
        if len(state.rows) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_commit", stopped)
        with pytest.raises(KeyboardInterrupt):
            cl.run(**arguments)
    record = cl.run(**arguments).record
    assert list(accuracies(record)) == [0, 1] and record["measurement"]["resumed_from"]


def test_the_options_are_part_of_the_run_and_of_its_command(tmp_path: Path) -> None:
    plain, plan = make_plan(**SMALL | {"sealed": False}), make_plan(**SMALL, stop_below=(0.5, 0.25), results=tmp_path)
    assert len({plain.config_hash, plan.config_hash, make_plan(**SMALL).config_hash}) == 3 and plan.limited
    assert plan.values["stream.split"].value == "val" and plan.values["stream.split"].origin == "--sealed"
    words = command_of(plan)
    assert words[words.index("--stop-below") + 1] == "0.5,0.25" and "--sealed" in words
    assert not any("stream.split" in word for word in words)
    assert call([*words[1:], "--max-tasks", "1", "--progress", "none", "--threads", "1"]) == 0
    (config,) = tmp_path.rglob("config.toml")
    again = load_plan(config.parent)
    assert (again.sealed, again.stop_below) == (True, (0.5, 0.25))
    assert again.config_hash == make_plan(**SMALL, stop_below=(0.5, 0.25), max_tasks=1).config_hash
