"""OWM and OGD against beijixiong3510/OWM @a5c59d7 and MehdiAbbanaBennani/continual-learning-ogdplus @b633f2c.

Whole trainings of a linear layer on three tasks with the same classes.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.bases.projected import Projected
from cl.strategies.ogd import OGD
from cl.strategies.owm import OWM
from cl.testing import tiny_backbone
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.oracles import Features, Oracle

OWM_A, OGD_A = Oracle("owm-a"), Oracle("ogd-a")


def train(method: type[Projected], oracle: Oracle, after: Any, **options: Any) -> None:
    """Train the head on the batches of each task of the file, and call `after(learner, task)`."""
    dim, epochs = oracle.arrays["features/0"].shape[1], oracle.meta["epochs"]
    chosen = method.Options(epochs=epochs, lr=oracle.meta["lr"], batch_size=6, **options)
    learner: Any = method(chosen, tiny_backbone(dim=dim), Trainer())
    learner.info = tiny_stream().info
    learner.setup(learner.info)
    for task in range(oracle.meta["tasks"]):
        x, y, rows = (oracle.tensor(f"{kind}/{task}") for kind in ("features", "labels", "batches"))
        learner._data = lambda images, x=x, y=y, rows=rows: Features(x[rows], y[rows], epochs)
        learner.trainer.journal.begin(task)
        learner._train([], tuple(range(4)), 4)
        after(learner, task)


def test_owm_has_the_projector_and_the_weights_of_the_code() -> None:
    def after(learner: OWM, task: int) -> None:
        OWM_A.compare("training", learner.projector, OWM_A.tensor(f"projector/{task}"))
        OWM_A.compare("training", learner.head.blocks[0].weight, OWM_A.tensor(f"weights/{task}"))

    meta = OWM_A.meta
    train(OWM, OWM_A, after, update="step", clip=meta["clip"], momentum=meta["momentum"])


def test_ogd_has_the_directions_and_the_weights_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def after(learner: OGD, task: int) -> None:
        x, y, stored = (OGD_A.tensor(f"{kind}/{task}") for kind in ("features", "labels", "stored"))
        OGD_A.compare("training", learner.head.blocks[0].weight, OGD_A.tensor(f"weights/{task}"))
        for position in range(4):
            learner.directions.add(position, x[stored][y[stored] == position])
        theirs = OGD_A.tensor(f"basis/{task}").double()  # columns of the flattened weights
        whole = torch.randn(4, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        expected = whole.flatten() - theirs @ (theirs.T @ whole.flatten())
        OGD_A.compare("training", learner.directions.outside(whole).flatten(), expected)

    train(OGD, OGD_A, after)
