"""The area under the ROC curve: how often a score tells two kinds of images apart."""

from __future__ import annotations

import torch
from torch import Tensor


def auroc(positive: Tensor, negative: Tensor) -> float:
    """The share of pairs in which the score of the `positive` [P] is higher than that of the `negative` [N].

    A tie counts one half. Equal to the area under the ROC curve (Mann and Whitney's U over P N).
    """
    low = negative.sort().values
    below = torch.searchsorted(low, positive, right=False) + torch.searchsorted(low, positive, right=True)
    return float(below.cpu().double().mean()) / (2 * len(negative))
