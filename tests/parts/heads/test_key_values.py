"""Key-value pairs: search, quantisation, values, and the equivalent training of coefficients of images."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.heads import key_values
from cl.parts.heads.key_values import KeyQuantiser, KeyValues, Overlaps, clip_sparse_, common, copies, search

DIM, BOOKS, PAIRS, KEY_DIM, CLASSES = 12, 5, 16, 3, 4


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs_of(seed: int = 0, pairs: int = PAIRS) -> KeyValues:
    return KeyValues(DIM, BOOKS, pairs, KEY_DIM, CLASSES, rng(seed)).double()


def features_of(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, DIM, generator=rng(seed), dtype=torch.float64)


def by_hand(pairs: KeyValues, features: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Nearest keys by a loop: index within the codebook [N, C]."""
    found = torch.empty(len(features), BOOKS, dtype=torch.long)
    for n, z in enumerate(features):
        for c in range(BOOKS):
            query = pairs.projections[:, c * KEY_DIM : (c + 1) * KEY_DIM].T @ z
            distance = (pairs.keys[c] - query).square().sum(1)
            if allowed is not None:
                distance[~allowed[c]] = float("inf")
            found[n, c] = distance.argmin()
    return found


def test_columns_of_every_projection_have_length_one() -> None:
    pairs = pairs_of()
    assert pairs.projections.shape == (DIM, BOOKS * KEY_DIM)
    torch.testing.assert_close(pairs.projections.norm(dim=0), torch.ones(BOOKS * KEY_DIM).double(), rtol=0, atol=1e-6)


def test_a_lookup_costs_the_projection_and_a_product_with_every_key() -> None:
    assert pairs_of().flops == 2 * (DIM * BOOKS * KEY_DIM + BOOKS * PAIRS * KEY_DIM)


@pytest.mark.parametrize("count", [16, 192])  # 192 keys are searched by groups
@pytest.mark.parametrize("tile", [1, 10_000])  # one codebook at a time, several
def test_the_nearest_key_is_found(count: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_values, "TILE", tile)
    pairs, features = pairs_of(pairs=count), features_of(9)
    expected = by_hand(pairs, features) + torch.arange(BOOKS) * count
    assert torch.equal(pairs.nearest(features).long(), expected)


@pytest.mark.parametrize("used_pairs", [3, 64])
def test_the_search_can_be_limited_to_used_keys(used_pairs: int) -> None:
    pairs, features = pairs_of(pairs=80), features_of(9)
    for c in range(BOOKS):  # as many or fewer in each codebook
        pairs.hits[c, torch.randperm(80, generator=rng(c))[: used_pairs - c % 2]] = 1
    expected = by_hand(pairs, features, pairs.hits > 0) + torch.arange(BOOKS) * 80
    found = pairs.nearest(features, used=True).long()
    assert torch.equal(found, expected)
    assert bool((pairs.hits.flatten()[found] > 0).all())
    pairs.hits[:] = 1  # the table is rebuilt
    assert torch.equal(pairs.nearest(features, used=True), pairs.nearest(features))


def test_the_search_does_not_depend_on_the_batch() -> None:
    pairs, features = pairs_of(), features_of(300)
    alone = torch.cat([pairs.nearest(z[None]) for z in features])
    assert torch.equal(pairs.nearest(features), alone)


def test_the_first_of_several_copies_of_a_key_is_found() -> None:
    pairs, features = pairs_of(), features_of(40)
    before = pairs.nearest(features)
    pairs.keys[:, 8:] = pairs.keys[:, :8]
    expected = torch.zeros(BOOKS, PAIRS, dtype=torch.bool)
    expected[:, 8:] = True
    assert torch.equal(copies(pairs.keys), expected)
    found = pairs.nearest(features)
    assert not torch.equal(found, before)  # the search uses the changed keys
    assert int((found % PAIRS).max()) < 8


def test_the_first_of_several_equal_scores_is_found() -> None:
    scores = torch.zeros(1, 1, 1)
    assert search(scores, torch.zeros(1, 1, 192), torch.zeros(1, 192)).item() == 0


