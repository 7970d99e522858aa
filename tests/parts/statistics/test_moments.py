"""Moments of classes: those of all images at once, in any order and in any blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.covariance import OAS  # the estimator that the code of SLDA calls

from cl.parts.statistics import SCATTERS, ClassMoments, discriminants, oas
from cl.training import state
from tests.help.closed_forms import drawn

X = drawn(300, 6) + 3
Y = torch.cat([torch.arange(299) % 4, torch.tensor([4])])  # class 4 has one image


@pytest.mark.parametrize("kind", SCATTERS)
@pytest.mark.parametrize("sizes", [[300], [7] * 42 + [6], [299, 1]])
def test_they_equal_those_of_all_images_at_once(kind: str, sizes: list[int]) -> None:
    moments, order = ClassMoments(6, kind), torch.randperm(300, generator=torch.Generator().manual_seed(1))
    for rows in order.split(sizes):
        moments.add(X[rows], Y[rows], 5)
    assert moments.count.tolist() == [75, 75, 75, 74, 1] and len(moments) == 5
    for position in range(5):
        own = X[position == Y]
        assert torch.allclose(moments.mean[position], own.mean(0), rtol=0, atol=1e-12)
        if kind == "class":
            expected = torch.cov(own.T) if len(own) > 1 else torch.zeros(6, 6, dtype=torch.float64)
            assert torch.allclose(moments.covariance(position), expected, rtol=0, atol=1e-12)
    if kind == "shared":
        away = X - moments.mean[Y]
        assert torch.allclose(moments.pooled(), away.T @ away / 300, rtol=0, atol=1e-12)
    assert all(torch.equal(square, square.T) for square in moments.scatter)
    assert len(moments.scatter) == {"none": 0, "shared": 1, "class": 5}[kind]


def test_means_before_each_image_are_those_of_a_loop() -> None:
    moments, kept = ClassMoments(6, "none"), []
    moments.add(X[:50], Y[:50], 5)
    looped = ClassMoments(6, "none")
    looped.set_state(state.clone(moments.get_state()))
    found = moments.before(X[50:], Y[50:])
    for x, y in zip(X[50:], Y[50:], strict=True):
        kept.append(looped.mean[y].clone())
        looped.add(x[None], y[None], 5)
    assert torch.allclose(found, torch.stack(kept), rtol=0, atol=1e-12)
    assert not found[-1].any(), "the first image of class 4"


@pytest.mark.parametrize("kind", SCATTERS)
def test_a_state_continues_to_the_same_bits(kind: str) -> None:
    one, two = ClassMoments(6, kind), ClassMoments(6, kind)
    one.add(X[:100], Y[:100], 4)
    two.set_state(state.clone(one.get_state()))
    for moments in (one, two):
        moments.add(X[100:], Y[100:], 5)
    assert torch.equal(one.mean, two.mean) and torch.equal(one.scatter, two.scatter)
    triangles = {"none": 0, "shared": 1, "class": 5}[kind]
    assert state.nbytes(one.get_state()) == 8 * (5 + 5 * 6 + triangles * 21)


@pytest.mark.parametrize("number", [3, 40])
def test_the_first_covariance_is_scikit_learns(number: int) -> None:
    rows = X[:number] - X[:number].mean(0)
    expected = OAS(assume_centered=True).fit(rows.numpy()).covariance_
    assert np.allclose(oas(rows), expected, rtol=0, atol=1e-12)
    assert not oas(torch.zeros(3, 4, dtype=torch.float64)).any()


def test_discriminants_rank_classes_by_mahalanobis_distance() -> None:
    root, means = drawn(6, 6, seed=2), drawn(4, 6, seed=3)
    covariance = root @ root.T + torch.eye(6, dtype=torch.float64)
    weights, bias = discriminants(means, covariance)
    away = X[:20, None] - means
    distances = (away @ torch.linalg.inv(covariance) * away).sum(2)
    scores = X[:20] @ weights + bias
    difference = scores + distances / 2
    assert torch.allclose(difference, difference[:, :1].expand(-1, 4))
