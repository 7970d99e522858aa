"""Running averages of batch norms after a fit: measured without dropout, like the features of test images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.errors import UsageError
from cl.parts.statistics.batch_norms import batch_statistics
from cl.strategy import Strategy
from cl.training.batches import Batch, TensorBatches
from cl.training.checkpoint import Checkpoint
from cl.training.fit import NORM_BATCHES
from cl.training.optim import sgd
from cl.training.trainer import Trainer
from tests.conftest import tiny_backbone
from tests.help.backbones import conv_backbone

X = torch.randn(48, 6, generator=torch.Generator().manual_seed(0)) + 1
Y = (X[:, 0] > 1).long()


class Probe(Strategy):
    """A perceptron with dropout (0.5, or none) before a batch norm."""

    def setup(self, info: Any = None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
        self.calls, self._stop = 0, -1

    def loss(self, batch: Batch) -> Tensor:
        if self.calls == self._stop:
            raise KeyboardInterrupt
        self.calls += 1
        return nn.functional.cross_entropy(self.layer(batch.x), batch.y)

    @property
    def norm(self) -> Any:
        return self.layer[2]

    def train(self, epochs: int = 3, size: int = 12, **more: Any) -> None:
        batches = TensorBatches(X, Y, size)
        self.fit("a", batches, self.loss, self.layer.parameters(), epochs=epochs, optimizer=sgd(0.1), **more)


def probe(p: float = 0.5, folder: Path | None = None) -> Probe:
    learner = Probe(None, tiny_backbone(), Trainer(checkpoint=Checkpoint(folder, every=0) if folder else None))
    learner.setup()
    dropout: Any = learner.layer[0]
    dropout.p = p
    learner.trainer.journal.begin(0)
    return learner


def without_dropout(learner: Probe) -> tuple[Tensor, Tensor]:
    """Mean and variance of the inputs of the norm on the training images."""
    linear: Any = learner.layer[1]
    with torch.no_grad():
        x = linear(X)
    return x.mean(0), x.var(0)


def test_averages_are_measured_on_the_images_without_dropout() -> None:
    learner = probe()
    learner.train(size=48)
    mean, variance = without_dropout(learner)
    torch.testing.assert_close(learner.norm.running_mean, mean)
    torch.testing.assert_close(learner.norm.running_var, variance)
    assert learner.norm.momentum == 0.1 and int(learner.norm.num_batches_tracked) == 3
    assert learner.calls == 4, "one more pass, after the last epoch"


def test_averages_are_means_over_batches() -> None:
    learner = probe()
    learner.train(size=12)
    torch.testing.assert_close(learner.norm.running_mean, without_dropout(learner)[0])
    assert learner.calls == 3 * 4 + 4


def test_the_number_of_batches_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cl.training.fit.NORM_BATCHES", 2)
    assert NORM_BATCHES > 2
    learner = probe()
    learner.train(epochs=1, size=12)
    assert learner.calls == 4 + 2


def test_networks_without_dropout_keep_the_averages_of_training() -> None:
    learner = probe(0.0)
    learner.train()
    assert learner.calls == 12
    assert not torch.allclose(learner.norm.running_mean, without_dropout(learner)[0], atol=1e-3)


def test_a_validation_sees_averages_without_dropout_and_the_best_state_keeps_them() -> None:
    learner, seen = probe(), []

    def validate() -> float:
        torch.testing.assert_close(learner.norm.running_mean, without_dropout(learner)[0])
        seen.append(learner.norm.running_mean.clone())
        return float(-len(seen))  # the first is the best

    learner.train(validate=validate, select="best")
    assert len(seen) == 3 and torch.equal(learner.norm.running_mean, seen[0])
    torch.testing.assert_close(learner.norm.running_mean, without_dropout(learner)[0])


def test_averages_that_a_fit_does_not_change_stay() -> None:
    """WSN normalises by batches. Another call of its loss would choose other masks."""
    backbone = conv_backbone()
    learner = Probe(None, backbone, Trainer())
    learner.setup()
    learner.trainer.journal.begin(0)
    head = nn.Linear(backbone.dim, 2)
    learner.layer.append(head)
    before = [buffer.clone() for buffer in backbone.model.buffers()]
    calls = []

    def loss(batch: Batch) -> Tensor:
        calls.append(1)
        return nn.functional.cross_entropy(head(backbone(batch.x)), batch.y)

    images = TensorBatches(torch.rand(12, 3, 8, 8), torch.arange(12) % 2, 6)
    with batch_statistics(backbone):
        weights = [*backbone.parameters(), *head.parameters()]
        learner.fit("a", images, loss, weights, epochs=2, optimizer=sgd(0.1))
    assert len(calls) == 4
    assert all(torch.equal(one, two) for one, two in zip(before, backbone.model.buffers(), strict=True))
    learner.fit("b", images, loss, weights, epochs=2, optimizer=sgd(0.1))
    assert len(calls) == 4 + 6, "the second fit changed them"


def test_the_extra_passes_are_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, free = probe(), probe()
    learner.train(epochs=1)
    monkeypatch.setattr("cl.training.fit.NORM_BATCHES", 0)
    free.train(epochs=1)
    forward = 2 * 48 * (6 * 8 + 8 * 2)
    assert learner.trainer.cost.flops["executed"] - free.trainer.cost.flops["executed"] == forward


def test_a_fit_resumed_anywhere_gives_the_same_averages(tmp_path: Path) -> None:
    def score() -> float:
        return 0.0

    whole = probe()
    whole.train(validate=score)
    assert whole.calls == 24
    for stop in range(1, 24):
        learner = probe(folder=tmp_path / str(stop))
        learner._stop = stop
        with pytest.raises(KeyboardInterrupt):
            learner.train(validate=score)
        again = probe(folder=tmp_path / str(stop))
        again.train(validate=score)
        assert torch.equal(whole.norm.running_mean, again.norm.running_mean), stop
        assert torch.equal(whole.norm.running_var, again.norm.running_var)
        assert torch.equal(whole.norm.weight, again.norm.weight)


@pytest.mark.parametrize(("size", "expected"), [(47, [48]), (24, [24, 24]), (1, None)])
def test_a_batch_of_one_joins_the_batch_before_if_batch_norms_train(size: int, expected: list[int] | None) -> None:
    learner, seen = probe(p=0.0), []

    def loss(batch: Batch) -> Tensor:
        seen.append(len(batch))
        return learner.loss(batch)

    def train(params: Any) -> Any:
        return learner.fit("a", TensorBatches(X, Y, size), loss, params, epochs=1, optimizer=sgd(0.1))

    if expected is None:
        with pytest.raises(UsageError, match=r"fit 'a' of task 0 trains batch norms on one image.*two or more images"):
            train(learner.layer.parameters())
        return
    train(learner.layer.parameters())
    assert seen == expected


def test_batches_stay_as_they_are_if_no_batch_norm_trains() -> None:
    learner: Any = probe(p=0.0)
    learner.free, seen = nn.Linear(6, 2), []

    def loss(batch: Batch) -> Tensor:
        seen.append(len(batch))
        return nn.functional.cross_entropy(learner.free(batch.x), batch.y)

    learner.fit("a", TensorBatches(X, Y, 47), loss, learner.free.parameters(), epochs=1, optimizer=sgd(0.1))
    assert seen == [47, 1]


def test_a_killed_fit_with_a_merged_batch_resumes_to_the_same_result(tmp_path: Path) -> None:
    whole, killed = probe(), probe(folder=tmp_path)
    whole.train(size=47)
    killed._stop = 2
    with pytest.raises(KeyboardInterrupt):
        killed.train(size=47)
    again = probe(folder=tmp_path)
    again.train(size=47)
    assert again.calls < whole.calls + 1 and torch.equal(again.norm.running_mean, whole.norm.running_mean)
    assert all(torch.equal(a, b) for a, b in zip(again.layer.parameters(), whole.layer.parameters(), strict=True))
