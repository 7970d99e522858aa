"""Class means as classifiers: prototypes, and the cosine head that trains features for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def class_means(features: Tensor, labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Mean feature of each class, float32 [len(classes), d], from features [N, d] with position labels [N].

    Accumulated in float64, so the result does not depend on batches.
    """
    wide, labels = features.double(), labels.to(features.device)
    return torch.stack([wide[labels == position].mean(0).float() for position in classes])


def add_to_means(
    means: Tensor, counts: Tensor, features: Tensor, labels: Tensor, classes: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Means [C, d] and counts [C] of the classes seen, updated with the features of `classes`.

    New classes are appended in order; a class that returns gets the mean of all its images.
    """
    new = class_means(features, labels, classes)
    number = torch.bincount(labels, minlength=max(classes) + 1)[list(classes)].to(counts.device)
    known = torch.tensor([position < len(means) for position in classes], device=means.device)
    old = torch.tensor(classes, device=means.device)[known]
    means, counts = torch.cat([means, new[~known]]), torch.cat([counts, number[~known]])
    if len(old):
        share = (number[known].double() / (counts[old] + number[known]))[:, None]
        means[old] = (means[old].double() * (1 - share) + new[known].double() * share).float()
        counts[old] += number[known]
    return means, counts


def cosines(features: Tensor, prototypes: Tensor) -> Tensor:
    """Cosine similarity [B, C] of features [B, d] to prototypes [C, d]."""
    return F.normalize(features) @ F.normalize(prototypes).T


def closeness(features: Tensor, prototypes: Tensor, distance: str) -> Tensor:
    """Scores [B, C]: the cosines (distance "cosine"), or the negative distances ("euclidean")."""
    if distance == "cosine":
        return cosines(features, prototypes)
    return -torch.cdist(features, prototypes, compute_mode="donot_use_mm_for_euclid_dist")


class CosineHead(nn.Module):
    """A trainable cosine classifier: scale * cos(f, w_c), without bias.

    Weights [classes, dim] are drawn from U(-1/sqrt(dim), 1/sqrt(dim)). The scale is trained too and starts at 1, as in
    the code of APER, RanPAC and EASE. Logits are in [-scale, scale], so training is slow until the scale has grown.
    """

    def __init__(self, dim: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(dim)
        drawn = torch.empty(classes, dim).uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(drawn, requires_grad=False)
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * cosines(features, self.weight)
