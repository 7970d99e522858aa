"""NCM: the three metrics against all images at once, and what they are equal to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cl.strategies.ncm import METRICS, NCM
from cl.strategies.simplecil import SimpleCIL
from cl.strategies.slda import SLDA
from tests.conftest import make, tiny_stream
from tests.help.closed_forms import STREAMS, Array, asked, learned, trained_on


def distances(test: Array, means: Array, metric: Array) -> Array:
    away = test[:, None] - means
    return np.einsum("ncd,de,nce->nc", away, metric, away)


def unit(x: Array) -> Array:
    found: Array = x / np.linalg.norm(x, axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("setting", STREAMS)
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_it_equals_the_batch_solution_in_float64(setting: str, metric: str, normalize: bool) -> None:
    stream = STREAMS[setting]()
    learner = learned(make(NCM, metric=metric, normalize=normalize, shrinkage=0.2), stream)
    (x, y), test = trained_on(learner, stream), asked(stream)
    features = test.encode(learner.backbone).double().numpy()
    x, features = (unit(x), unit(features)) if normalize else (x, features)
    means = np.stack([x[y == c].mean(0) for c in range(y.max() + 1)])
    away = x - means[y]
    means = unit(means) if normalize else means
    scores = learner.predict(test).numpy()
    if metric == "cosine":
        assert np.allclose(scores, unit(features) @ unit(means).T, rtol=0, atol=1e-10)
        return
    sigma = np.eye(16)
    if metric == "mahalanobis":
        sigma = 0.8 * away.T @ away / len(x)
        sigma += 0.2 * np.diag(away.T @ away).mean() / len(x) * np.eye(16)
    halves = scores + distances(features, means, np.linalg.inv(sigma)) / 2
    assert np.allclose(halves, halves[:, :1], rtol=0, atol=1e-8), "minus half the distance, up to a term of the image"


def test_cosines_to_plain_means_are_simplecil() -> None:
    stream = tiny_stream()
    one, two = learned(make(NCM, metric="cosine"), stream), learned(make(SimpleCIL), stream)
    assert torch.allclose(one.predict(asked(stream)).float(), two.predict(asked(stream)), atol=1e-5)


def test_mahalanobis_distances_rank_as_linear_discriminants() -> None:
    stream = tiny_stream()
    one = learned(make(NCM, metric="mahalanobis", shrinkage=1e-9), stream)
    two = learned(make(SLDA, covariance="pooled", shrinkage=1e-9), stream)
    ranks: Any = [learner.predict(asked(stream)).argsort(1) for learner in (one, two)]
    assert (ranks[0] == ranks[1]).float().mean() > 0.95, "their identities differ, and Sigma has rank 15 of 16"


def test_only_mahalanobis_stores_a_covariance() -> None:
    means = 8 * 10 * 17 * 2
    for metric, more in (("euclidean", 0), ("cosine", 0), ("mahalanobis", 8 * 16 * 17 // 2)):
        assert learned(make(NCM, metric=metric), tiny_stream()).stored()["statistics"] == means + more


def test_classes_of_one_image_have_a_metric() -> None:
    learner = learned(make(NCM, metric="mahalanobis"), tiny_stream(train_per_class=1))
    assert bool(torch.isfinite(learner.predict(asked(tiny_stream()))).all())
