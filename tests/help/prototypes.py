"""What the tests of prototype classifiers share."""

from __future__ import annotations

import numpy as np
import torch

from cl.strategy import Inputs
from cl.stream import Stream


def pixels(stream: Stream, split: str = "test", tasks: int = 5) -> tuple[Inputs, np.ndarray]:
    """Images of the first tasks and their positions."""
    if split == "test":
        rows, labels, _ = stream.test_rows(range(tasks))
        chosen = stream.dataset.test.pixels[rows]
    else:
        views = [stream.view(task).train for task in range(tasks)]
        chosen = np.concatenate([view.store.pixels[view.rows] for view in views])
        labels = np.concatenate([view.labels.numpy() for view in views])
    return Inputs(torch.from_numpy(chosen).permute(0, 3, 1, 2)), np.asarray(labels)


def closed_form(merged: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Cosines to class means in float64."""
    means = np.stack([merged[labels == c].mean(0) for c in range(labels.max() + 1)])
    asked, means = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (asked, means))
    return np.asarray(asked @ means.T)
