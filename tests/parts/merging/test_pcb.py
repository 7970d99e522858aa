"""PCB-Merging against the formulas of the paper on all values at once, in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl.parts.merging import balances, pcb, task_vector
from tests.help.merging import BROKEN, broken, close, dense, refused, stack, times, vectors


def spread(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min())


def by_hand(rows: Tensor, keep: float, scale: float, clip: float, raw: bool) -> tuple[Tensor, Tensor]:
    """The merged values, and the weights [T, d]."""
    count, total = rows.shape
    order = rows.abs().sort(dim=1).values
    low, high = order[:, int(total * clip), None], order[:, int(total * (1 - clip) - 1), None]
    sizes = rows.abs().clamp(low, high)
    within = torch.stack([torch.exp(count * spread(row) ** 2) for row in sizes])
    normal = torch.stack([spread(row) for row in sizes]) * rows.sign()
    balance = within * torch.tanh(rows * (rows if raw else normal).sum(0))
    limits = balance.sort(dim=1).values[:, int(total * (1 - keep)), None]
    weights = torch.stack([spread(row) for row in balance.clamp(min=limits)])
    return (scale * rows.sign() * sizes * weights).sum(0) / weights.sum(0).clamp(min=1e-12), weights


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(("keep", "clip"), [(0.05, 0.01), (0.3, 0.1), (1.0, 0.0)])
def test_the_winners_are_merged(keep: float, clip: float, raw: bool) -> None:
    given = vectors(3)
    merged, weights = by_hand(stack(given), keep, 1.2, clip, raw)
    assert torch.allclose(dense(pcb(given, keep, 1.2, clip, raw=raw)), merged, rtol=0, atol=1e-10)
    assert torch.allclose(torch.stack(balances(given, keep, clip, raw=raw)), weights, rtol=0, atol=1e-10)


def test_weights_are_shares_and_about_the_wanted_number_is_positive() -> None:
    given = [
        {"a": torch.randn(1000, generator=torch.Generator().manual_seed(n), dtype=torch.float64)} for n in range(4)
    ]
    for weights in balances(given, keep=0.05):
        assert weights.min() == 0.0 and weights.max() == 1.0
        assert 40 <= int((weights > 0).sum()) <= 50


def test_weights_follow_the_order_of_the_tasks() -> None:
    given = vectors(4)
    order = [2, 0, 3, 1]
    permuted = balances([given[task] for task in order], 0.3)
    for place, task in enumerate(order):
        assert torch.allclose(permuted[place], balances(given, 0.3)[task], rtol=0, atol=1e-12)
    close(pcb([given[task] for task in order], 0.3), pcb(given, 0.3))


def test_one_vector_is_clamped_on_the_coordinates_that_are_kept() -> None:
    given = vectors(1)
    values, found = dense(given[0]), dense(pcb(given, keep=0.2, scales=1.2, clip=0.1))
    kept = balances(given, 0.2, 0.1)[0] > 0
    order = values.abs().sort().values
    low, high = order[int(len(values) * 0.1)], order[int(len(values) * 0.9 - 1)]
    assert torch.allclose(
        found[kept], 1.2 * values.sign()[kept] * values.abs().clamp(low, high)[kept], rtol=0, atol=1e-12
    )
    assert (found[~kept] == 0).all() and 0 < int(kept.sum()) < len(values)


def test_opposite_signs_are_dropped() -> None:
    large = torch.linspace(1, 2, 40, dtype=torch.float64)
    one = {"a": torch.cat([large, large])}
    two = {"a": torch.cat([large, -0.9 * large])}
    for weights in balances([one, two], keep=0.5, clip=0.0):
        assert (weights[:40] > 0).sum() > 20
    assert (balances([one, two], keep=0.5, clip=0.0)[1][40:] == 0).all(), "the smaller one disagrees with the sum"


def test_each_vector_has_its_factor() -> None:
    given = vectors(2)
    both, first = pcb(given, 0.5, [1.0, 1.0]), pcb(given, 0.5, [1.0, 0.0])
    second = pcb(given, 0.5, [0.0, 1.0])
    close(both, {name: first[name] + second[name] for name in first})
    close(pcb(given, 0.5, 2.0), times(2.0, both))


def test_many_vectors_do_not_overflow() -> None:
    given = vectors(120, dtype=torch.float32)
    assert all(torch.isfinite(tensor).all() for tensor in pcb(given, 0.2).values())
    weights = balances(given, 0.2)
    assert all(float(each.max()) == 1.0 for each in weights)


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_merged_is_refused(kind: str) -> None:
    given, says = broken(kind)
    refused(lambda: balances(given), says)
    refused(lambda: pcb(given), says)


def test_values_that_are_undefined_are_refused() -> None:
    one, two = vectors(2)
    refused(lambda: pcb([one, task_vector(two, two)]), "a task vector is zero")
    refused(lambda: pcb([{**one, "count": torch.tensor(1)}]), "'count' holds whole numbers")
    refused(lambda: pcb([one, two], keep=0.0), "needs 0 < keep <= 1 and 0 <= clip < 0.5, not keep=0.0")
    refused(lambda: pcb([one, two], clip=0.5), "not keep=0.05 and clip=0.5")
    refused(lambda: pcb([one, two], scales=[1.0]), "1 scales were given for 2 task vectors")
