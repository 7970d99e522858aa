"""Losses over seen classes, with and without distillation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from cl.parts.losses import (
    LOSSES,
    balanced_cross_entropy,
    classification,
    contrastive,
    effective_weights,
    feature_distance,
    softened_cross_entropy,
)

OLD, ALL = 4, 7


NEW = tuple(range(OLD, ALL))


LABELS = torch.tensor([4, 5, 6, 6, 5])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradient(loss: Tensor, *tensors: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, tensors, retain_graph=True))


def by_hand(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy of every cell."""
    p = logits.sigmoid()
    return -(target * p.log() + (1 - target) * (1 - p).log())


def lwf_mc_target(soft: Tensor) -> Tensor:
    return torch.cat([soft, F.one_hot(LABELS, ALL)[:, OLD:].float()], 1)


def test_every_loss_equals_its_formula() -> None:
    z = drawn(5, ALL)
    hot = F.one_hot(LABELS, ALL).float()
    expected = {
        "global": -z.log_softmax(1)[torch.arange(5), LABELS].mean(),
        "local": -z[:, OLD:].log_softmax(1)[torch.arange(5), LABELS - OLD].mean(),
        "bce": by_hand(z, hot).mean(),
        "bce-local": by_hand(z, hot)[:, OLD:].mean(),
    }
    assert set(expected) == set(LOSSES)
    for kind, value in expected.items():
        assert torch.allclose(classification(kind, z, LABELS, NEW), value), kind
    assert torch.allclose(classification("bce", z, LABELS, NEW, reduction="sum"), by_hand(z, hot).sum() / 5)
    assert torch.allclose(
        classification("bce-local", z, LABELS, NEW, reduction="sum"), by_hand(z, hot)[:, OLD:].sum() / 5
    )


@pytest.mark.parametrize("kind", ("local", "bce-local"))
def test_local_losses_give_old_columns_no_gradient(kind: str) -> None:
    z = drawn(5, ALL).requires_grad_(True)
    (found,) = gradient(classification(kind, z, LABELS, NEW), z)
    assert (found[:, :OLD] == 0).all() and (found[:, OLD:] != 0).all()


@pytest.mark.parametrize(("reduction", "share"), [("mean", ALL), ("sum", 1)])
def test_lwf_mc_is_one_binary_cross_entropy_with_mixed_targets(reduction: str, share: int) -> None:
    z, soft = drawn(5, ALL), drawn(5, OLD, seed=1).sigmoid()
    cells = by_hand(z, lwf_mc_target(soft))
    found = classification("bce", z, LABELS, NEW, soft, reduction=reduction)
    assert torch.allclose(found, cells.sum() / 5 / share)
    weighted = classification("bce", z, LABELS, NEW, soft, 0.25, reduction=reduction)
    assert torch.allclose(weighted, (0.25 * cells[:, :OLD].sum() + cells[:, OLD:].sum()) / 5 / share)


def test_under_local_sigmoids_the_distillation_is_a_separate_mean() -> None:
    z, soft = drawn(5, ALL), drawn(5, OLD, seed=1).sigmoid()
    cells = by_hand(z, lwf_mc_target(soft))
    found = classification("bce-local", z, LABELS, NEW, soft, 3.0)
    assert torch.allclose(found, cells[:, OLD:].mean() + 3 * cells[:, :OLD].mean())


@pytest.mark.parametrize("kind", ("bce", "bce-local"))
def test_sigmoids_of_the_student_as_targets_give_no_gradient(kind: str) -> None:
    z = drawn(5, ALL).requires_grad_(True)
    soft = z.detach()[:, :OLD].sigmoid()
    (found,) = gradient(classification(kind, z, LABELS, NEW, soft), z)
    assert (found[:, :OLD] == 0).all() and (found[:, OLD:] != 0).all()
    (moved,) = gradient(classification(kind, z, LABELS, NEW, (z.detach()[:, :OLD] + 1).sigmoid()), z)
    assert (moved[:, :OLD] < 0).all(), "towards a more confident teacher"


