"""Random projections and ridge regression, against direct computations in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.heads.projection import RIDGES, RandomProjection, RidgeRegression, _eigen, choose_ridge
from cl.training import state
from tests.help.attached_parts import draw, rng


def problem(images: int, width: int, classes: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features that depend on the labels, in random order."""
    labels = torch.arange(images) % classes
    h = draw(images, width, seed=seed) + draw(classes, width, seed=seed + 1)[labels]
    return h.relu(), labels


def brute_force(h: Tensor, labels: Tensor, generator: torch.Generator) -> dict[float, float]:
    """The definition in NumPy: the squared error on held-out rows of one solution per penalty."""
    order = torch.randperm(len(h), generator=generator).numpy()
    cut = int(0.8 * len(h))
    train, rest = order[:cut], order[cut:]
    x, y = h.numpy(), np.eye(int(labels.max()) + 1)[labels.numpy()]
    errors = {}
    for ridge in RIDGES:
        gram = x[train].T @ x[train] + ridge * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, x[train].T @ y[train])
        errors[ridge] = float(np.square(x[rest] @ weights - y[rest]).mean())
    return errors


@pytest.mark.parametrize(("count", "width"), [(60, 8), (60, 40), (30, 90), (11, 200)])
def test_the_penalty_is_the_best_on_held_out_rows(count: int, width: int) -> None:
    chosen = set()
    for seed in range(6):
        h, labels = problem(count, width, seed=seed)
        errors, ridge = brute_force(h, labels, rng(seed)), choose_ridge(h, labels, rng(seed))
        chosen.add(ridge)
        assert errors[ridge] <= min(errors.values()) * (1 + 1e-3), "small penalties tie if there are few images"
    assert chosen <= set(RIDGES) and max(chosen) < 1e8


def test_the_penalties_are_the_powers_of_ten_of_the_paper() -> None:
    assert [float(f"1e{power}") for power in range(-8, 9)] == pytest.approx(RIDGES)


def test_the_penalty_depends_on_the_task_and_the_seed_only() -> None:
    h, labels = problem(40, 30)
    assert choose_ridge(h, labels + 7, rng(1)) == choose_ridge(h, labels, rng(1)), "columns of other classes are zero"
    assert len({choose_ridge(*problem(14, 30), rng(seed)) for seed in range(12)}) > 1, "the split is drawn"
    with pytest.raises(UsageError, match="--set ridge"):
        choose_ridge(h[:1], labels[:1], rng())


def test_directions_without_images_have_eigenvalues_of_exactly_zero() -> None:
    x = 1e4 * draw(5, 20)
    values, vectors = _eigen(x.T @ x)
    assert int((values > 0).sum()) == 5 and int((values == 0).sum()) == 15
    assert torch.allclose(vectors @ values.diag() @ vectors.T, x.T @ x)


def sums(h: Tensor, labels: Tensor, parts: int, dtype: torch.dtype = torch.float64) -> RidgeRegression:
    found = RidgeRegression(h.shape[1], dtype, torch.device("cpu"))
    for x, y in zip(h.to(dtype).chunk(parts), labels.chunk(parts), strict=True):
        found.add(x, y, 3)
    return found


def test_sums_do_not_depend_on_the_split_and_are_symmetric_and_positive() -> None:
    h, labels = problem(50, 20)
    once, twice = sums(h, labels, 1), sums(h, labels, 2)
    assert torch.allclose(once.gram, twice.gram, atol=1e-12) and torch.allclose(once.cross, twice.cross, atol=1e-12)
    for dtype in (torch.float32, torch.float64):
        gram = sums(h, labels, 3, dtype).gram
        assert torch.equal(gram, gram.T)
        assert torch.linalg.eigvalsh(gram).min() > -1e-5 * gram.diagonal().max()
    assert torch.allclose(once.gram, h.T @ h, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_state_is_a_triangle_and_is_restored_exactly(dtype: torch.dtype) -> None:
    h, labels = problem(50, 33)
    one, two = sums(h, labels, 2, dtype), RidgeRegression(33, dtype, torch.device("cpu"))
    kept = state.clone(one.get_state())
    assert kept["gram"].shape == (33 * 34 // 2,) and state.nbytes(kept) < one.gram.nbytes
    two.set_state(kept)
    assert torch.equal(one.gram, two.gram) and torch.equal(one.cross, two.cross)
    assert torch.equal(one.solve(0.1)[0], two.solve(0.1)[0])


def test_the_solution_is_exact_and_a_penalty_below_rounding_is_increased() -> None:
    h, labels = problem(50, 20)
    weights, used = sums(h, labels, 1).solve(0.1)
    expected = np.linalg.solve(h.T.numpy() @ h.numpy() + 0.1 * np.eye(20), h.T.numpy() @ np.eye(3)[labels])
    assert np.allclose(weights, expected, atol=1e-12) and used == 0.1
    doubled = torch.cat([h, 1000 * h], 1)
    weights, used = sums(doubled, labels, 1, torch.float32).solve(1e-8)
    assert 1e-8 < used < 1e3 and bool(torch.isfinite(weights).all())
    with pytest.raises(UsageError, match="not finite"):
        sums(h * float("nan"), labels, 1).solve(1.0)


def test_the_projection_is_drawn_from_a_standard_normal_and_rectified() -> None:
    part, features = RandomProjection(16, 4000, rng()), draw(5, 16)
    assert abs(part.matrix.mean()) < 0.01 and abs(part.matrix.std() - 1) < 0.01
    assert torch.equal(part.matrix, RandomProjection(16, 4000, rng()).matrix)
    assert np.allclose(part(features), np.maximum(features.numpy() @ part.matrix.double().numpy(), 0))
    assert torch.allclose(part(3 * features), 3 * part(features)), "features are not normalised"
