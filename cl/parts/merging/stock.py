"""Model Stock: how far to go from the pretrained weights towards the mean of several fine-tunings of one task."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.parts.merging.vectors import Weights, check_vectors, stacked


def stock_ratio(cosine: float | Tensor, count: int) -> Tensor:
    """t = k cos / (1 + (k - 1) cos) for k vectors of equal length with this cosine between any two; at least 0.

    Jang et al. 2024 (arXiv 2403.19522). A negative cosine would lead away from the mean.
    """
    cosine = torch.as_tensor(cosine)
    return (count * cosine / (1 + (count - 1) * cosine)).where(cosine > 0, 0)


def model_stock(vectors: Sequence[Weights]) -> dict[str, Tensor]:
    """The merged task vector of k fine-tunings of one task: t times their mean, with a ratio t for each tensor.

    The cosine is the mean over all pairs, in float32 or wider. A tensor that no fine-tuning changed stays unchanged.
    """
    if len(vectors) < 2:
        raise UsageError("Model Stock needs at least two fine-tunings of a task.")
    check_vectors(vectors)
    found = {}
    for name, values in stacked(vectors):
        wide = values.to(torch.promote_types(values.dtype, torch.float32))
        rows = wide.reshape(len(values), -1)
        tiny = torch.finfo(rows.dtype).tiny  # the default of 1e-8 lowers the cosine of shorter vectors
        pairs = [F.cosine_similarity(a, b, dim=0, eps=tiny) for a, b in itertools.combinations(rows, 2)]
        ratio = stock_ratio(torch.stack(pairs).mean(), len(vectors))
        found[name] = (ratio * wide.mean(0)).to(values.dtype)
    return found
