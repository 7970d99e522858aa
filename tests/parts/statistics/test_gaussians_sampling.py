"""Class Gaussians: sampling, factors, and classes with too few images."""

from __future__ import annotations

import pytest
import torch

from cl.errors import ContractError, UsageError
from cl.parts.statistics.gaussians import ClassGaussians


def test_sampler_reproduces_the_gaussians() -> None:
    gaussians = ClassGaussians(4)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=generator) @ torch.randn(4, 4, generator=generator) + 3
    gaussians.add(x, torch.arange(200) % 2, (0, 1))
    sampler = gaussians.sampler(20_000, torch.tensor([1.0, 0.5]), batch_size=1000)
    assert sampler.steps == 40
    batches = list(sampler.epoch(0, lambda *key: torch.Generator().manual_seed(len(str(key)))))
    drawn, labels = torch.cat([b.x for b in batches]), torch.cat([b.y for b in batches])
    for c, scale in ((0, 1.0), (1, 0.5)):
        found = drawn[labels == c]
        tolerance = 3 * gaussians.covariance[c].diagonal().sqrt() / 20_000**0.5
        assert ((found.mean(0) - scale * gaussians.mean[c]).abs() < 1.5 * tolerance).all()
        covariance = gaussians.covariance[c]
        assert torch.allclose(torch.cov(found.T), covariance, atol=0.05 * float(covariance.max()))
    later = sampler.epoch(0, lambda *key: torch.Generator().manual_seed(len(str(key))), 7)
    assert torch.equal(torch.cat([b.x for b in later]), torch.cat([b.x for b in batches[7:]]))


def test_cached_factors_give_the_same_draws_as_multivariate_normal() -> None:
    gaussians = ClassGaussians(5)
    gaussians.add(torch.randn(50, 5, generator=torch.Generator().manual_seed(0)), torch.zeros(50), (0,))
    normal = torch.randn(1000, 5)
    reference = torch.distributions.MultivariateNormal(gaussians.mean[0], gaussians.covariance[0])
    expected = reference.loc + (reference._unbroadcasted_scale_tril @ normal.T).T
    assert torch.allclose(gaussians.mean[0] + normal @ gaussians.factor()[0].mT, expected, atol=1e-5)


def test_one_image_in_a_class_raises_one_clear_sentence() -> None:
    gaussians = ClassGaussians(4)
    with pytest.raises(UsageError, match=r"class 1 \(apple\) has 1 training image, too few for a covariance; give it"):
        gaussians.add(torch.randn(3, 4), torch.tensor([0, 0, 1]), (0, 1), ["pear", "apple"])
    with pytest.raises(ContractError, match="cannot be estimated after"):
        gaussians.add(torch.randn(3, 4), torch.zeros(3), (2,))


def test_rank_deficient_covariances_are_factored() -> None:
    gaussians = ClassGaussians(64)
    gaussians.add(100 * torch.randn(2, 64), torch.zeros(2), (0,))
    assert torch.isfinite(gaussians.factor()).all()


def test_a_class_draws_from_its_own_clusters() -> None:
    gaussians = ClassGaussians(2, kind="centroids", centroids=5)
    sizes = (3, 2, 5, 4)  # as many clusters as images
    means = torch.arange(sum(sizes)).float()
    x, y = means[:, None].repeat(1, 2), torch.arange(4).repeat_interleave(torch.tensor(sizes))
    gaussians.add(x, y, (0, 1, 2, 3))
    assert gaussians.clusters == list(sizes)
    drawn = gaussians.draw(400, lambda *key: torch.Generator().manual_seed(len(str(key))))
    for c in range(4):
        assert set(drawn[c].round().flatten().tolist()) == set(means[y == c].tolist())
