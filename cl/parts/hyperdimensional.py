"""Hyperdimensional computing: long vectors of signs for images, and bundles of them as prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 1024
"""Images per product: a hypervector in float32 takes 40 kB."""


class Hypervectors(nn.Module):
    """H(x) = sign(sum_l B_l * sign(P_l f_l)) for features f_l at several depths, in {-1, 1}.

    P_l [dim, size] are drawn from N(0, 1), the keys B_l [size] from {-1, 1}; * is the bind of two hypervectors. With an
    even number of depths half of the sums can be 0: then the last depth decides. Bundles are useless without exactly
    these draws, so they are part of the state.
    """

    def __init__(self, dims: Sequence[int], size: int, generator: torch.Generator) -> None:
        super().__init__()
        self.keys: Tensor
        for number, dim in enumerate(dims):
            self.register_buffer(f"projection{number}", torch.randn(dim, size, generator=generator))
        self.register_buffer("keys", torch.randint(0, 2, (len(dims), size), generator=generator) * 2.0 - 1)
        self.eval()

    @torch.no_grad()
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Hypervectors, int8 [B, size], of the features [B, dim] of each depth."""
        found = [self._signs([each[rows] for each in features]) for rows in _chunks(len(features[0]))]
        return torch.cat([self.keys.new_empty(0, self.keys.shape[1], dtype=torch.int8), *found])

    def _signs(self, features: Sequence[Tensor]) -> Tensor:
        total: Tensor | float = 0.0
        for number, (each, key) in enumerate(zip(features, self.keys, strict=True)):
            bound = torch.where(each @ getattr(self, f"projection{number}") >= 0, key, -key)
            total = total + bound
        return (total + bound / 2 > 0).to(torch.int8).mul_(2).sub_(1)


class Bundles:
    """Sums of hypervectors, one per task and class: their order, and how they are divided, change no bit.

    `tasks` and `labels` say whose sum each row is.
    """

    stores = "statistics"

    def __init__(self, size: int, device: torch.device | str = "cpu") -> None:
        self.sums = torch.zeros(0, size, dtype=torch.int32, device=device)
        self.tasks: list[int] = []
        self.labels: list[int] = []

    def __len__(self) -> int:
        return len(self.tasks)

    def add(self, codes: Tensor, labels: Tensor, task: int) -> None:
        """Add hypervectors [N, size] to the sums of a task and of their labels [N]."""
        place = {(t, c): row for row, (t, c) in enumerate(zip(self.tasks, self.labels, strict=True))}
        new = [int(c) for c in labels.unique() if (task, int(c)) not in place]
        place |= {(task, c): len(self) + number for number, c in enumerate(new)}
        self.tasks, self.labels = [*self.tasks, *[task] * len(new)], [*self.labels, *new]
        self.sums = torch.cat([self.sums, self.sums.new_zeros(len(new), self.sums.shape[1])])
        into = torch.tensor([place[task, int(c)] for c in labels], dtype=torch.long, device=self.sums.device)
        for rows in _chunks(len(codes)):
            self.sums.index_add_(0, into[rows], codes[rows].to(torch.int32))

    def similarity(self, codes: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Cosines [N, sums] of hypervectors [N, size] and sums."""
        unit = F.normalize(self.sums.to(dtype), dim=1) / self.sums.shape[1] ** 0.5
        return torch.cat([unit.new_empty(0, len(self)), *(codes[r].to(dtype) @ unit.T for r in _chunks(len(codes)))])

    def get_state(self) -> dict[str, Any]:
        return {"sums": self.sums, "tasks": self.tasks, "labels": self.labels}

    def set_state(self, state: dict[str, Any]) -> None:
        self.sums = state["sums"].to(self.sums.device)
        self.tasks, self.labels = list(state["tasks"]), list(state["labels"])


class KeptCodes:
    """Hypervectors of some images of each task, one bit per dimension."""

    stores = "samples"

    def __init__(self, size: int) -> None:
        self.size, self.bits = size, list[Tensor]()

    def __len__(self) -> int:
        return len(self.bits)

    def add(self, codes: Tensor) -> None:
        """Keep the hypervectors [N, size] of the next task."""
        self.bits = [*self.bits, torch.from_numpy(np.packbits((codes > 0).cpu().numpy(), axis=1))]

    def of(self, task: int) -> Tensor:
        """The hypervectors of a task, int8 [N, size], on the CPU."""
        bits = np.unpackbits(self.bits[task].cpu().numpy(), axis=1, count=self.size)
        return torch.from_numpy(bits.astype(np.int8)).mul_(2).sub_(1)

    def get_state(self) -> list[Tensor]:
        return self.bits

    def set_state(self, state: list[Tensor]) -> None:
        self.bits = [bits.cpu() for bits in state]


def _chunks(count: int) -> list[slice]:
    return [slice(start, start + ROWS) for start in range(0, count, ROWS)]