def test_columns_of_the_task_have_hard_targets_even_if_the_teacher_knows_them() -> None:
    """Returning classes are learned from labels, and only the other classes are distilled."""
    z, soft = drawn(5, ALL), drawn(5, OLD + 1, seed=1).sigmoid()
    assert torch.equal(
        classification("bce", z, LABELS, NEW, soft), classification("bce", z, LABELS, NEW, soft[:, :OLD])
    )
    known = drawn(5, ALL, seed=1).sigmoid()
    labels = torch.tensor([0, 1, 2, 3, 4])
    assert torch.equal(
        classification("bce", z, labels, range(ALL), known), classification("bce", z, labels, range(ALL))
    )


def test_balanced_sigmoids_give_the_positive_the_weight_of_all_negatives() -> None:
    z, hot = drawn(5, ALL), F.one_hot(LABELS, ALL).bool()
    cells = by_hand(z, hot.float())
    positives, negatives = cells[hot].mean(), (cells * ~hot).sum(1).mean()
    expected = 2 * ALL / (ALL + 1) * (positives + negatives / ALL)
    assert torch.allclose(classification("bce", z, LABELS, NEW, balanced=True), expected)
    z = torch.zeros(5, ALL, requires_grad=True)
    (found,) = gradient(classification("bce", z, LABELS, NEW, balanced=True), z)
    positive, negative = found[hot].abs(), found[~hot].abs()
    assert torch.allclose(positive / ALL, negative[: len(positive)])
    assert torch.allclose(positive.sum() / negative.sum(), torch.tensor(ALL / (ALL - 1)))
    soft = drawn(5, OLD, seed=1).sigmoid()
    (plain,) = gradient(classification("bce", z, LABELS, NEW, soft), z)
    (mixed,) = gradient(classification("bce", z, LABELS, NEW, soft, balanced=True), z)
    assert torch.equal(plain[:, :OLD], mixed[:, :OLD]), "distilled columns are not weighted"
    (alone,) = gradient(classification("bce-local", z, LABELS, NEW, balanced=True), z)
    assert torch.allclose(mixed[:, OLD:], alone[:, OLD:] * len(NEW) / ALL), "new columns are balanced among themselves"


def test_the_distillation_is_the_softened_cross_entropy_without_the_square_of_the_temperature() -> None:
    z, g = drawn(5, ALL).requires_grad_(True), drawn(5, OLD, seed=1)
    q = (g / 2).softmax(1)
    expected = -(q * (z[:, :OLD] / 2).log_softmax(1)).sum(1).mean()
    found = softened_cross_entropy(z, g, 2.0)
    assert torch.allclose(found, expected)
    (slope,) = gradient(found, z)
    assert torch.allclose(slope[:, :OLD], ((z[:, :OLD] / 2).softmax(1) - q).detach() / 2 / 5, atol=1e-7)
    assert (slope[:, OLD:] == 0).all(), "only the classes the teacher knows"
    (none,) = gradient(softened_cross_entropy(z, z.detach()[:, :OLD], 2.0), z)
    assert none.abs().max() < 1e-7


@pytest.mark.parametrize("kind", LOSSES)
def test_the_order_of_old_classes_does_not_matter(kind: str) -> None:
    z, g, order = drawn(5, ALL), drawn(5, OLD, seed=1), torch.tensor([2, 0, 3, 1])
    mixed = torch.cat([z[:, order], z[:, OLD:]], 1)
    soft = kind.startswith("bce")
    one = classification(kind, z, LABELS, NEW, g.sigmoid() if soft else None, 2.0)
    two = classification(kind, mixed, LABELS, NEW, g[:, order].sigmoid() if soft else None, 2.0)
    assert torch.allclose(one, two)
    assert torch.allclose(softened_cross_entropy(z, g, 2.0), softened_cross_entropy(mixed, g[:, order], 2.0))