@pytest.mark.parametrize(("decay", "dead"), [(0.9, 0.05), (0.4, 0.0)])  # 0: no count is below, so no key is replaced
def test_quantisation_equals_the_equations_one_key_at_a_time(decay: float, dead: float) -> None:
    pairs = pairs_of()
    keys, eps = pairs.keys.clone(), 1e-5
    quantiser = KeyQuantiser(pairs, decay=decay, eps=eps, dead=dead)
    count, total = torch.zeros(BOOKS, PAIRS).double(), keys.clone()
    replaced = 0
    for step in range(4):
        features, reference = features_of(20, step), pairs_of()
        reference.keys.copy_(keys)
        queries = reference.queries(features)  # rounding selects among copies of a key, the same way in both
        assigned = search(queries, keys.transpose(1, 2).contiguous(), -keys.square().sum(-1) / 2).T
        distance = torch.stack([torch.cdist(queries[c], keys[c]) for c in range(BOOKS)], 1)  # [N, C, K]
        torch.testing.assert_close(distance.gather(2, assigned[..., None])[..., 0], distance.amin(2))
        quantiser.update(features, rng(step))
        for c in range(BOOKS):
            for k in range(PAIRS):
                mine = queries[c][assigned[:, c] == k]
                count[c, k] = decay * count[c, k] + (1 - decay) * len(mine)
                total[c, k] = decay * total[c, k] + (1 - decay) * mine.sum(0)
            everything = count[c].sum()
            for k in range(PAIRS):
                if count[c, k] < dead:  # any query of the batch
                    assert bool((queries[c] == pairs.keys[c, k]).all(1).any())
                    replaced += 1
                else:
                    smoothed = (count[c, k] + eps) / (everything + PAIRS * eps) * everything
                    torch.testing.assert_close(pairs.keys[c, k], total[c, k] / smoothed)
        keys = pairs.keys.clone()
        torch.testing.assert_close(quantiser.sums, total)  # replacement does not change the averages
        torch.testing.assert_close(quantiser.counts, count)
    assert bool(replaced) == bool(dead)


def test_trained_keys_are_within_the_range_of_the_queries() -> None:
    pairs = pairs_of(pairs=64)
    features = 30 + features_of(100)  # far from the initial keys
    quantiser = KeyQuantiser(pairs, decay=0.95, dead=0.1 * 25 / 64)
    for step in range(200):  # the average starts at the random key, which must decay: 0.95^200
        quantiser.update(features[torch.randperm(100, generator=rng(step))[:25]], rng(step))
    queries = pairs.queries(features)
    assert bool(torch.isfinite(pairs.keys).all())
    slack = 0.01 * (queries.amax(1) - queries.amin(1))
    assert bool((pairs.keys <= (queries.amax(1) + slack)[:, None]).all())
    assert bool((pairs.keys >= (queries.amin(1) - slack)[:, None]).all())


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits, labels, label_smoothing=0.1)


def dense_reference(pairs: KeyValues, fetched: Tensor, labels: Tensor, batches: list[Tensor], lr: float) -> Tensor:
    """Plain autograd on a dense table of values, PyTorch's own clipping and SGD."""
    values = nn.Parameter(pairs.values.detach().clone())
    optimizer = torch.optim.SGD([values], lr=lr)
    for rows in batches:
        optimizer.zero_grad()
        loss_of(values[fetched[rows].long()].mean(1), labels[rows]).backward()
        nn.utils.clip_grad_norm_([values], 0.05)  # low enough to bind
        optimizer.step()
    return values.detach()


def problem() -> tuple[KeyValues, Tensor, Tensor, list[Tensor]]:
    pairs = pairs_of()
    fetched = pairs.nearest(features_of(30))
    pairs.values.data.normal_(generator=rng(3))
    labels = torch.randint(CLASSES, (30,), generator=rng(4))
    batches = [part for epoch in range(3) for part in torch.randperm(30, generator=rng(epoch)).split(8)]
    return pairs, fetched, labels, batches


