"""Counts, means and covariances of classes in float64, updated by blocks of images in any order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl.parts.statistics.symmetric import blocks, mirror_, packed, unpacked, wide

SCATTERS = ("none", "shared", "class")
"""Second moments: none; one scatter matrix around the class means, of all classes; or one per class."""


class ClassMoments:
    """Statistics of the classes seen so far; equal, up to rounding, to those of all images at once.

    `count` [C], `mean` [C, d], and the scatter sum_i (x_i - mean)(x_i - mean)^T around the class means: [d, d] over all
    classes ("shared") or [C, d, d] ("class"). An update with k images costs k d^2, however many came before. A class
    may return. Upper triangles of the scatter are saved.
    """

    stores = "statistics"

    def __init__(self, dim: int, scatter: str = "shared", device: torch.device | str = "cpu") -> None:
        where: dict[str, Any] = {"dtype": torch.float64, "device": wide(device)}
        self.kind = scatter
        self.count = torch.zeros(0, **where)
        self.mean = torch.zeros(0, dim, **where)
        self.scatter = torch.zeros(1 if scatter == "shared" else 0, dim, dim, **where)

    def __len__(self) -> int:
        return len(self.count)

    def grow_to(self, classes: int) -> None:
        """Have at least this many classes; new ones have count 0 and mean 0."""
        more = max(0, classes - len(self))
        self.count = torch.cat([self.count, self.count.new_zeros(more)])
        self.mean = torch.cat([self.mean, self.mean.new_zeros(more, self.mean.shape[1])])
        if self.kind == "class":
            self.scatter = torch.cat([self.scatter, self.scatter.new_zeros(more, *self.scatter.shape[1:])])

    def add(self, features: Tensor, labels: Tensor, classes: int) -> None:
        """Add features [N, d] with position labels [N]; `classes` is the number of classes so far."""
        self.grow_to(classes)
        for x, y in blocks(features.to(self.mean), labels.to(self.mean.device)):
            for position in y.unique().tolist():
                self._merge(position, x[y == position])

    def _merge(self, position: int, own: Tensor) -> None:
        """Add images of one class: the scatter grows by theirs and that of the two means (Chan et al. 1979)."""
        number, held = len(own), self.count[position]
        mean = own.mean(0)
        step = mean - self.mean[position]
        if self.kind != "none":
            rows = torch.cat([own - mean, (held * number / (held + number)).sqrt() * step[None]])
            mirror_(self.scatter[position if self.kind == "class" else 0].addmm_(rows.T, rows))
        self.mean[position] += step * (number / (held + number))
        self.count[position] += number

    def before(self, features: Tensor, labels: Tensor) -> Tensor:
        """The mean [N, d] of its class just before each image, were they added one by one; 0 for a class's first."""
        found = features.new_zeros(features.shape)
        for position in labels.unique().tolist():
            rows = labels == position
            own, held = features[rows], self.count[position]
            count = held + torch.arange(len(own), dtype=own.dtype, device=own.device)
            total = held * self.mean[position] + own.cumsum(0) - own
            found[rows] = total / count.clamp(min=1)[:, None]
        return found

    def pooled(self) -> Tensor:
        """The covariance [d, d] within classes: the shared scatter over the number of images (at least 1)."""
        return self.scatter[0] / self.count.sum().clamp(min=1)

    def covariance(self, position: int) -> Tensor:
        """The unbiased covariance [d, d] of a class; 0 for a class of one image."""
        return self.scatter[position] / (self.count[position] - 1).clamp(min=1)

    def get_state(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean, "scatter": [packed(square) for square in self.scatter]}

    def set_state(self, state: dict[str, Any]) -> None:
        device = self.mean.device
        self.count, self.mean = state["count"].to(device), state["mean"].to(device)
        squares = [unpacked(values.to(device)) for values in state["scatter"]]
        self.scatter = torch.stack(squares) if squares else self.scatter[:0]


def discriminants(means: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Weights Sigma^-1 M^T [d, C] and biases -1/2 diag(M Sigma^-1 M^T) [C]: the scores of linear discriminant analysis.

    Up to a term that all classes share, x W + b is -1/2 of the squared Mahalanobis distance to the means M [C, d].
    Sigma must be positive definite.
    """
    weights = torch.linalg.solve(covariance, means.T).contiguous()  # as a restored state
    return weights, -0.5 * (means.T * weights).sum(0)


def oas(centred: Tensor) -> Tensor:
    """The covariance [d, d] of centred rows [N, d] by oracle approximating shrinkage (Chen et al. 2010)."""
    number, dim = centred.shape
    found = centred.T @ centred / number
    alpha, mean = found.square().mean(), found.diagonal().mean()
    excess = (number + 1) * (alpha - mean.square() / dim)
    share = ((alpha + mean.square()) / excess).clamp(max=1) if excess > 0 else torch.ones_like(alpha)
    return mirror_((1 - share) * found + share * mean * torch.eye(dim, dtype=found.dtype, device=found.device))
