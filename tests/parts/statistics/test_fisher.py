"""The diagonal Fisher information: against formulas, and against avalanche-lib's EWC on the same model and data."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.avalanche import lib
from cl.parts.statistics.fisher import Parameters, answers, diagonal
from cl.training.batches import Batch
from tests.help.importances import Case, rng

with lib.quiet():
    from avalanche.training.plugins import EWCPlugin


def gaussian(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
    """- log p(y | x) of y ~ N(w x, 0.5^2), up to a constant."""
    return ((y - x @ parameters["w"]).square() / (2 * 0.25)).mean()


def test_the_fisher_information_of_a_linear_gaussian_model_is_the_analytic_one() -> None:
    count, w = 20_000, torch.tensor([0.3, -1.0, 2.0])
    x = torch.randn(count, 3, generator=rng()) * torch.tensor([1.0, 0.1, 4.0])
    y = x @ w + 0.5 * torch.randn(count, generator=rng(1))
    found = diagonal(gaussian, {"w": w}, [Batch(x, y)], "images", chunk=5000)["w"]
    empirical = ((x @ w - y)[:, None] * x / 0.25).square().mean(0)
    torch.testing.assert_close(found, empirical, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, x.square().mean(0) / 0.25, rtol=0.06, atol=0.0)  # E[x_j^2] / sigma^2


def test_sampled_labels_give_the_fisher_information_of_softmax_regression() -> None:
    w, x = torch.randn(3, 4, generator=rng()), torch.randn(40, 4, generator=rng(1)).repeat(500, 1)
    logits, draw = x @ w.T, rng(2)
    labels = answers("sampled", logits, torch.zeros(len(x), dtype=torch.long), (0, 1, 2), draw)

    def loss(parameters: Parameters, x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(x @ parameters["w"].T, y)

    found = diagonal(loss, {"w": w}, [Batch(x, labels)], chunk=5000)["w"]
    p = logits.softmax(1)
    expected = ((p * (1 - p))[:, :, None] * x.square()[:, None, :]).mean(0)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=2e-3)
    assert torch.equal(
        answers("argmax", logits, labels, (0, 2), draw), torch.tensor([0, 2])[logits[:, [0, 2]].argmax(1)]
    )
    assert set(answers("sampled", logits, labels, (1, 2), draw).tolist()) == {1, 2}


def test_the_ways_to_sum_squares() -> None:
    """Computed from gradients of single images, in batches of 4, 4 and 2."""
    w = torch.randn(3, generator=rng())
    x, y = torch.randn(10, 3, generator=rng(1)), torch.randn(10, generator=rng(2))
    batches = [Batch(a, b) for a, b in zip(x.split(4), y.split(4), strict=True)]
    each = (x @ w - y)[:, None] * x / 0.25
    values = (y - x @ w).square() / 0.5
    means = torch.stack([part.mean(0) for part in each.split(4)])
    expected = {
        "images": each.square().mean(0),
        "padded": each.square().sum(0) / 12,
        "batches": means.square().mean(0),
        "scaled": (torch.tensor([4.0, 4.0, 2.0])[:, None] * means.square()).sum(0) / 3,
    }
    for squares, value in expected.items():
        torch.testing.assert_close(diagonal(gaussian, {"w": w}, batches, squares, chunk=3)["w"], value)
    likely = diagonal(gaussian, {"w": w}, batches, "padded", by_probability=True)["w"]
    torch.testing.assert_close(likely, (torch.exp(-values)[:, None] * each.square()).sum(0) / 12)
    clipped = diagonal(gaussian, {"w": w}, batches, "images", clip=0.5)["w"]
    assert torch.equal(clipped, expected["images"].clamp(max=0.5)) or torch.allclose(
        clipped, expected["images"].clamp(max=0.5)
    )
    assert not diagonal(gaussian, {"w": w}, batches)["w"].requires_grad and not w.requires_grad


@pytest.mark.parametrize(("squares", "size"), [("batches", 8), ("images", 1)])
def test_the_fisher_information_equals_the_importances_of_avalanche(squares: str, size: int) -> None:
    case = Case()
    theirs = case.avalanche(EWCPlugin(1.0), size)
    ours = diagonal(case.loss, case.parameters, case.batches(8), squares, chunk=5)
    assert theirs.keys() == ours.keys()
    largest = max(float(value.data.max()) for value in theirs.values())
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value.data, rtol=1e-4, atol=1e-7 * largest)
        assert bool((ours[name] >= 0).all())
    assert largest > 1e-3
