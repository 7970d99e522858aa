"""A learner with one linear layer, for tests of fits and of the journal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cl.strategy import Strategy
from cl.training.batches import Batch, TensorBatches
from cl.training.checkpoint import Checkpoint
from cl.training.optim import sgd
from cl.training.trainer import Trainer
from tests.conftest import tiny_backbone

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


Y = (X[:, 0] > 0).long()


class Probe(Strategy):
    """A learner with one linear layer and a counter."""

    shift: Tensor

    def setup(self, info: Any = None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = nn.Sequential(nn.Dropout(0.3), nn.Linear(3, 2))
        self.spare = nn.Linear(2, 2)
        self.calls = 0

    def loss(self, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(self.layer(batch.x), batch.y)

    def train(self, phase: str = "a", epochs: int = 2, **more: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {"optimizer": sgd(0.1), "loss": self.loss, "params": self.layer.parameters()}
        return self.fit(phase, TensorBatches(X, Y, 8), epochs=epochs, **{**usual, **more})


def probe(folder: Path | None = None) -> Probe:
    learner = Probe(None, tiny_backbone(), Trainer(checkpoint=Checkpoint(folder, 0) if folder else None))
    learner.setup()
    learner.trainer.journal.begin(0)
    return learner


def weights(learner: Probe) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in learner.layer.parameters()])
