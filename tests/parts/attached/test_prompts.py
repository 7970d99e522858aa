"""Prompts from a pool, and prompts composed of components."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.attached.prompts import Components, PromptPool, nearest, orthonormal, uniform


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_image_takes_its_nearest_prompts_unless_the_batch_votes() -> None:
    similarities = torch.tensor([[0.9, 0.8, 0.1, 0.0], [0.0, 0.9, 0.1, 0.8], [0.0, 0.3, 0.1, 0.2]])
    assert nearest(similarities, 2).tolist() == [[0, 1], [1, 3], [1, 3]]
    assert nearest(similarities, 2, vote=True).tolist() == [[1, 3]] * 3
    assert nearest(similarities[:1], 2, vote=True).tolist() == [[0, 1]], "the vote depends on the batch"
    assert nearest(similarities[:2], 2, vote=True).tolist() == [[1, 0]] * 2, "equal votes: the lower index wins"
    assert nearest(similarities, 0).shape == (3, 0) and nearest(similarities, 0, vote=True).shape == (3, 0)


def test_picked_prompts_are_concatenated_in_order() -> None:
    pool = PromptPool(2, 5, 2, 3, 4, "symmetric", rng())
    chosen = torch.tensor([[4, 1], [0, 2]])
    found = pool.pick(1, chosen)
    assert found.shape == (2, 2, 6, 4)
    for image, numbers in enumerate(chosen):
        for part in range(2):
            by_hand = torch.cat([pool.prompts[1, n, part] for n in numbers])
            assert torch.equal(found[image, part], by_hand)
    assert float(uniform((100,), "positive", rng()).min()) >= 0 and float(uniform((100,), "small", rng()).max()) <= 0.01
    assert float(pool.prompts.min()) < -0.5


def test_new_rows_are_orthonormal_and_orthogonal_to_trained_rows() -> None:
    old = draw(6, 20)  # neither unit nor orthogonal
    new = orthonormal(5, old, rng(1)).double()
    assert torch.allclose(new @ new.T, torch.eye(5).double(), atol=1e-6)
    assert float((new @ old.T).abs().max()) < 1e-5
    first = torch.randn(5, 20, generator=rng(1), dtype=torch.float64)[0]
    basis = torch.linalg.qr(old.T).Q
    assert torch.allclose(new[0], F.normalize(first - basis @ basis.T @ first, dim=0), atol=1e-6), "Gram-Schmidt"
    assert torch.equal(orthonormal(5, old, rng()), orthonormal(5, old, rng()))
    same = orthonormal(5, torch.randn(6, 20, generator=rng(), dtype=torch.float64), rng())  # draws inside the span
    assert torch.allclose(same @ same.T, torch.eye(5), atol=1e-6)


def test_rows_beyond_the_dimension_are_unit_vectors_and_the_others_orthonormal() -> None:
    rows = orthonormal(6, draw(2, 5), rng())
    assert torch.allclose(rows.norm(dim=1), torch.ones(6), atol=1e-6)
    assert torch.allclose(rows[:3] @ rows[:3].T, torch.eye(3), atol=1e-6)
    assert torch.isfinite(orthonormal(3, draw(7, 5), rng())).all()
    for count, old in ((1, draw(6, 20)), (3, draw(4, 5))):  # room for one row
        first = orthonormal(count, old, rng())[0]
        assert float(first.norm()) == pytest.approx(1) and float((old.float() @ first).abs().max()) < 1e-5


def components(tasks: int = 2, dim: int = 12) -> Components:
    found = Components()
    for task in range(tasks):
        found.grow(2, 3, 4, dim, rng(task))
    return found


def test_components_of_all_tasks_are_orthonormal_at_every_site() -> None:
    found = components()
    assert len(found) == 2 and [list(p.shape) for p in found[1]] == [[2, 3, 4, 12], [2, 3, 12], [2, 3, 12]]
    for index in range(3):
        rows = torch.cat(found.column(index), 1).flatten(2)
        assert torch.allclose(rows @ rows.mT, torch.eye(6).expand(2, 6, 6), atol=1e-5)
    assert float(found.penalty()) < 1e-10
    assert not torch.equal(found[0][1][0], found[0][1][1]), "sites differ"


def test_a_prompt_is_the_sum_of_components_weighted_by_cosines() -> None:
    found, queries = components(), draw(5, 12).float()
    prompts = found.compose(queries)
    assert prompts.shape == (2, 5, 4, 12)
    for site in range(2):
        for image, query in enumerate(queries):
            by_hand = torch.zeros(4, 12)
            for p, k, a in found.sets:
                for m in range(3):
                    by_hand = by_hand + F.cosine_similarity(query * a[site, m], k[site, m], dim=0) * p[site, m]
            assert torch.allclose(prompts[site, image], by_hand, atol=1e-6)


def test_attention_of_ones_gives_the_cosine_of_query_and_key() -> None:
    found, queries = Components(), draw(5, 12).float()
    keys = draw(1, 3, 12, seed=1)
    found.add(torch.eye(3).view(1, 3, 1, 3), keys, torch.ones(1, 3, 12))  # prompts that reveal the weights
    weights = found.compose(queries)[0, :, 0]
    assert torch.allclose(weights, F.normalize(queries) @ F.normalize(keys[0].float()).T, atol=1e-6)
    assert bool((weights < 0).any()), "no softmax"


def test_the_penalty_is_the_mean_squared_distance_from_orthonormal_rows() -> None:
    found = Components()
    tensors = [draw(1, 3, 4, 5), draw(1, 3, 5, seed=1), draw(1, 3, 5, seed=2)]
    found.add(*tensors)
    rows = [tensor[0].flatten(1).float() for tensor in tensors]
    by_hand = sum(float(((b @ b.T - torch.eye(3)) ** 2).mean()) for b in rows)
    assert float(found.penalty()) == pytest.approx(by_hand, rel=1e-5)
