"""A codebook of corrections: keys with radii and labels, and the values to use in a layer (GRACE)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

GAP = 1e-5
"""How far apart two balls of different labels are after a split."""

RIM = 1e-5
"""Share by which a radius that grows to a query passes it: the query is found again if it is rounded otherwise. Inputs
that differ by less than this share of their length are equal."""


class Codebook:
    """Entries in the order of their edits: `keys` [K, d], `values` [K, v], `radii` [K] and position `labels` [K].

    An input uses the value of its nearest key if the distance is at most the radius of that key.
    """

    stores = "parameters"

    def __init__(self, width: int, value_width: int, radius: float, device: torch.device | str = "cpu") -> None:
        self.radius = radius
        self.keys, self.values = torch.empty(0, width, device=device), torch.empty(0, value_width, device=device)
        self.radii, self.labels = torch.empty(0, device=device), torch.empty(0, dtype=torch.long, device=device)

    def __len__(self) -> int:
        return len(self.keys)

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Distance [B] and entry [B] of the nearest key of each query [B, d]; infinite and 0 without an entry."""
        if not len(self):
            return torch.full((len(queries),), torch.inf, device=queries.device), queries.new_zeros(len(queries)).long()
        found = distances(queries, self.keys).min(1)
        return found.values, found.indices

    def covers(self, distance: Tensor, entry: Tensor) -> Tensor:
        """Which queries are within the radius of their nearest key, bool [B]."""
        return distance <= self.radii[entry] if len(self) else torch.zeros_like(distance, dtype=torch.bool)

    def edit(self, query: Tensor, label: int, distance: float, entry: int) -> tuple[int, bool]:
        """Make room for a correction of `query` [d], whose nearest key is `entry`: the entry to train, and whether it
        is new.

        Far from the nearest key there is a new entry; near a key of another label too, and the balls are split halfway;
        near a key of the same label, its ball grows to the query. At a key of another label there is nothing to split:
        a correction of an equal input replaces the earlier one, and the entry gets the new label.
        """
        if not len(self) or distance > self.radius + float(self.radii[entry]):
            return self._add(query, label, self.radius), True
        if distance / 2 <= GAP + RIM * float(query.norm()):  # equal up to rounding
            self.labels[entry] = label
        elif int(self.labels[entry]) != label:
            self.radii[entry] = distance / 2 - GAP
            return self._add(query, label, distance / 2), True
        elif distance > float(self.radii[entry]):
            self.radii[entry] = distance * (1 + RIM)
        return entry, False

    def _add(self, query: Tensor, label: int, radius: float) -> int:
        self.keys = torch.cat([self.keys, query[None].to(self.keys)])
        self.values = torch.cat([self.values, self.values.new_zeros(1, self.values.shape[1])])
        self.radii = torch.cat([self.radii, self.radii.new_tensor([radius])])
        self.labels = torch.cat([self.labels, self.labels.new_tensor([label])])
        return len(self) - 1

    def structure(self) -> Any:
        """What decides the cost of training values; the number of entries does not."""
        return "codebook", self.keys.shape[1], self.values.shape[1]

    def get_state(self) -> dict[str, Tensor]:
        return {"keys": self.keys, "values": self.values, "radii": self.radii, "labels": self.labels}

    def set_state(self, state: dict[str, Tensor]) -> None:
        """Load the entries of `state`, whatever their number."""
        device = self.keys.device
        self.keys, self.values, self.radii, self.labels = (
            state[name].to(device, copy=True) for name in ("keys", "values", "radii", "labels")
        )


def distances(queries: Tensor, keys: Tensor) -> Tensor:
    """Euclidean distances [B, K].

    By one matrix product in float64: the terms cancel, and in float32 a query could miss a key that is equal to it.
    """
    if queries.device.type == "mps":  # has no float64
        return torch.cdist(queries, keys, compute_mode="donot_use_mm_for_euclid_dist")
    return torch.cdist(queries.double(), keys.double(), compute_mode="use_mm_for_euclid_dist")
