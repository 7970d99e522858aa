"""What a run keeps of its scores with --save-scores: enough for top-5 accuracy, calibration error and likelihood."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cl.records.predictions import ABSENT

Kept = dict[str, dict[str, np.ndarray]]
"""kind (see `cl.records.predictions.SCORES`) -> rule -> values of the images of a row."""


def kept(choices: Tensor, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Rank of each image's class [B], log-probability of the answer and of the class; see `cl.records.predictions`.

    `choices` [B, classes] are the scores that a rule may choose from, -inf for those that it may not. A class without a
    score has the rank `ABSENT` and the log-probability -inf; without any class to choose from all are unknown.
    """
    images, width = choices.shape
    if width == 0:
        nothing = np.full(images, np.nan, np.float32)
        return {"rank": np.full(images, ABSENT, np.int64), "confidence": nothing, "likelihood": nothing.copy()}
    scores, label = choices.double(), torch.from_numpy(labels).to(choices.device)
    log_probability = scores.log_softmax(1)
    column = label.clamp(max=width - 1)[:, None]
    own = scores.gather(1, column)
    allowed = (label < width) & own[:, 0].isfinite()
    before = torch.arange(width, device=choices.device)[None] < column  # among equal scores the first class counts
    rank = ((scores > own) | ((scores == own) & before)).sum(1)
    likelihood = log_probability.gather(1, column)[:, 0]
    found = {
        "rank": rank.where(allowed, torch.full_like(rank, ABSENT)),
        "confidence": log_probability.amax(1),
        "likelihood": likelihood.where(allowed, torch.full_like(likelihood, -torch.inf)),
    }
    return {kind: values.cpu().numpy() for kind, values in found.items()}


def put(row: Kept, rule: str, places: np.ndarray, images: int, found: dict[str, np.ndarray]) -> None:
    """Write values of some images of a row of `images` images."""
    for kind, values in found.items():
        table = row.setdefault(kind, {})
        if rule not in table:
            table[rule] = np.full(images, ABSENT, np.int64) if kind == "rank" else np.full(images, np.nan, np.float32)
        table[rule][places] = values
