"""SLDA: the recursion image by image, and linear discriminant analysis on all images at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.slda import SLDA
from tests.conftest import make, tiny_stream
from tests.help.closed_forms import STREAMS, Array, asked, learned, trained_on


def scores(test: Array, means: Array, sigma: Array, shrinkage: float = 1e-4) -> Array:
    inverse = np.linalg.inv((1 - shrinkage) * sigma + shrinkage * np.eye(len(sigma)))
    found: Array = test @ inverse @ means.T - 0.5 * np.einsum("cd,de,ce->c", means, inverse, means)
    return found


def loop(x: Array, y: Array) -> tuple[Array, Array]:
    """Means and covariance of the paper's recursion, one image at a time."""
    means, count, sigma = np.zeros((y.max() + 1, x.shape[1])), np.zeros(y.max() + 1), np.zeros((x.shape[1],) * 2)
    for t, (image, label) in enumerate(zip(x, y, strict=True)):
        away = image - means[label]
        sigma = (t * sigma + t / (t + 1) * np.outer(away, away)) / (t + 1)
        means[label] += away / (count[label] + 1)
        count[label] += 1
    return means, sigma


@pytest.mark.parametrize("setting", STREAMS)
def test_blocks_of_images_give_what_the_recursion_gives(setting: str) -> None:
    stream = STREAMS[setting]()
    learner = learned(make(SLDA, base="none"), stream)
    means, sigma = loop(*trained_on(learner, stream))
    assert np.allclose(learner.moments.mean, means, rtol=0, atol=1e-9)
    assert np.allclose(learner.sigma, sigma, rtol=0, atol=1e-8)
    test = asked(stream)
    expected = scores(test.encode(learner.backbone).double().numpy(), means, sigma)
    assert np.allclose(learner.predict(test), expected, rtol=1e-6, atol=1e-4), "Sigma + 1e-4 I is hardly invertible"


@pytest.mark.parametrize("setting", STREAMS)
def test_pooled_it_equals_the_batch_solution(setting: str) -> None:
    stream = STREAMS[setting]()
    learner = learned(make(SLDA, covariance="pooled", shrinkage=0.1), stream)
    x, y = trained_on(learner, stream)
    means = np.stack([x[y == c].mean(0) for c in range(y.max() + 1)])
    away = x - means[y]
    test = asked(stream)
    expected = scores(test.encode(learner.backbone).double().numpy(), means, away.T @ away / len(x), 0.1)
    assert np.allclose(learner.predict(test), expected, rtol=0, atol=1e-8)


def test_a_fixed_covariance_is_that_of_the_first_task() -> None:
    streaming, fixed = [], []
    learned(make(SLDA, covariance="streaming"), tiny_stream(), lambda s, view: streaming.append(s.sigma.clone()))
    learned(make(SLDA, covariance="fixed"), tiny_stream(), lambda s, view: fixed.append(s.sigma.clone()))
    assert torch.equal(streaming[0], fixed[0]) and not torch.allclose(streaming[0], streaming[-1])
    assert all(torch.equal(fixed[0], later) for later in fixed)


def test_it_stores_means_and_one_covariance() -> None:
    for images in (2, 12):
        stored = learned(make(SLDA), tiny_stream(train_per_class=images)).stored()
        means, head = 10 * 17, 10 * 17
        assert stored == {"samples": 0, "parameters": 0, "statistics": 8 * (means + head + 16 * 16)}


def test_a_first_task_of_one_image_has_a_covariance() -> None:
    learner = learned(make(SLDA), tiny_stream(tasks=10, train_per_class=1))
    assert bool(torch.isfinite(learner.weights).all())


def test_contradictory_options_are_one_sentence() -> None:
    with pytest.raises(UsageError, match="set base=oas"):
        make_plan("slda", "split-digits", options={"covariance": "fixed", "base": "none"})
