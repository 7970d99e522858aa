"""FeCAM: distances from all images at once, classes of one image, and what it stores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cl.errors import UsageError
from cl.strategies.fecam import FeCAM, shrunk
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.closed_forms import STREAMS, Array, asked, drawn, learned, trained_on


def unit(x: Array) -> Array:
    found: Array = x / np.linalg.norm(x, axis=1, keepdims=True)
    return found


def distances(test: Array, x: Array, y: Array, alpha1: float, normalize: bool) -> Array:
    """Squared distances from the images of each class, with the covariance shrunk once."""
    found = []
    for position in range(y.max() + 1):
        own = x[y == position]
        sigma = np.cov(own.T)
        sigma = sigma + alpha1 * np.diag(sigma).mean() * np.eye(len(sigma))
        if normalize:
            deviation = np.sqrt(np.diag(sigma))
            sigma = sigma / np.outer(deviation, deviation)
        away = test - own.mean(0)
        found.append(np.einsum("nd,de,ne->n", away, np.linalg.inv(sigma), away))
    return np.stack(found, 1)


@pytest.mark.parametrize("setting", STREAMS)
@pytest.mark.parametrize("normalize", [True, False])
def test_it_equals_the_batch_solution_in_float64(setting: str, normalize: bool) -> None:
    stream = STREAMS[setting]()
    learner = learned(make(FeCAM, alpha1=0.7, normalize=normalize), stream)
    (x, y), test = trained_on(learner, stream), asked(stream)
    features = unit(test.encode(learner.backbone).double().numpy())
    expected = distances(features, unit(x), y, 0.7, normalize)
    assert np.allclose(learner.predict(test), -expected, rtol=1e-8, atol=1e-8)


def test_shrinkage_adds_the_mean_variance_and_the_mean_covariance() -> None:
    root = drawn(5, 5)
    sigma = root @ root.T
    off = sigma[~torch.eye(5, dtype=torch.bool)].mean()
    expected = sigma + 2 * sigma.diagonal().mean() * torch.eye(5) + 3 * off * (1 - torch.eye(5))
    assert torch.allclose(shrunk(sigma, 2.0, 3.0), expected)
    assert torch.equal(shrunk(torch.zeros(3, 3), 1.0, 1.0), torch.zeros(3, 3))


@pytest.mark.parametrize("returning", ["merge", "average"])
def test_a_class_of_one_image_has_the_mean_covariance_of_the_others(returning: str) -> None:
    alone = learned(make(FeCAM, returning=returning), tiny_stream(train_per_class=1))
    eye = torch.eye(16, dtype=torch.float64)
    assert all(torch.allclose(alone.covariance(position), eye) for position in range(10)), "none has two images"
    learner, view = learned(make(FeCAM, returning=returning, shrinks=0, normalize=False), tiny_stream(tasks=10)), None
    features, count = drawn(1, 16).float(), len(learner.means)
    assert view is None and count == 10
    learner._add(features, torch.tensor([10]), [10])
    mean = torch.stack([learner.covariance(position) for position in range(10)]).mean(0)
    assert torch.allclose(learner.covariance(10), mean)
    learner._add(-features, torch.tensor([10]), [10])
    assert torch.allclose(learner.covariance(10), mean) is (returning == "average"), "now it has one of its own"


def test_scores_follow_new_images_and_restored_states() -> None:
    stream = tiny_stream()
    one, two = learned(make(FeCAM), stream), learned(make(FeCAM), tiny_stream(7))
    before = one.predict(asked(stream))
    assert not torch.equal(two.predict(asked(stream)), before)
    two.set_state(state.clone(one.get_state()))
    assert torch.equal(two.predict(asked(stream)), before)
    view = stream.view(0)
    one._add(one.encode(view.train).flip(0) * -1, view.train.labels, view.classes)
    after = one.predict(asked(stream))
    assert not torch.equal(after[:, :2], before[:, :2]) and torch.equal(after[:, 2:], before[:, 2:])
    two.set_state(state.clone(one.get_state()))
    assert torch.equal(two.predict(asked(stream)), after), "no inverse is older than its covariance"


def test_powers_of_negative_features_are_refused() -> None:
    with pytest.raises(UsageError, match="set tukey=0, or choose a backbone whose features come from a ReLU"):
        learned(make(FeCAM, tukey=0.5), tiny_stream())


def test_it_stores_a_mean_and_a_triangle_per_class() -> None:
    for images in (2, 12):
        stored = learned(make(FeCAM), tiny_stream(train_per_class=images)).stored()
        assert stored == {"samples": 0, "parameters": 0, "statistics": 8 * 10 * (2 * 17 + 16 * 17 // 2)}
