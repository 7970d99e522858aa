"""A step of a fit does not make the host wait for an accelerator."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cl import registry
from cl.strategies.finetune import Finetune
from cl.testing.workbench import Workbench
from cl.training import fit
from cl.training.batches import Batch, TensorBatches
from cl.training.fit import fused
from cl.training.optim import adam, adamw, sgd
from tests.conftest import make, tiny_stream
from tests.help.probe import Probe, probe, weights
from tests.help.suited import NETWORK, STREAM
from tests.help.syncs import Waits, watched_steps

FEW = ("ewc", "pred-kd", "replay", "slca-pp")


def found_in(name: str, monkeypatch: pytest.MonkeyPatch) -> Waits:
    options = dict(STREAM.get(name, {}))
    if "batch_size" in registry.strategies.get(name).Options.__dataclass_fields__:
        options["batch_size"] = 8
    with watched_steps(monkeypatch) as watch:
        bench = Workbench(name, options=options, backbone=NETWORK.get(name))
        assert bench.reference.record["status"] == "complete"
    return watch


@pytest.mark.parametrize("name", FEW)
def test_no_step_of_a_method_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = found_in(name, monkeypatch)
    assert watch.steps > 1 and not watch.found


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in registry.strategies if name not in FEW])
def test_no_step_of_any_method_waits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not found_in(name, monkeypatch).found


def reads_a_number(logits: Tensor) -> Tensor:
    return logits * float(logits.detach().sum())


def keeps_some(logits: Tensor) -> Tensor:
    return logits[logits.detach() > 0]


def copies_a_list(logits: Tensor) -> Tensor:
    return logits[:, [0, 1]]


def lists(logits: Tensor) -> Tensor:
    return logits * logits.tolist()[0][0]


@pytest.mark.parametrize("waits", [reads_a_number, keeps_some, copies_a_list, lists])
def test_a_loss_that_waits_is_found(waits: object, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = probe()
    assert callable(waits)
    with watched_steps(monkeypatch) as watch:
        learner.train(epochs=1, loss=lambda batch: waits(learner.layer(batch.x)).tanh().square().sum())
    assert watch.steps == 2 and any("test_fit_waits.py" in each for each in watch.found)


def test_an_accelerator_is_read_every_twenty_steps_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    check = fit.Fit._check_finite

    def noted(self: fit.Fit, loss: float, when: fit.When) -> None:
        read.append(when.step)
        check(self, loss, when)

    monkeypatch.setattr(fit.Fit, "_check_finite", noted)
    monkeypatch.setattr(fit, "SYNC_EVERY", 2)
    with watched_steps(monkeypatch):
        probe().train(epochs=1)
    assert read == [0, 2, 4]  # of the steps 0 to 4


@pytest.mark.parametrize("kind", [sgd, adam, adamw])
def test_a_fused_optimiser_is_noticed_by_the_backbone_and_repeats(
    kind: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(kind)
    learner = make(Finetune)
    before = learner.backbone.key
    learner.info = (stream := tiny_stream()).info
    learner.setup(stream.info)
    learner.trainer.journal.begin(0)
    parameters = list(learner.backbone.parameters())
    x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = TensorBatches(x, torch.zeros(8, dtype=torch.long), 4)
    learner.fit(
        "a", images, lambda batch: learner.backbone(batch.x).square().mean(), parameters, epochs=1,
        optimizer=fused(kind(0.1)),
    )  # fmt: skip
    assert not learner.backbone.is_pristine and learner.backbone.key != before
    assert len(learner.backbone.get_state()) == len(parameters)


def test_a_killed_fit_with_a_fused_optimiser_repeats_the_whole_one(tmp_path: Path) -> None:
    whole = probe()
    whole.train(optimizer=fused(adam(0.1)))

    def attempt(last: int) -> Probe:
        learner, steps = probe(tmp_path), itertools.count()

        def loss(batch: Batch) -> Tensor:
            if next(steps) == last:
                raise KeyboardInterrupt
            return learner.loss(batch)

        learner.train(loss=loss, optimizer=fused(adam(0.1)))
        return learner

    for last in (3, 4):
        with pytest.raises(KeyboardInterrupt):
            attempt(last)
    assert torch.equal(weights(attempt(5)), weights(whole)), "10 steps: 3, 4 and the 3 that were left"


def test_other_optimisers_are_left_as_they_are() -> None:
    own = torch.optim.SGD
    assert fused(own) is own
    group = fused(sgd(0.1, 0.8, 0.01))([torch.nn.Parameter(torch.ones(1))]).param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.8, 0.01)
    assert group["fused"] and not group["foreach"]
