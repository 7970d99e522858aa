"""Calibration reads the training images that a run held out, and no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cl
from cl.running import held_out
from cl.running.build import build_stream
from cl.running.held_out import calibrate
from tests.help.small_runs import OPTIONS

pytestmark = pytest.mark.usefixtures("isolated")


def run(**options: Any) -> cl.RunResult:
    return cl.run(
        "simplecil", "split-digits", backbone="test_vit@random", seed=7, save_learner=True,
        options={**OPTIONS, "stream.train_per_class": 24, "stream.test_per_class": 4, **options},
    )  # fmt: skip


def test_held_out_images_give_the_temperature_and_no_test_image_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(**{"stream.val_fraction": 0.5})
    found = result.learner.calibration
    assert found.temperature is not None and found.images == 120
    assert found.ece is not None and found.ece_after is not None and found.ece_after < found.ece
    assert cl.load_learner(result.folder).calibration == found  # kept with the learner
    stream = build_stream(cl.make_plan(config_file=result.folder / "config.toml"))
    monkeypatch.setattr(type(stream.dataset.test), "pixels", property(lambda store: check(store, stream)))
    assert calibrate(result.learner, stream) == found


def check(store: Any, stream: Any) -> Any:
    assert store is not stream.dataset.test, "a test image was read"
    return store._pixels


def test_the_result_does_not_depend_on_it() -> None:
    options = {"stream.val_fraction": 0.5, **OPTIONS, "stream.train_per_class": 24, "stream.test_per_class": 4}
    first = run(**{"stream.val_fraction": 0.5})
    plain = cl.run(
        "simplecil", "split-digits", backbone="test_vit@random", seed=7, options=options, existing="always"
    )  # fmt: skip
    assert plain.record["result_sha256"] == first.record["result_sha256"]
    assert plain.record["measurement"]["flops"]["uncached"] == first.record["measurement"]["flops"]["uncached"]


def test_a_run_that_held_nothing_out_says_so_and_how_to() -> None:
    found = run().learner.calibration
    assert found.temperature is None and "stream.val_fraction=0.1" in found.sentence
    few = run(**{"stream.train_per_class": 6, "stream.val_fraction": 0.2}).learner.calibration
    assert few.temperature is None and "held only 10 training images out" in few.sentence


def test_at_most_so_many_images_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "MOST", 50)
    result = run(**{"stream.val_fraction": 0.5, "stream.tasks": 5})
    stream = build_stream(cl.make_plan(config_file=result.folder / "config.toml"))
    assert result.learner.calibration.images == 50
    chosen = held_out._held_out(result.learner, stream)
    assert {task for task, _ in chosen} == set(range(5))
    assert all(np.isin(rows, stream.experiences[task].val).all() for task, rows in chosen)
