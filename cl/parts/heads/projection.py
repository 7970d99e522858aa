"""Random features and ridge regression on running sums, in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.errors import UsageError

RIDGES = tuple(10.0**power for power in range(-8, 9))
"""The ridge penalties that RanPAC tries."""

ROWS = 4096
"""Rows of random features converted to float64 at a time."""


class RandomProjection(nn.Module):
    """h(f) = ReLU(f W) with a fixed W [dim, width] drawn from N(0, 1); features are not normalised.

    W is part of the state instead of being redrawn: sums over h are useless without exactly this W.
    """

    def __init__(self, dim: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.matrix: Tensor
        self.register_buffer("matrix", torch.randn(dim, width, generator=generator))
        self.eval()

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(features @ self.matrix.to(features.dtype))


class RidgeRegression:
    """Regression of one-hot labels on features h [N, M] from the sums G = H^T H [M, M] and Q = H^T Y [M, C].

    Sums do not depend on the order or the batches of the images. G is exactly symmetric, so the state holds its upper
    triangle only (M = 10,000 in float32: 200 MB, in memory 400 MB).
    """

    stores = "statistics"

    def __init__(self, dim: int, dtype: torch.dtype, device: torch.device) -> None:
        self.gram = torch.zeros(dim, dim, dtype=dtype, device=device)
        self.cross = torch.zeros(dim, 0, dtype=dtype, device=device)

    def add(self, h: Tensor, labels: Tensor, classes: int) -> None:
        """Add features h [N, M] with position labels [N]; `classes` is the number of classes seen so far."""
        targets = F.one_hot(labels.to(h.device), classes).to(h.dtype)
        self.cross = F.pad(self.cross, (0, classes - self.cross.shape[1])).addmm_(h.T, targets)
        self.gram.addmm_(h.T, h)
        _mirror(self.gram)

    def solve(self, ridge: float) -> tuple[Tensor, float]:
        """Weights (G + ridge I)^-1 Q [M, C] by Cholesky, and the penalty used.

        The penalty is multiplied by ten until G + ridge I, which rounding may leave without a factor, has one. Raises
        `UsageError` if none helps, because features are not finite.
        """
        while ridge < 1e30:
            system = self.gram.clone()
            system.diagonal().add_(ridge)
            factor, failed = torch.linalg.cholesky_ex(system)
            if not failed:
                return torch.cholesky_solve(self.cross, factor).contiguous(), ridge  # as a restored state
            ridge *= 10
        raise UsageError("ridge regression failed: features are not finite; lower the learning rate.")

    def get_state(self) -> dict[str, Tensor]:
        return {"gram": torch.cat([row[n:] for n, row in enumerate(self.gram)]), "cross": self.cross}

    def set_state(self, state: dict[str, Tensor]) -> None:
        device, dim = self.gram.device, len(self.gram)
        self.cross = state["cross"].to(device)
        self.gram = torch.zeros(dim, dim, dtype=self.cross.dtype, device=device)
        for n, row in enumerate(state["gram"].to(device).split(list(range(dim, 0, -1)))):
            self.gram[n, n:] = row
        _mirror(self.gram)


def _mirror(square: Tensor) -> None:
    """Copy the upper triangle to the lower one: a product computed in blocks need not be exactly symmetric."""
    for part in torch.arange(len(square)).split(1024):  # in tiles, which stay in the processor's cache
        start, stop = int(part[0]), int(part[-1]) + 1
        tile = square[start:stop, start:stop]
        tile.copy_(tile.triu() + tile.triu(1).T)
        square[stop:, start:stop] = square[start:stop, stop:].T


def choose_ridge(
    h: Tensor, labels: Tensor, generator: torch.Generator, ridges: Sequence[float] = RIDGES, share: float = 0.8
) -> float:
    """The penalty whose regression on a random `share` of h [N, M] has the least squared error on the rest.

    Targets are one-hot over the classes present; other columns would be zero and predicted as zero. One decomposition
    in float64, of the smaller of H^T H and H H^T, serves all penalties. Raises `UsageError` for a single image.
    """
    if len(h) < 2:
        raise UsageError("one training image is too few to choose a ridge penalty; set one (--set ridge=...).")
    wide = torch.device("cpu") if h.device.type == "mps" else h.device  # mps has no float64
    order = torch.randperm(len(h), generator=generator).to(h.device)
    train, held_out = order.tensor_split([max(1, int(share * len(h)))])
    targets = F.one_hot(labels.to(h.device).unique(return_inverse=True)[1]).to(wide).double()

    def parts(rows: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        return ((h[some].to(wide).double(), targets[some.to(wide)]) for some in rows.split(ROWS))

    if len(train) > h.shape[1]:
        gram, cross = targets.new_zeros(h.shape[1], h.shape[1]), targets.new_zeros(h.shape[1], targets.shape[1])
        for x, y in parts(train):
            gram.addmm_(x.T, x)
            cross.addmm_(x.T, y)
        values, vectors = _eigen(gram)
        inner = vectors.T @ cross
    else:
        x = h[train].to(wide).double()
        values, vectors = _eigen(x @ x.T)
        inner, vectors = vectors.T @ targets[train.to(wide)], x.T @ vectors
    penalties = torch.tensor(ridges, dtype=torch.float64, device=wide)
    shrunk = 1 / (values + penalties[:, None])
    shrunk[:, values == 0] = 0  # directions in which no image has a component
    weights = vectors @ (shrunk[:, :, None] * inner)  # [penalties, M, classes]
    errors = torch.stack([(x @ weights - y).square().sum((1, 2)) for x, y in parts(held_out)]).sum(0)
    return ridges[int(errors.argmin())]


def _eigen(square: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of a positive semi-definite matrix; values within rounding error are set to 0."""
    values, vectors = torch.linalg.eigh(square)
    return values.where(values > len(values) * torch.finfo(values.dtype).eps * values[-1], 0), vectors