def test_sparse_steps_equal_plain_autograd_and_sgd() -> None:
    pairs, fetched, labels, batches = problem()
    expected = dense_reference(pairs, fetched, labels, batches, lr=5.0)
    values = pairs.values.requires_grad_(True)
    optimizer = torch.optim.SGD([values], lr=5.0, foreach=True)
    for rows in batches:
        optimizer.zero_grad()
        loss_of(pairs.read(fetched[rows]), labels[rows]).backward()
        clip_sparse_(values, 0.05)
        optimizer.step()
    torch.testing.assert_close(values.detach(), expected, rtol=0, atol=1e-13)


def test_steps_on_coefficients_of_images_equal_plain_autograd_and_sgd() -> None:
    pairs, fetched, labels, batches = problem()
    expected = dense_reference(pairs, fetched, labels, batches, lr=5.0)
    overlaps = Overlaps(pairs, fetched)
    coefficients = nn.Parameter(torch.zeros(30, CLASSES).double())
    optimizer = torch.optim.SGD([coefficients], lr=5.0)
    for rows in batches:
        optimizer.zero_grad()
        loss_of(overlaps.logits(coefficients, rows), labels[rows]).backward()
        overlaps.clip_(coefficients, rows, 0.05)
        optimizer.step()
    before = pairs.values.detach().clone()
    overlaps.fold(coefficients)
    torch.testing.assert_close(pairs.values.detach(), expected, rtol=0, atol=1e-13)
    assert not torch.equal(pairs.values, before)
    everything = torch.arange(30)
    torch.testing.assert_close(overlaps.logits(coefficients, everything), pairs.read(fetched))


def test_clipping_leaves_a_small_gradient_alone() -> None:
    pairs, fetched, labels, _ = problem()
    pairs.values.requires_grad_(True)
    loss_of(pairs.read(fetched), labels).backward()
    assert pairs.values.grad is not None
    before = pairs.values.grad.coalesce().to_dense()
    clip_sparse_(pairs.values, 1.0)
    assert torch.equal(pairs.values.grad.to_dense(), before)


def test_only_fetched_rows_have_a_gradient() -> None:
    pairs, fetched, labels, _ = problem()
    pairs.values.requires_grad_(True)
    loss_of(pairs.read(fetched[:5]), labels[:5]).backward()
    assert pairs.values.grad is not None
    touched = pairs.values.grad.to_dense().abs().sum(1) > 0
    expected = torch.zeros_like(touched)
    expected[fetched[:5].flatten().long()] = True
    assert torch.equal(touched, expected)


def test_the_state_contains_and_restores_the_values_of_pairs_with_hits() -> None:
    pairs, fetched, _, _ = problem()
    pairs.values.data.zero_()
    pairs.count(fetched, 2)
    pairs.values.data[fetched.flatten().long()] = 1.5
    state = pairs.get_state()
    assert len(state["values"]) == int((pairs.hits > 0).sum()) < BOOKS * PAIRS
    other = pairs_of(seed=9)
    other.nearest(features_of(3), used=False)  # a table of the old keys
    other.values.data.fill_(7.0)
    other.set_state(state)
    assert torch.equal(other.values, pairs.values)
    assert torch.equal(other.hits, pairs.hits)
    z = features_of(20, 8)
    for used in (False, True):
        assert torch.equal(other.nearest(z, used=used), pairs.nearest(z, used=used))


def test_hits_are_counted() -> None:
    pairs, fetched, _, _ = problem()
    pairs.count(fetched, 3)
    pairs.count(fetched[:4])
    assert int(pairs.hits.sum()) == (3 * 30 + 4) * BOOKS
    assert int(pairs.hits.flatten()[fetched[0, 0].long()]) >= 4


def test_common_pairs_are_counted_exactly_across_blocks_of_images() -> None:
    fetched = torch.randint(0, 5, (600, 7), generator=torch.Generator().manual_seed(3)) + 5 * torch.arange(7)
    expected = (fetched[:, None] == fetched[None]).sum(-1).float()
    assert torch.equal(common(fetched.int(), torch.float32), expected)
