"""Calibration of a learner on the training images that its run held out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cl.protocol import TASK, belongs
from cl.random import numpy_generator
from cl.running.calibration import Calibration, of_scores
from cl.running.learner import Learner
from cl.stream import Stream

MOST = 5000
"""Held-out images that are used at most; one number is estimated from them."""

FEW = 20
"""Held-out images from which it is not estimated."""

HOLD_OUT = "run with --set stream.val_fraction=0.1 --save-learner to hold some out"


def calibrate(learner: Learner, stream: Stream) -> Calibration:
    """Choose the temperature of a learner on the validation images of the tasks that it learned.

    They are training images that the protocol holds out (`stream.val_fraction`, or a dataset's own); no test image is
    read. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    rows = _held_out(learner, stream)
    total = sum(len(own) for _, own in rows)
    if not total:
        return Calibration(why=f"the run held no training images out; {HOLD_OUT}")
    if total < FEW:
        return Calibration(images=total, why=f"the run held only {total} training images out; hold out more")
    parts = list(_scored(learner, stream, rows))
    width = max(scores.shape[1] for scores, _ in parts)
    every = [torch.nn.functional.pad(scores, (0, width - scores.shape[1]), value=-torch.inf) for scores, _ in parts]
    return of_scores(torch.cat(every).numpy(), np.concatenate([labels for _, labels in parts]))


def _held_out(learner: Learner, stream: Stream) -> list[tuple[int, NDArray[np.int64]]]:
    """Task, and rows of validation images in the training store, of tasks whose images have one class each."""
    learned = learner.tasks_learned
    found = [(task, each.val) for task, each in enumerate(stream.experiences[:learned]) if each.tags is None]
    total = sum(len(rows) for _, rows in found)
    if total <= MOST:
        return [(task, rows) for task, rows in found if len(rows)]
    kept = numpy_generator(0, "calibration images").permutation(total) < MOST
    bounds = np.cumsum([len(rows) for _, rows in found])[:-1]
    chosen = [rows[mask] for (_, rows), mask in zip(found, np.split(kept, bounds), strict=True)]
    return [(task, rows) for (task, _), rows in zip(found, chosen, strict=True) if len(rows)]


def _scored(
    learner: Learner, stream: Stream, held_out: list[tuple[int, NDArray[np.int64]]]
) -> Iterator[tuple[Tensor, NDArray[np.int64]]]:
    """Scores float64 [B, K] that the rule may choose from, and the labels of the images."""
    store, told = stream.dataset.train, belongs(TASK, stream.setting)
    for task, rows in held_out:
        for start in range(0, len(rows), learner.batch):
            chosen = rows[start : start + learner.batch]
            pixels = torch.from_numpy(np.ascontiguousarray(np.asarray(store.pixels[chosen]).transpose(0, 3, 1, 2)))
            classes = stream.experiences[task].classes if told else None
            yield learner.choices(pixels, task if told else None, classes), stream.positions[store.labels[chosen]]
