"""The supervised contrastive loss and dot-regression, by their formulas."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.losses import dot_regression, supervised_contrastive

LABELS = torch.tensor([0, 1, 0, 2, 1, 0])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_hand(features: Tensor, labels: Tensor, temperature: float) -> float:
    z = [row / row.norm() for row in features]
    total = 0.0
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        positive = [p for p in others if labels[p] == labels[i]]
        below = sum(math.exp(float(z[i] @ z[a]) / temperature) for a in others)
        total -= sum(float(z[i] @ z[p]) / temperature - math.log(below) for p in positive) / max(len(positive), 1)
    return total / len(z)


def test_supcon_equals_its_formula_and_an_image_alone_in_its_class_counts_as_nothing() -> None:
    for temperature in (0.07, 1.0):
        found = supervised_contrastive(drawn(6, 4), LABELS, temperature)
        assert math.isclose(float(found), by_hand(drawn(6, 4), LABELS, temperature), rel_tol=1e-4)


def test_supcon_does_not_depend_on_the_order_or_length_of_features() -> None:
    features, order = drawn(6, 4), torch.tensor([3, 5, 0, 2, 4, 1])
    expected = supervised_contrastive(features, LABELS, 0.1)
    torch.testing.assert_close(supervised_contrastive(features[order], LABELS[order], 0.1), expected)
    torch.testing.assert_close(supervised_contrastive(5 * features, LABELS, 0.1), expected)


def test_supcon_of_equal_features_is_finite_and_least_where_classes_are_far_apart() -> None:
    equal = torch.ones(6, 4, requires_grad=True)
    loss = supervised_contrastive(equal, LABELS, 0.07)
    loss.backward()
    assert math.isclose(float(loss.detach()), 5 / 6 * math.log(5), rel_tol=1e-5), "five anchors of six have others"
    assert equal.grad is not None and bool(equal.grad.isfinite().all())
    assert supervised_contrastive(F.one_hot(LABELS).float(), LABELS, 0.07) < loss


def test_dot_regression_is_zero_at_the_target_only() -> None:
    targets = F.normalize(drawn(5, 4, seed=1))
    torch.testing.assert_close(dot_regression(3 * targets, targets), torch.zeros(5), rtol=0, atol=1e-6)
    torch.testing.assert_close(dot_regression(-targets, targets), torch.full((5,), 2.0))
