"""Continual LayerNorm tuning: the arguments of each phase; the fits are recorded and do not run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.strategies.layernorm import LayerNormTuning
from cl.training import state
from cl.training.batches import TensorBatches
from tests.conftest import make, tiny_stream

RATES: dict[str, Any] = {
    **{"epochs": 2, "key_epochs": 3, "rectify_epochs": 4, "lr": 0.02, "rectify_lr": 0.03, "batch_size": 16},
}
Look = Callable[[LayerNormTuning, str, Any], Any]


def learned(look: Look, tasks: int, **options: Any) -> list[Any]:
    """What `look(learner, phase, spec)` returns at each fit; nothing is trained but what it changes."""
    learner, stream = make(LayerNormTuning, **{**RATES, "augment": "none", **options}), tiny_stream()
    found: list[Any] = []
    vars(learner.trainer)["fit"] = lambda strategy, phase, spec: found.append(look(learner, phase, spec))
    learner.info = stream.info
    learner.setup(stream.info)
    for task in range(tasks):
        learner.trainer.journal.begin(task)
        learner.learn(stream.view(task))
    return found


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize(
    ("stages", "new_key", "copies"),
    [("two", "auto", False), ("one", "auto", True), ("two", "copied", True), ("one", "fresh", False)],
)
def test_new_keys_are_those_of_the_task_before_or_the_drawn_ones(
    stages: str, new_key: str, copies: bool, attention: bool
) -> None:
    def look(learner: LayerNormTuning, phase: str, spec: Any) -> Any:
        rows = [torch.stack([row.detach() for row in keys.rows]) for keys in learner._keys]
        if phase == "norms":  # as training would
            for keys in learner._keys:
                keys.rows[learner.trainer.journal.task].data.add_(1.0)
        return (phase, state.clone(rows))

    found = [rows for phase, rows in learned(look, 3, stages=stages, new_key=new_key, attention=attention)
             if phase == "norms"]  # fmt: skip
    assert len(found) == 3 and len(found[0]) == (2 if attention and stages == "one" else 1)
    for drawn, second, third in zip(*found, strict=True):
        assert torch.equal(second[1], drawn[0] + 1 if copies else drawn[1])
        assert torch.equal(third[2], drawn[0] + 1 + 1 if copies else drawn[2])
        assert torch.equal(third[3:], drawn[3:])


@pytest.mark.parametrize("stages", ["two", "one"])
def test_every_phase_has_its_own_epochs_and_rate(stages: str) -> None:
    def look(learner: LayerNormTuning, phase: str, spec: Any) -> Any:
        return phase, spec.epochs, spec.optimizer.keywords["lr"], type(spec.data) is TensorBatches

    key = [("key", 3, 0.02, True)] if stages == "two" else []
    assert learned(look, 1, stages=stages) == [*key, ("norms", 2, 0.02, False), ("rectification", 4, 0.03, True)]
    key = [("key", 3, 0.02, False)] if stages == "two" else []
    augmented = learned(look, 1, stages=stages, augment="crop", key_augment="crop")
    assert augmented == [*key, ("norms", 2, 0.02, False), ("rectification", 4, 0.03, False)]


@pytest.mark.parametrize("stages", ["two", "one"])
def test_memoised_features_of_rectification_are_those_that_prediction_routes(stages: str) -> None:
    def look(learner: LayerNormTuning, phase: str, spec: Any) -> Any:
        if phase != "rectification":
            with torch.no_grad():
                learner.norms.weights[-1].mul_(2.0 + learner.trainer.journal.task)
                if phase == "key":  # that of an image of the next task, which goes to this task's norms then
                    later = tiny_stream().view(learner.trainer.journal.task + 1).train.pixels(slice(0, 1))
                    learner.keys.rows[learner.trainer.journal.task].copy_(
                        learner.backbone(learner.backbone.transform(later))
                    )
            return None
        pixels = tiny_stream().view(learner.trainer.journal.task).train.pixels(slice(None))
        with torch.no_grad():
            images = learner.backbone.transform(pixels)
            routed, told = (
                learner.features(images),
                learner.norms(learner.backbone, images, learner.trainer.journal.task),
            )
            assert torch.allclose(spec.data.x, routed, atol=1e-5)
        return not torch.allclose(routed, told, atol=1e-3)

    elsewhere = [found for found in learned(look, 3, stages=stages) if found is not None]
    assert elsewhere == [False, True, True], "the test must see images that go to another task's norms"


def test_one_stage_turns_the_keys_towards_the_queries() -> None:
    def look(learner: LayerNormTuning, phase: str, spec: Any) -> Any:
        if phase != "norms":
            return None
        row = learner.keys.rows[0].requires_grad_(True)
        batch = next(iter(spec.data.epoch(0, lambda *key: torch.Generator().manual_seed(0))))
        (uphill,) = torch.autograd.grad(learner.forced(batch.x, 0)[1], row)
        (step,) = torch.autograd.grad(spec.loss(batch), row)
        row.requires_grad_(False)
        return torch.allclose(step, -uphill, atol=1e-6) and bool(uphill.any())

    assert learned(look, 1, stages="one") == [True, None]


def test_the_defaults_are_those_of_the_configuration_for_cifar_100() -> None:
    o = LayerNormTuning.Options()
    assert (o.epochs, o.key_epochs, o.rectify_epochs, o.batch_size) == (5, 5, 5, 128)
    assert (o.lr, o.rectify_lr) == (0.0025, 0.001)  # 0.005 x 128 / 256; not scaled
