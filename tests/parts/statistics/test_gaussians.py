"""Class statistics: full, diagonal, and mixtures of centroids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl.errors import ContractError, UsageError
from cl.parts.statistics.gaussians import KINDS, ClassGaussians
from cl.training import state

PER_CLASS = 20_000


def features(images: int = 60, dim: int = 4, classes: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two clusters per class, at -3 and 3 in every dimension, of different sizes."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(images)
    side = torch.where(torch.arange(len(labels)) % 3 == 0, -3.0, 3.0)
    x = side[:, None] + torch.randn(len(labels), dim, generator=rng) * torch.linspace(0.5, 1.0, dim)
    return x + 10 * labels[:, None], labels


def estimated(kind: str, **options: Any) -> ClassGaussians:
    gaussians = ClassGaussians(4, kind=kind, **options)
    gaussians.add(*features(), (0, 1), rng=torch.Generator().manual_seed(1))
    return gaussians


def drawn(gaussians: ClassGaussians, per_class: int = PER_CLASS, **options: Any) -> tuple[Tensor, Tensor]:
    def rng(*purpose: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(sum(map(ord, str(purpose))))

    batches = list(gaussians.sampler(per_class, **options).epoch(0, rng))
    return torch.cat([batch.x for batch in batches]), torch.cat([batch.y for batch in batches])


@pytest.mark.parametrize("kind", KINDS)
def test_samples_have_the_mean_and_the_standard_deviation_of_the_images(kind: str) -> None:
    x, y = features()
    found, classes = drawn(estimated(kind, centroids=2), batch_size=1000)
    assert len(found) == 2 * PER_CLASS
    for c in (0, 1):
        own, sample = x[y == c], found[classes == c]
        assert len(sample) == PER_CLASS
        deviation = own.std(0)
        assert ((sample.mean(0) - own.mean(0)).abs() < 3 * deviation / PER_CLASS**0.5).all()
        spread = 0.03 if kind != "centroids" else 0.05  # clusters divide by one less image each
        assert torch.allclose(sample.std(0), deviation, rtol=spread)


def test_each_kind_stores_no_more_than_it_needs() -> None:
    sizes = {kind: state.nbytes(estimated(kind, centroids=3).get_state()) // 4 for kind in KINDS}
    assert sizes == {"full": 2 * (4 + 16), "diagonal": 2 * (4 + 4), "centroids": 2 * 3 * (4 + 4 + 1)}
    assert set(estimated("full").get_state()) == {"mean", "covariance"}


def test_diagonal_is_the_diagonal_of_the_full_covariance() -> None:
    full, diagonal = estimated("full"), estimated("diagonal")
    assert torch.equal(full.mean, diagonal.mean)
    assert torch.allclose(full.covariance.diagonal(dim1=1, dim2=2), diagonal.covariance, atol=1e-6)


def test_centroids_find_the_clusters_of_a_class() -> None:
    gaussians = estimated("centroids", centroids=2)
    x, y = features()
    assert len(gaussians) == 2 and gaussians.clusters == [2, 2]
    for c in (0, 1):
        own = x[y == c]
        low, high = own[own.mean(1) < 10 * c], own[own.mean(1) > 10 * c]
        order = gaussians.mean[2 * c : 2 * c + 2, 0].argsort() + 2 * c
        for row, clump in zip(order, (low, high), strict=True):
            assert np.allclose(gaussians.mean[row], clump.mean(0), atol=1e-5)
            assert np.allclose(gaussians.covariance[row], clump.var(0) + 1e-4, atol=1e-5)
            assert gaussians.weight[row] == pytest.approx(len(clump) / len(own))
    found, classes = drawn(gaussians)
    low_share = float((found[classes == 0].mean(1) < 0).float().mean())
    assert low_share == pytest.approx(1 / 3, abs=0.015), "clusters are sampled in proportion to their size"


@pytest.mark.parametrize("kind", KINDS)
def test_old_classes_stay_unchanged_and_states_are_restored(kind: str) -> None:
    gaussians = estimated(kind, centroids=3)
    before = state.clone(gaussians.get_state())
    x, y = features(classes=3, seed=4)
    gaussians.add(x, y, (2,), rng=torch.Generator().manual_seed(1))
    assert len(gaussians) == 3
    assert torch.equal(gaussians.mean[: len(before["mean"])], before["mean"])
    assert torch.equal(gaussians.covariance[: len(before["mean"])], before["covariance"])
    other = ClassGaussians(4, kind=kind, centroids=3)
    other.set_state(state.clone(gaussians.get_state()))
    assert len(other) == 3
    assert all(torch.equal(a, b) for a, b in zip(drawn(other, 50), drawn(gaussians, 50), strict=True))
    elsewhere = ClassGaussians(4, kind=kind, device="meta")
    elsewhere.set_state(gaussians.get_state())
    assert elsewhere.mean.device.type == "meta", "a state is restored on the device of the learner"


def test_clusters_depend_on_the_seed() -> None:
    x, y = torch.randn(200, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(200)

    def means(seed: int) -> Tensor:
        gaussians = ClassGaussians(4, kind="centroids", centroids=12)
        gaussians.add(x, y, (0,), rng=torch.Generator().manual_seed(seed))
        return gaussians.mean

    assert torch.equal(means(3), means(3)) and not torch.equal(means(3), means(4))


def test_as_many_centroids_as_images_are_the_images() -> None:
    gaussians = ClassGaussians(4, kind="centroids", centroids=10)
    x = torch.arange(12.0).reshape(3, 4)
    gaussians.add(x, torch.zeros(3), (0,))
    assert torch.equal(gaussians.mean, x) and gaussians.clusters == [3]
    assert torch.allclose(gaussians.covariance, torch.tensor(1e-4))


@pytest.mark.parametrize("kind", KINDS)
def test_means_can_be_scaled_and_epochs_shortened(kind: str) -> None:
    gaussians = estimated(kind, centroids=2)
    found, classes = drawn(gaussians, scale=torch.tensor([1.0, 0.5]))
    x, y = features()
    assert torch.allclose(found[classes == 1].mean(0), 0.5 * x[y == 1].mean(0), atol=0.1)
    assert gaussians.sampler(8).steps == 2 and gaussians.sampler(8, steps=1).steps == 1
    assert gaussians.sampler(8, steps=5).steps == 2 and len(drawn(gaussians, 8, steps=1)[0]) == 8


def test_too_few_images_and_classes_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown kind"):
        ClassGaussians(4, kind="sphere")
    for kind in KINDS:
        with pytest.raises(UsageError, match=r"class 0 \(pear\) has 1 training image"):
            ClassGaussians(4, kind=kind).add(torch.randn(1, 4), torch.zeros(1), (0,), ["pear"])
        with pytest.raises(ContractError, match="after 2 classes"):
            estimated(kind).add(torch.randn(3, 4), torch.full((3,), 5), (5,))
