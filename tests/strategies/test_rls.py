"""RLS: in every setting the ridge regression on all images so far, exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.rls import RLS
from tests.conftest import make, run, tiny_stream
from tests.help.closed_forms import STREAMS, asked, learned, ridge, trained_on


@pytest.mark.parametrize("setting", STREAMS)
@pytest.mark.parametrize("forgetting", [1.0, 0.99])
def test_it_equals_the_batch_solution_in_float64(setting: str, forgetting: float) -> None:
    stream = STREAMS[setting]()
    learner = learned(make(RLS, ridge=0.5, forgetting=forgetting), stream)
    x, y = trained_on(learner, stream)
    expected = ridge(x, y, 0.5 * forgetting ** len(x), forgetting ** np.arange(len(x) - 1, -1, -1))
    test = asked(stream)
    scores = learner.predict(test)
    assert scores.dtype == torch.float64
    assert np.allclose(scores, test.encode(learner.backbone).double().numpy() @ expected, rtol=0, atol=1e-8)
    assert learner.backbone.is_pristine


def test_it_equals_the_batch_solution_after_every_task() -> None:
    """So on the images of any task it is as good as joint training (the ideal continual learner of the paper)."""
    stream, found = tiny_stream(), []
    learned(learner := make(RLS), stream, lambda learner, view: found.append(learner.regression.weights.clone()))
    x, y = trained_on(learner, stream)
    for task, weights in enumerate(found):
        images = 24 * (task + 1)
        assert np.allclose(weights, ridge(x[:images], y[:images], 1.0), rtol=0, atol=1e-9)


def test_affine_projections_are_the_limit_of_no_penalty() -> None:
    """With ridge near 0, as many images as equations are interpolated, by the change of least norm (APA)."""
    stream = tiny_stream(train_per_class=1, tasks=5)
    learner = learned(make(RLS, ridge=1e-9), stream)
    x, y = trained_on(learner, stream)
    expected = np.linalg.pinv(x) @ np.eye(10)[y]
    assert np.allclose(x @ expected, np.eye(10)[y], atol=1e-9), "ten images, 16 features: realisable"
    assert np.allclose(learner.regression.weights, expected, rtol=0, atol=1e-5)


def test_the_order_of_tasks_does_not_matter() -> None:
    found = []
    for seed, tasks in [(1993, 5), (3, 10)]:
        stream = tiny_stream(seed, tasks=tasks)
        learner = learned(make(RLS), stream)
        found.append(learner.regression.weights[:, torch.from_numpy(stream.positions)])
    assert torch.allclose(found[0], found[1], rtol=0, atol=1e-9)


def test_it_stores_half_of_phi_and_the_weights_whatever_was_seen() -> None:
    for images in (2, 12):
        learner = learned(make(RLS), tiny_stream(train_per_class=images))
        assert learner.stored() == {"samples": 0, "parameters": 0, "statistics": 8 * (16 * 17 // 2 + 16 * 10 + 0)}


def test_bad_options_are_one_sentence() -> None:
    for bad in ({"forgetting": 0.0}, {"forgetting": 1.5}, {"ridge": 0.0}):
        with pytest.raises(UsageError, match=next(iter(bad))):
            make_plan("rls", "split-digits", options=bad)
    with pytest.raises(UsageError, match="set a larger ridge, or a forgetting factor nearer to 1"):
        learned(make(RLS, forgetting=0.5), tiny_stream())


def test_it_cannot_answer_before_the_first_task(tmp_path: Path) -> None:
    record: Any = run(make(RLS), tiny_stream(tasks=2, evaluate_on="all"), tmp_path)["result"]
    assert set(record["accuracy"]["cil_seen"]["correct"][0]) == {None}
