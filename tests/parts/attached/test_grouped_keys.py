"""Keys in groups of features: weights of slots per image, and the loss that pulls keys to queries."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.attached import GroupedKeys


def drawn(*tasks: int, groups: int = 3) -> GroupedKeys:
    keys, generator = GroupedKeys(12, groups), torch.Generator().manual_seed(1)
    for slots in tasks:
        keys.grow(slots, generator)
    return keys


def queries(count: int = 5) -> Tensor:
    return torch.rand(count, 12, generator=torch.Generator().manual_seed(2)) + 0.1


def test_new_keys_are_orthonormal_in_each_group() -> None:
    keys = drawn(3, 2)
    assert len(keys) == 5 and [tuple(row.shape) for row in keys.rows] == [(3, 3, 4), (3, 2, 4)]
    for group in keys.rows[0]:
        torch.testing.assert_close(group @ group.mT, torch.eye(3))


def test_weights_are_shares_of_the_largest_mean_cosines() -> None:
    keys, x = drawn(2, 3), queries()
    found = keys.weights(x, 2)
    for image in range(len(x)):
        cosines = torch.zeros(5)
        for group in range(3):
            part = torch.cat([row[group] for row in keys.rows])
            cosines += F.cosine_similarity(x[image, 4 * group : 4 * group + 4], part) / 3
        best = cosines.argsort(descending=True)[:2]
        wanted = torch.zeros(5)
        wanted[best] = cosines[best] / cosines[best].sum()
        torch.testing.assert_close(found[image], wanted, rtol=1e-4, atol=1e-6)
    assert torch.equal(keys.weights(x[:1], 2), found[:1]), "other images of the batch do not matter"
    everything = keys.weights(x, 99)
    means = keys.similarities(x).mean(1)
    torch.testing.assert_close(everything, means / means.sum(1, keepdim=True))


@pytest.mark.parametrize(("task", "own"), [(0, slice(0, 2)), (1, slice(2, 5)), (2, slice(5, 9)), (-1, slice(5, 9))])
def test_slots_of_other_tasks_can_be_left_out(task: int, own: slice) -> None:
    keys, x = drawn(2, 3, 4), queries()
    found, alone = keys.weights(x, 2, task), GroupedKeys(12, 3)
    alone.set_state({"rows": [keys.rows[task]]})
    assert found.shape == (5, 9) and not bool(found[:, : own.start].any()) and not bool(found[:, own.stop :].any())
    assert torch.equal(found[:, own], alone.weights(x, 2))


def test_the_loss_pulls_the_nearest_keys_of_the_newest_task() -> None:
    keys, x = drawn(2, 3), queries()
    for row in keys.rows:
        row.requires_grad_(True)
    loss = keys.pull(x, 1, dropout=-1.0)
    torch.testing.assert_close(loss, -keys.similarities(x, -1).max(2).values.mean())
    loss.backward()
    assert keys.rows[0].grad is None and keys.rows[1].grad is not None
    torch.manual_seed(0)
    assert float(keys.pull(x, 1, dropout=0.5).detach()) > float(loss.detach()), "keys that are passed over were nearer"


def test_the_state_brings_its_tasks() -> None:
    keys, other = drawn(2, 3), drawn(4)
    other.set_state(keys.get_state())
    assert torch.equal(other.weights(queries(), 3), keys.weights(queries(), 3))
    keys.set_state({"rows": keys.get_state()["rows"][:1]})
    assert len(keys) == 2 and len(other) == 5


def test_groups_that_do_not_divide_the_features_are_refused() -> None:
    with pytest.raises(UsageError, match="groups=5 does not divide the 12 features"):
        GroupedKeys(12, 5)
