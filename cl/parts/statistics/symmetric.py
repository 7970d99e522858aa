"""Symmetric matrices in float64: stored as triangles, and covariances conditioned on images by rank-k steps."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 256
"""Images per rank-k step: more save little time and take more memory."""


def wide(device: torch.device | str) -> torch.device:
    """The device for float64 sums: `device`, or the CPU for one without float64."""
    device = torch.device(device)
    return torch.device("cpu") if device.type == "mps" else device


def packed(square: Tensor) -> Tensor:
    """The upper triangle [d (d + 1) / 2] of a symmetric matrix [d, d], row by row."""
    return torch.cat([row[number:] for number, row in enumerate(square)])


def unpacked(values: Tensor) -> Tensor:
    """The symmetric matrix [d, d] with this upper triangle."""
    dim = int((2 * len(values)) ** 0.5)
    square = values.new_zeros(dim, dim)
    for number, row in enumerate(values.split(list(range(dim, 0, -1)))):
        square[number, number:] = row
    return mirror_(square)


def mirror_(square: Tensor, tile: int = 1024) -> Tensor:
    """Copy the upper triangle to the lower one, in place: a product need not be exactly symmetric."""
    for start in range(0, len(square), tile):
        own = slice(start, start + tile)
        square[own, own] = square[own, own].triu() + square[own, own].triu(1).T
        square[start + tile :, own] = square[own, start + tile :].T
    return square


def blocks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The rows of tensors of equal length, `ROWS` at a time."""
    yield from zip(*(tensor.split(ROWS) for tensor in tensors), strict=True)


def condition_(covariance: Tensor, x: Tensor, noise: Tensor) -> Tensor:
    """Condition a covariance P [d, d] on k linear measurements x theta + noise, in place; returns the gain [k, d].

    P <- (P^-1 + x^T R^-1 x)^-1 with R = diag(noise), by the identity of Woodbury: P <- P - P x^T S^-1 x P with
    S = x P x^T + R. The gain is S^-1 x P: theta <- theta + gain^T (y - x theta). It takes 2 k d^2 multiplications for
    k images, however many came before. P stays exactly symmetric.
    """
    projected = x @ covariance
    factor = torch.linalg.cholesky(projected @ x.T + torch.diag(noise))
    half = torch.linalg.solve_triangular(factor, projected, upper=False)
    covariance.addmm_(half.T, half, alpha=-1)
    mirror_(covariance)
    return torch.linalg.solve_triangular(factor.T, half, upper=True)
