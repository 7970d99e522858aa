"""Keys of tasks: initial values and similarities."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from cl.parts.attached.keys import TaskKeys, similarity


def keys(tasks: int, sites: int, dim: int) -> TaskKeys:
    return TaskKeys(tasks, sites, dim, torch.Generator().manual_seed(0))


def test_keys_of_a_site_start_orthonormal_over_the_tasks() -> None:
    found = keys(3, 2, 5)
    for site in range(2):
        rows = found.at(site, 3)
        assert torch.allclose(rows @ rows.T, torch.eye(3), atol=1e-5)
    assert not torch.equal(found.at(0, 3), found.at(1, 3)), "each site has its own draw"


def test_more_tasks_than_dimensions_still_have_keys() -> None:
    columns = keys(6, 1, 4).at(0, 6)
    assert torch.allclose(columns.T @ columns, torch.eye(4), atol=1e-5)


def test_a_task_can_start_from_the_keys_of_the_task_before() -> None:
    found = keys(3, 2, 5)
    first, last = found.rows[0].clone(), found.rows[2].clone()
    found.copy_last(1)
    assert torch.equal(found.rows[1], first) and found.rows[1] is not found.rows[0]
    assert torch.equal(found.rows[2], last)


def test_a_similarity_is_the_cosine_under_the_attention_of_the_task() -> None:
    rng = torch.Generator().manual_seed(0)
    queries, given, attention = (torch.randn(rows, 5, generator=rng) for rows in (4, 3, 3))
    plain, weighted = similarity(queries, given), similarity(queries, given, attention)
    for b in range(4):
        for t in range(3):
            torch.testing.assert_close(plain[b, t], F.cosine_similarity(queries[b], given[t], dim=0))
            torch.testing.assert_close(weighted[b, t], F.cosine_similarity(queries[b] * attention[t], given[t], dim=0))
