"""ACIL: ridge regression on random features of all images so far, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies import acil
from cl.strategies.acil import ACIL
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.closed_forms import STREAMS, Array, asked, learned, ridge, trained_on


def expanded(learner: ACIL, x: Array) -> Array:
    found: Array = np.maximum(x @ learner.projection.matrix.double().numpy(), 0)
    return found


@pytest.mark.parametrize("setting", STREAMS)
def test_it_equals_the_batch_solution_in_float64(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acil, "CHUNK", 5)
    stream = STREAMS[setting]()
    learner = learned(make(ACIL, width=40), stream)
    x, y = trained_on(learner, stream)
    test = asked(stream)
    expected = expanded(learner, test.encode(learner.backbone).double().numpy()) @ ridge(expanded(learner, x), y, 0.1)
    assert np.allclose(learner.predict(test), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("tuning", ["adapter", "finetune"])
def test_with_tuning_the_regression_is_on_features_of_the_adapted_network(tuning: str) -> None:
    stream = tiny_stream()
    learner = learned(make(ACIL, width=40, tuning=tuning, epochs=1, lr=0.05, augment="crop-flip"), stream)
    views = [stream.view(task).train for task in range(5)]
    x = learner.encode(views, learner.adapted).double().numpy()
    y = np.concatenate([view.labels.numpy() for view in views])
    plain = learner.encode(views).double().numpy()
    assert learner.backbone.is_pristine and not np.allclose(x, plain, atol=1e-3)
    assert np.allclose(learner.regression.weights, ridge(expanded(learner, x), y, 0.1), rtol=0, atol=1e-8)


def test_streams_of_single_images_need_a_frozen_network() -> None:
    tuned, frozen = ACIL.Options(tuning="adapter"), ACIL.Options()
    for setting in ("online", "blurry"):
        assert not ACIL.supports(setting, tuned) and ACIL.supports(setting, frozen)
    assert ACIL.supports("domain-incremental", tuned)
    with pytest.raises(UsageError, match="which acil cannot learn with these options"):
        make_plan("acil", "split-digits", options={"tuning": "adapter"}, setting="online")


def test_random_features_are_the_same_in_all_tasks_and_stored_once() -> None:
    kept: list[torch.Tensor] = []
    learner = learned(make(ACIL, width=40), tiny_stream(), lambda s, view: kept.append(s.projection.matrix.clone()))
    assert all(torch.equal(kept[0], other) for other in kept)
    assert learner.stored()["parameters"] == state.nbytes(learner.projection.matrix) == 4 * 16 * 40
    assert learner.stored()["statistics"] == 8 * (40 * 41 // 2 + 40 * 10)


def test_it_needs_no_adaptation_by_default() -> None:
    options: Any = make_plan("acil", "split-digits").options
    assert options.tuning == "none" and not ACIL.needs(options).adapts
    assert ACIL.needs(ACIL.Options(tuning="adapter")).adapts
