"""Hypervectors by their formula, bundles that commute, and codes kept as bits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cl.parts import hyperdimensional
from cl.parts.hyperdimensional import Bundles, Hypervectors, KeptCodes
from cl.training import state


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codes(count: int, size: int = 64, seed: int = 0) -> Tensor:
    return (torch.randint(0, 2, (count, size), generator=rng(seed)) * 2 - 1).to(torch.int8)


@pytest.mark.parametrize("dims", [[5], [5, 7], [5, 7, 6]])
def test_a_hypervector_is_the_sign_of_the_sum_of_bound_signs(dims: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hyperdimensional, "ROWS", 4)
    part = Hypervectors(dims, 300, rng())
    features = [torch.randn(9, dim, generator=rng(dim)) for dim in dims]
    found = part(features)
    assert found.dtype == torch.int8 and found.shape == (9, 300) and set(found.unique().tolist()) == {-1, 1}
    ties = 0
    for image in range(9):
        for place in range(300):
            bound = []
            for depth, each in enumerate(features):
                projected = float(each[image] @ getattr(part, f"projection{depth}")[:, place])
                bound.append(math.copysign(1, projected) * float(part.keys[depth, place]))
            ties += sum(bound) == 0
            assert int(found[image, place]) == (sum(bound) or bound[-1]) / abs(sum(bound) or bound[-1])
    assert (ties > 0) == (len(dims) == 2), "with two depths the last decides ties"


def test_similarity_falls_with_the_angle_and_the_draws_follow_the_seed() -> None:
    part, again, other = (Hypervectors([32], 20_000, rng(seed)) for seed in (1, 1, 2))
    a, b = torch.randn(2, 32, generator=rng(5)).unbind()
    turned = torch.stack([math.cos(t) * a / a.norm() + math.sin(t) * (b - (b @ a) / (a @ a) * a) / b.norm() for t in
                          (0.0, 0.3, 0.8, 1.5)])  # fmt: skip
    found = part([turned]).double()
    cosines = found @ found[0] / 20_000
    angles = torch.nn.functional.cosine_similarity(turned.double(), a.double()[None]).clamp(-1, 1).acos()
    assert torch.allclose(cosines, 1 - 2 * angles / math.pi, atol=0.02), "random planes part two images by their angle"
    assert torch.equal(part([turned]), again([turned])) and not torch.equal(part([turned]), other([turned]))


def test_bundles_are_sums_whatever_the_order_and_the_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = codes(50), torch.randint(3, 6, (50,), generator=rng(2))
    whole, parts = Bundles(64), Bundles(64)
    whole.add(vectors, labels, 0)
    monkeypatch.setattr(hyperdimensional, "ROWS", 7)
    order = torch.randperm(50, generator=rng(3))
    for rows in order.split(13):
        parts.add(vectors[rows], labels[rows], 0)
    place = [parts.labels.index(label) for label in whole.labels]
    assert torch.equal(whole.sums, parts.sums[place]), "bundling commutes, bit for bit"
    for row, label in enumerate(whole.labels):
        assert torch.equal(whole.sums[row], vectors[labels == label].to(torch.int32).sum(0))


def test_tasks_have_sums_of_their_own_and_earlier_ones_stay() -> None:
    bundles = Bundles(64)
    bundles.add(codes(6), torch.tensor([0, 0, 1, 1, 0, 1]), 0)
    before = bundles.sums.clone()
    bundles.add(codes(4, seed=1), torch.tensor([1, 2, 2, 1]), 1)
    assert (bundles.tasks, bundles.labels) == ([0, 0, 1, 1], [0, 1, 1, 2])
    assert torch.equal(bundles.sums[:2], before)
    found = bundles.similarity(codes(5, seed=4))
    plain = torch.nn.functional.cosine_similarity(codes(5, seed=4)[:, None].double(), bundles.sums[None].double(), -1)
    assert torch.allclose(found.double(), plain, atol=1e-6)
    other = Bundles(64)
    other.set_state(state.clone(bundles.get_state()))
    assert torch.equal(other.similarity(codes(5)), bundles.similarity(codes(5))) and len(other) == 4


def test_no_images_have_no_hypervectors() -> None:
    bundles = Bundles(64)
    bundles.add(codes(2), torch.tensor([0, 1]), 0)
    assert Hypervectors([4], 64, rng())([torch.zeros(0, 4)]).shape == (0, 64)
    assert bundles.similarity(codes(0)).shape == (0, 2)


@pytest.mark.parametrize("size", [64, 61])
def test_kept_codes_are_bits(size: int) -> None:
    kept, vectors = KeptCodes(size), [codes(5, size), codes(0, size), codes(3, size, seed=9)]
    for each in vectors:
        kept.add(each)
    assert all(torch.equal(kept.of(task), each) for task, each in enumerate(vectors)) and len(kept) == 3
    assert state.nbytes(kept.get_state()) == 8 * 8 and kept.stores == "samples"
    other = KeptCodes(size)
    other.set_state(kept.get_state())
    assert torch.equal(other.of(2), vectors[2])
