"""Keys in groups of features: per image, weights of the slots whose keys are nearest (SLM)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.errors import UsageError


class GroupedKeys(nn.Module):
    """A key per slot in each of G groups of the features of a query; slots arrive task by task.

    Each task's keys, `rows[task]` [G, slots, dim / G], are a separate parameter, so training one task cannot change
    another. New keys are orthonormal within their group as far as dim / G allows. Raises `UsageError` if G does not
    divide the features.
    """

    def __init__(self, dim: int, groups: int) -> None:
        super().__init__()
        if dim % groups:
            raise UsageError(
                f"groups={groups} does not divide the {dim} features of the backbone; choose a divisor of {dim}."
            )
        self.dim, self.groups = dim, groups
        self.place: Tensor
        self.register_buffer("place", torch.empty(0), persistent=False)  # the device of new keys
        self.rows = nn.ParameterList()

    def __len__(self) -> int:
        """Number of slots."""
        return sum(keys.shape[1] for keys in self.rows)

    def grow(self, slots: int, generator: torch.Generator) -> None:
        """Append the keys of a task with this many slots."""
        shape = (slots, self.dim // self.groups)
        drawn = [nn.init.orthogonal_(torch.empty(shape), generator=generator) for _ in range(self.groups)]
        self._append(torch.stack(drawn))

    def _append(self, keys: Tensor) -> None:
        self.rows.append(nn.Parameter(keys.to(self.place.device, copy=True), requires_grad=False))

    def similarities(self, queries: Tensor, task: int | None = None) -> Tensor:
        """Cosines [B, G, slots] of queries [B, dim] with all keys, or with those of a task (-1: the newest)."""
        keys = torch.cat(list(self.rows), 1) if task is None else self.rows[task]
        return F.cosine_similarity(queries.unflatten(1, (self.groups, -1)).unsqueeze(2), keys, dim=-1)

    def weights(self, queries: Tensor, top: int, task: int | None = None) -> Tensor:
        """Weights [B, slots]: cosines averaged over groups, divided by their sum over the `top` largest; else 0.

        With `task`, the slots of other tasks have the weight 0.
        """
        found = self.similarities(queries, task).mean(1)
        best, index = found.topk(min(top, found.shape[1]), dim=1)
        weights = torch.zeros_like(found).scatter(1, index, best / (best.sum(1, keepdim=True) + 1e-9))
        if task is None:
            return weights
        before = sum(keys.shape[1] for keys in self.rows[:task])
        return F.pad(weights, (before, len(self) - before - weights.shape[1]))

    def pull(self, queries: Tensor, top: int, dropout: float) -> Tensor:
        """Minus the mean cosine of queries with their `top` nearest keys of the newest task in each group.

        A share `dropout` of keys, drawn for each query and group, is skipped, so that every key is nearest at times.
        """
        found = self.similarities(queries, -1)
        skipped = torch.rand_like(found) <= dropout
        index = found.detach().masked_fill(skipped, -100.0).topk(min(top, found.shape[2]), dim=2).indices
        return -found.gather(2, index).mean()

    def get_state(self) -> dict[str, Any]:
        """The keys of each task."""
        return {"rows": [keys.detach() for keys in self.rows]}

    def set_state(self, state: dict[str, Any]) -> None:
        """Load the keys of `state`, adding, replacing or removing tasks to match."""
        mine, self.rows = list(self.rows), nn.ParameterList()
        for number, keys in enumerate(state["rows"]):
            if number < len(mine) and mine[number].shape == keys.shape:
                self.rows.append(mine[number])
                with torch.no_grad():
                    mine[number].copy_(keys)
            else:
                self._append(keys)
