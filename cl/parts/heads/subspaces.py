"""Prototypes of each class in the subspace of each task's adapters, partly estimated without images (EASE)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.heads.prototypes import cosines


class SubspacePrototypes:
    """P [C, T, d]: class c in the subspace of task j; `task` [C] is the task that introduced each class.

    In the subspaces of its own task and of earlier tasks, a class has real prototypes: means of its images. In a later
    subspace j it has no images. Its prototype there is a mixture of the classes K of tasks >= j, which have real
    prototypes in j and in its own subspace o: P_ij = sum_k w_ik P_kj with w_i = softmax_k cos(P_io, P_ko), called
    semantic mapping. The cosines are similar, so a mixture is close to the mean of K.
    """

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        self.values = torch.empty(0, 0, dim, device=device)
        self.task = torch.empty(0, dtype=torch.long, device=device)

    def __len__(self) -> int:
        return len(self.task)

    def add(self, real: Tensor, *, recalculate: bool = True) -> None:
        """Append a task's classes with their real prototypes [classes, T, d], and estimate prototypes of old classes.

        With `recalculate` all estimates are recomputed from all classes; else only those in the newest subspace.
        """
        count, spaces, dim = real.shape
        grown = real.new_zeros(len(self) + count, spaces, dim)
        grown[: len(self), : spaces - 1] = self.values
        grown[len(self) :] = real
        self.values = grown
        self.task = torch.cat([self.task, self.task.new_full((count,), spaces - 1)])
        for space in range(1 if recalculate else max(spaces - 1, 1), spaces):
            for own in range(space):
                self.values[self.task == own, space] = self.mixture(own, space) @ self.values[self.task >= space, space]

    def mixture(self, own: int, space: int) -> Tensor:
        """w [classes of task `own`, classes of tasks >= `space`]; rows sum to 1."""
        return cosines(self.values[self.task == own, own], self.values[self.task >= space, own]).softmax(1)

    def scores(self, features: Tensor, cross: float) -> Tensor:
        """Scores [B, C] of features [B, T, d]: the cosine in the class's own subspace, plus cross / (T - 1) times the
        sum of the cosines in the other subspaces.

        Each cosine is computed in one subspace; a cosine of the concatenated vectors would be another method.
        """
        spaces = features.shape[1]
        own = F.one_hot(self.task, spaces).to(features)
        weight = own + (1 - own) * cross / max(spaces - 1, 1)
        prototypes = F.normalize(self.values, dim=-1) * weight.unsqueeze(-1)
        return F.normalize(features, dim=-1).flatten(1) @ prototypes.flatten(1).T

    def get_state(self) -> dict[str, Tensor]:
        return {"values": self.values, "task": self.task}

    def set_state(self, state: dict[str, Tensor]) -> None:
        self.values, self.task = (state[name].to(self.task.device) for name in ("values", "task"))
