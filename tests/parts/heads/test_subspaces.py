"""Prototypes in subspaces: semantic mapping against loops, and scores."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.heads.prototypes import cosines
from cl.parts.heads.subspaces import SubspacePrototypes
from cl.training import state


def drawn(*widths: int, dim: int = 8, recalculate: bool = True) -> tuple[SubspacePrototypes, list[Tensor]]:
    """Prototypes of tasks of these widths, and the real ones that were given."""
    generator = torch.Generator().manual_seed(1)
    prototypes, real = SubspacePrototypes(dim), []
    for task, width in enumerate(widths):
        real.append(torch.randn(width, task + 1, dim, generator=generator))
        prototypes.add(real[-1], recalculate=recalculate)
    return prototypes, real


@pytest.mark.parametrize("recalculate", [True, False])
def test_semantic_mapping_is_the_double_loop_of_the_paper(recalculate: bool) -> None:
    widths = (3, 1, 2, 4)
    prototypes, real = drawn(*widths, recalculate=recalculate)
    first = [sum(widths[:task]) for task in range(5)]
    for own in range(4):
        for space in range(own + 1, 4):
            tasks = range(space, 4 if recalculate else space + 1)
            known = [(task, k) for task in tasks for k in range(widths[task])]
            for i in range(widths[own]):
                near = [float(F.cosine_similarity(real[own][i, own], real[t][k, own], dim=0)) for t, k in known]
                weights = torch.tensor(near).softmax(0)
                expected = weights @ torch.stack([real[t][k, space] for t, k in known])
                assert torch.allclose(prototypes.values[first[own] + i, space], expected, atol=1e-6)


def test_real_prototypes_never_change_and_mapped_ones_are_convex_combinations() -> None:
    prototypes, real = drawn(2, 3, 2)
    for task, values in enumerate(real):
        assert torch.equal(prototypes.values[prototypes.task == task, : task + 1], values)
    for own, space in ((0, 1), (0, 2), (1, 2)):
        weights = prototypes.mixture(own, space)
        assert torch.allclose(weights.sum(1), torch.ones(len(weights))) and bool((weights > 0).all())
        mixed = weights @ prototypes.values[prototypes.task >= space, space]
        assert torch.allclose(mixed, prototypes.values[prototypes.task == own, space])


def test_later_tasks_improve_estimates_only_if_asked() -> None:
    for recalculate in (True, False):
        two, three = drawn(2, 2, recalculate=recalculate)[0], drawn(2, 2, 2, recalculate=recalculate)[0]
        assert torch.equal(two.values[:2, 1], three.values[:2, 1]) != recalculate


@pytest.mark.parametrize("widths", [(3,), (2, 3), (2, 1, 2), (1, 2, 1, 1)])
def test_scores_weigh_the_cosine_of_each_subspace(widths: tuple[int, ...]) -> None:
    prototypes, _ = drawn(*widths)
    spaces = len(widths)
    features = torch.randn(5, spaces, 8)
    scores = prototypes.scores(features, 0.3)
    for c, own in enumerate([task for task, width in enumerate(widths) for _ in range(width)]):
        weights = [1.0 if j == own else 0.3 / (spaces - 1) for j in range(spaces)]
        cosine = [F.cosine_similarity(features[:, j], prototypes.values[c, j], dim=1) for j in range(spaces)]
        expected = torch.stack([weight * each for weight, each in zip(weights, cosine, strict=True)]).sum(0)
        assert torch.allclose(scores[:, c], expected, atol=1e-6)


def test_the_sum_of_cosines_is_no_cosine_of_joined_vectors() -> None:
    prototypes, _ = drawn(2, 1, 2)
    features = torch.randn(5, 3, 8)
    joined = F.cosine_similarity(features.flatten(1)[:, None], prototypes.values.flatten(1)[None], dim=2)
    assert not torch.allclose(prototypes.scores(features, 2.0), joined, atol=0.01)


def test_without_cross_terms_it_is_block_diagonal() -> None:
    prototypes, _ = drawn(2, 3)
    features = torch.randn(5, 2, 8)
    blocks = [cosines(features[:, j], prototypes.values[prototypes.task == j, j]) for j in (0, 1)]
    assert torch.allclose(prototypes.scores(features, 0.0), torch.cat(blocks, 1), atol=1e-6)


def test_permuting_the_classes_of_a_task_permutes_scores_only() -> None:
    _, real = drawn(2, 3, 2)
    order = torch.tensor([2, 0, 1])
    plain, permuted = SubspacePrototypes(8), SubspacePrototypes(8)
    for task, values in enumerate(real):
        plain.add(values)
        permuted.add(values[order] if task == 1 else values)
    features = torch.randn(5, 3, 8)
    expected = plain.scores(features, 0.5)[:, torch.cat([torch.arange(2), 2 + order, torch.arange(5, 7)])]
    assert torch.allclose(permuted.scores(features, 0.5), expected, atol=1e-6)


def test_prototypes_grow_and_shrink_with_their_state() -> None:
    two, three = drawn(2, 1)[0], drawn(2, 1, 2)[0]
    two.set_state(state.clone(three.get_state()))
    assert torch.equal(two.values, three.values) and two.task.tolist() == [0, 0, 1, 2, 2] and len(two) == 5
