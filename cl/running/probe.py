"""The probe of a run: what a network still knows of its pretraining, by linear classifiers on features of other images.

A probe is measured with the backbone before the first task, and with the network that predictions are made from after
tasks. It draws nothing, and neither its features nor its classifiers count as cost of the method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.data.store import Dataset, ImageStore, IndexArray
from cl.errors import ContractError, DataError, UsageError
from cl.parts.heads import class_means, cosines
from cl.running.run_state import RunState
from cl.settings.dealing import limited
from cl.strategy import Extractor, Strategy
from cl.stream import Stream
from cl.training.trainer import Trainer

RIDGE = 0.01
"""Penalty of the ridge regression, as a multiple of the number of training images."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A labelled dataset, and the rows of its training and test images that are used.

    `last_only`: measured before the first task and after the last one, else after every evaluated task.
    """

    name: str
    dataset: Dataset
    train: IndexArray
    test: IndexArray
    last_only: bool = False

    @classmethod
    def of(cls, name: str, dataset: Dataset, limit: float | None = None, *, last_only: bool = False) -> Probe:
        """The probe on a dataset; `limit`: images per class, or a share of them, as for `--limit`.

        Raises `DataError` for a dataset without training or test images, or with training images of one class only.
        """
        for what, store in (("training", dataset.train), ("test", dataset.test)):
            if not len(store):
                raise DataError(f"The dataset {name} has no {what} images, which --probe needs; name another one.")
        if len(np.unique(dataset.train.labels)) < 2:
            raise DataError(f"The dataset {name} has one class, but --probe needs two or more; name another one.")
        return cls(name, dataset, _first(dataset.train, limit), _first(dataset.test, limit), last_only)

    def check(self, stream: Stream) -> None:
        """Raise `UsageError` if the images of the probe are those of the stream, which a run learns or is tested on."""
        if set(self.dataset.fingerprints.values()) & set(stream.dataset.fingerprints.values()):
            raise UsageError(
                f"--probe {self.name} has the images of the stream {stream.name}, but it must have images "
                "that the run neither learns nor is tested on; name another dataset."
            )

    def about(self) -> dict[str, Any]:
        """The part of a record that is known before a measurement."""
        return {
            "dataset": self.name,
            "fingerprints": self.dataset.fingerprints,
            "train": len(self.train),
            "test": len(self.test),
            "classes": len(self.dataset.class_names),
        }

    def begin(self, strategy: Strategy, state: RunState, trainer: Trainer) -> None:
        """Measure the backbone as it is after the setup; a run that resumes has this measurement already."""
        trainer.encodings.expect_rows(self.dataset.train, self.train)
        trainer.encodings.expect_rows(self.dataset.test, self.test)
        if not state.probe:
            found = self.measured(strategy.backbone, strategy, trainer)
            state.probe.append({"event": None, "task": None, **found})

    def follow(self, strategy: Strategy, state: RunState, trainer: Trainer) -> None:
        """Measure the network after the last evaluation, unless no task was learned since the last measurement."""
        if state.rows and state.rows[-1]["task"] != state.probe[-1]["task"]:
            place = {key: state.rows[-1][key] for key in ("event", "task")}
            state.probe.append({**place, **self.measured(strategy.extractor(), strategy, trainer)})

    def measured(self, extractor: Extractor, strategy: Strategy, trainer: Trainer) -> dict[str, int]:
        """Right answers among the test images, by classifier."""
        strategy.backbone.eval()  # as after any fit
        trainer.observer.phase(f"probe {self.name}", 0)
        with trainer.cost.timed("probe"), torch.no_grad():
            with trainer.encodings.aside():
                train, test = (
                    trainer.encodings.get(extractor, store, rows, trainer.device, charge=False).cpu().double()
                    for store, rows in ((self.dataset.train, self.train), (self.dataset.test, self.test))
                )
            if not (train.isfinite().all() and test.isfinite().all()):
                raise ContractError(
                    f"The features of {type(strategy).__name__} for the probe {self.name} are not finite; the model "
                    "diverged, lower the learning rate."
                )
            labels, wanted = (
                torch.from_numpy(store.labels[rows])
                for store, rows in ((self.dataset.train, self.train), (self.dataset.test, self.test))
            )
            classes = len(self.dataset.class_names)
            answers = {"ridge": ridge(train, labels, test, classes), "nearest_mean": nearest_mean(train, labels, test)}
        trainer.observer.end_phase()
        return {name: int((answer == wanted).sum()) for name, answer in answers.items()}


def ridge(train: Tensor, labels: Tensor, test: Tensor, classes: int) -> Tensor:
    """Answers [M] of a ridge regression on one-hot labels, for features [N, d] and [M, d] in float64.

    Features are standardised by their mean and deviation over the training images, so the penalty does not depend on
    their scale: W = (Z^T Z + `RIDGE` N I)^-1 Z^T (Y - mean Y), scores Z_test W + mean Y.
    """
    mean, deviation = train.mean(0), train.std(0, correction=0)
    deviation = torch.where(deviation > 1e-9 * mean.abs(), deviation, 1.0)  # a constant feature stays 0
    known, targets = (train - mean) / deviation, F.one_hot(labels, classes).double()
    gram = known.T @ known
    gram.diagonal().add_(RIDGE * len(known))
    weights = torch.cholesky_solve(known.T @ (targets - targets.mean(0)), torch.linalg.cholesky(gram))
    return ((test - mean) / deviation @ weights + targets.mean(0)).argmax(1)


def nearest_mean(train: Tensor, labels: Tensor, test: Tensor) -> Tensor:
    """Answers [M]: the class whose mean feature is nearest by cosine."""
    known = labels.unique()
    return known[cosines(test, class_means(train, labels, known.tolist()).double()).argmax(1)]


def _first(store: ImageStore, limit: float | None) -> IndexArray:
    """The rows of the first images of every class; canonical order has mixed the images of a class."""
    starts = np.flatnonzero(np.r_[True, store.labels[1:] != store.labels[:-1]])
    sizes = np.diff(np.r_[starts, len(store)])
    parts = (np.arange(start, start + limited(int(size), limit)) for start, size in zip(starts, sizes, strict=True))
    return np.concatenate([np.empty(0, np.int64), *parts])
