"""DualGPM: the directions of the inputs of earlier tasks, kept as a basis of these or of the other directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class DualGPM:
    """Per layer, an orthonormal basis [d, k] of the occupied directions or, once these are over half, of the free ones.

    Liang and Li 2023 (adaptive plasticity improvement), as in InfLoRA. `bases` are float32 on the CPU; `free` says
    which of them span the free directions.
    """

    def __init__(self) -> None:
        self.bases: list[Tensor] = []
        self.free: list[bool] = []

    def project(self, layer: int, matrix: Tensor) -> Tensor:
        """The part of a matrix [d, n] in the free directions of a layer; before the first task all of it."""
        if not self.bases:
            return matrix
        basis = self.bases[layer].to(matrix)
        inside = basis @ (basis.mT @ matrix)
        return inside if self.free[layer] else matrix - inside

    def update(self, moments: Sequence[Tensor], threshold: float) -> None:
        """Add the directions of a task, from a matrix [d, n] per layer whose columns span its inputs.

        Afterwards the occupied directions hold at least a share `threshold` of the sum of squared singular values (the
        first time, the largest number of leading directions with less, and at least one).
        """
        first = not self.bases
        for layer, moment in enumerate(moments):
            if first:
                u, s, _ = _svd(moment)
                count = int((_shares(s, s).cumsum(0) < threshold).sum())
                self.bases.append(u[:, : max(count, 1)].float())
                self.free.append(False)
            elif self.free[layer]:
                self._shrink(layer, moment, threshold)
            else:
                self._extend(layer, moment, threshold)
            basis = self.bases[layer]
            if not self.free[layer] and basis.shape[1] > len(basis) / 2:
                self.bases[layer] = _svd(basis, full=True)[0][:, basis.shape[1] :].float()
                self.free[layer] = True

    def _extend(self, layer: int, moment: Tensor, threshold: float) -> None:
        """Occupy the leading directions outside the basis until the share is reached."""
        total = _svd(moment)[1]
        u, s, _ = _svd(self.project(layer, moment))
        shares = _shares(s, total)
        covered = 1 - shares.sum() + shares.cumsum(0) - shares  # before each direction is added
        count = int((covered < threshold).sum())
        basis = torch.cat([self.bases[layer], u[:, :count].float()], 1)
        self.bases[layer] = basis[:, : len(basis)]

    def _shrink(self, layer: int, moment: Tensor, threshold: float) -> None:
        """Take the leading free directions out of the basis until the rest has at most a share 1 - threshold."""
        total = _svd(moment)[1]
        u, s, _ = _svd(self.project(layer, moment))
        shares = _shares(s, total)
        left = shares.sum() - shares.cumsum(0) + shares  # before each direction is taken out
        count = int((left >= 1 - threshold).sum())
        if count:
            basis, taken = self.bases[layer].to(u), u[:, :count]
            rest = _svd(basis - taken @ (taken.mT @ basis), full=True)[0]
            self.bases[layer] = rest[:, : max(basis.shape[1] - count, 0)].float()

    def get_state(self) -> dict[str, Any]:
        return {"bases": self.bases, "free": self.free}

    def set_state(self, state: dict[str, Any]) -> None:
        self.bases, self.free = [basis.cpu() for basis in state["bases"]], list(state["free"])


def _svd(matrix: Tensor, full: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    u, s, vh = torch.linalg.svd(matrix.double(), full_matrices=full)
    return u, s, vh


def _shares(singular: Tensor, total: Tensor) -> Tensor:
    """Squared singular values as shares of the sum of `total` squared."""
    return singular.square() / total.square().sum()
