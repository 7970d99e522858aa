"""Keys of tasks: learned vectors that tell which task an input belongs to."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TaskKeys(nn.Module):
    """One vector per task at each of `sites` places; the initial vectors of a place are orthonormal over the tasks.

    Each task's vectors, `rows[task]` [sites, dim], are a separate parameter, so training one task cannot change
    another. With more tasks than dimensions the rows cannot be orthogonal; then the columns are.
    """

    def __init__(self, tasks: int, sites: int, dim: int, generator: torch.Generator) -> None:
        super().__init__()
        drawn = [nn.init.orthogonal_(torch.empty(tasks, dim), generator=generator) for _ in range(sites)]
        self.rows = nn.ParameterList(
            nn.Parameter(row.contiguous(), requires_grad=False) for row in torch.stack(drawn, 1)
        )

    @torch.no_grad()
    def copy_last(self, task: int) -> None:
        """Initialise the vectors of `task` with those of the previous task."""
        self.rows[task].copy_(self.rows[task - 1])

    def at(self, site: int, tasks: int) -> Tensor:
        """The vectors of the first `tasks` tasks at a site, [tasks, dim]."""
        return torch.stack([self.rows[task][site] for task in range(tasks)])


def similarity(queries: Tensor, keys: Tensor, attention: Tensor | None = None) -> Tensor:
    """Cosines [B, T] of queries [B, d] with keys [T, d]; `attention` [T, d] is multiplied with the query per key."""
    queries = queries.unsqueeze(1)
    return F.cosine_similarity(queries if attention is None else queries * attention, keys, dim=-1)