def test_feature_distances() -> None:
    f, g = drawn(5, 16).requires_grad_(True), drawn(5, 16, seed=1)
    assert torch.allclose(feature_distance(f, g), ((f - g) ** 2).sum() / (5 * 16))
    assert float(feature_distance(f.detach(), f.detach())) == 0
    cosine = (f * g).sum(1) / (f.norm(dim=1) * g.norm(dim=1))
    assert torch.allclose(feature_distance(f, g, "cosine"), 1 - cosine.mean())
    assert torch.allclose(feature_distance(3 * f, g, "cosine"), 1 - cosine.mean(), atol=1e-6), (
        "the length does not matter"
    )
    assert abs(float(feature_distance(f.detach(), f.detach(), "cosine"))) < 1e-6


@pytest.mark.parametrize("known", [(0, 1, 2, 3), (3, 1)])
def test_lwf_agrees_with_avalanche(known: tuple[int, ...]) -> None:
    """Avalanche uses the divergence, which differs by the entropy of the teacher, so the gradients are equal."""
    from cl.avalanche import lib

    with lib.quiet():
        from avalanche.training.plugins import LwFPlugin
    torch.manual_seed(0)
    model, x = nn.Linear(16, ALL), drawn(5, 16)
    plugin = LwFPlugin(alpha=3.0, temperature=2.0)
    labels = list(known) * 2
    learned = lib.make_dataset(
        TensorDataset(drawn(len(labels), 16), torch.tensor(labels)), targets=labels, task_labels=0
    )
    plugin.after_training_exp(SimpleNamespace(model=model, experience=SimpleNamespace(dataset=learned)))
    g = model(x).detach()[:, list(known)]
    with torch.no_grad():
        model.weight.add_(drawn(ALL, 16, seed=3))
    z = model(x)
    theirs = SimpleNamespace(loss=torch.zeros(()), mb_x=x, mb_output=z, model=model)
    plugin.before_backward(theirs)
    columns = [*known, *(c for c in range(ALL) if c not in known)]  # ours: the old classes first
    ours = 3.0 * softened_cross_entropy(z[:, columns], g, 2.0)
    q = (g / 2).softmax(1)
    assert torch.allclose(theirs.loss, ours + 3.0 * (q * q.log()).sum(1).mean(), atol=1e-6)
    for mine, other in zip(
        gradient(ours, model.weight, model.bias, z), gradient(theirs.loss, model.weight, model.bias, z), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)
        assert other.abs().max() > 1e-3


def test_the_contrastive_term_pulls_every_row_to_itself_at_temperature_0_8() -> None:
    rng = torch.Generator().manual_seed(0)
    prototypes, features = torch.randn(2, 4, generator=rng), torch.randn(3, 4, generator=rng)
    rows = [*prototypes, *features]
    each = [-torch.stack([row @ other / 0.8 for other in rows]).log_softmax(0)[i] for i, row in enumerate(rows)]
    torch.testing.assert_close(contrastive(features, prototypes), torch.stack(each).mean())


def test_effective_weights_sum_to_the_number_of_classes_and_favour_small_ones() -> None:
    counts = torch.tensor([20, 20, 100, 500])
    weights = effective_weights(counts, 0.97)
    shares = torch.tensor([0.03 / (1 - 0.97**n) for n in counts.tolist()])
    torch.testing.assert_close(weights, 4 * shares / shares.sum())
    assert float(weights.sum()) == pytest.approx(4) and weights[0] == weights[1] > weights[2] > weights[3]
    for equal in (effective_weights(torch.tensor([7, 7, 7]), 0.97), effective_weights(counts, 0.0)):
        torch.testing.assert_close(equal, torch.ones(len(equal)), rtol=0, atol=1e-6)
    assert bool(torch.isfinite(effective_weights(torch.tensor([1, 10**6]), 0.999999)).all())


def test_balanced_distillation_weighs_the_targets_and_normalises_them() -> None:
    z, g = drawn(5, ALL), drawn(5, ALL, seed=1)
    weights = torch.linspace(0.5, 1.5, ALL)
    target = torch.softmax(g / 2, 1) * weights
    expected = -(target / target.sum(1, keepdim=True) * (z / 2).log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(balanced_cross_entropy(z, g, 2.0, weights), expected)
    torch.testing.assert_close(balanced_cross_entropy(z, g, 2.0, torch.ones(ALL)), softened_cross_entropy(z, g, 2.0))
