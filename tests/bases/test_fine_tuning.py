"""Fine-tuning: named draws, and what the local and the global softmax do to old rows of the head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.random import Seeds
from cl.strategies.finetune import Finetune
from cl.training import state
from tests.conftest import equal, make, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_one_seed_gives_one_result(learn: Learn, optimizer: str) -> None:
    one, two = (make(Finetune, **FAST, optimizer=optimizer) for _ in range(2))
    other = make(Finetune, **FAST, optimizer=optimizer, seeds=Seeds(data=7))
    for learner in (one, two, other):
        learn(learner, tiny_stream(), 2)
    assert equal(one, two) and not equal(one, other)


def test_old_head_rows_under_local_loss(learn: Learn) -> None:
    """Exactly zero data gradient, dense: bit-identical without weight decay, shrunk by (1 - lr wd) per step with it."""
    for decay in (0.0, 0.1):
        learner = make(Finetune, **FAST, weight_decay=decay, momentum=0.0)
        kept = learn(learner, tiny_stream(), 2, lambda s, v: state.clone(s.head.get_state()["weights"][0]))
        steps = 2 * 2  # two epochs of 24 images in batches of 16
        if decay:
            assert torch.allclose(kept[1], kept[0] * (1 - 0.05 * decay) ** steps, rtol=1e-5)
        else:
            assert torch.equal(kept[1], kept[0])


def test_local_and_global_loss_coincide_on_the_first_task_only(learn: Learn) -> None:
    local, both = make(Finetune, **FAST, loss="local"), make(Finetune, **FAST, loss="global")
    learn(local, tiny_stream(), 1)
    learn(both, tiny_stream(), 1)
    assert equal(local, both)
    local, both = make(Finetune, **FAST, loss="local"), make(Finetune, **FAST, loss="global")
    learn(local, tiny_stream(), 2)
    learn(both, tiny_stream(), 2)
    assert not equal(local, both)


def test_the_backbone_has_its_share_of_the_rate() -> None:
    learner = make(Finetune, **FAST, backbone_lr_scale=0.1)
    learner.setup(tiny_stream().info)
    backbone, head = learner._groups()
    assert backbone["lr"] == pytest.approx(0.005) and head["lr"] == 0.05
    assert {id(p) for p in backbone["params"]} == {id(p) for p in learner.backbone.model.parameters()}
    frozen = make(Finetune, **FAST, trains="head")
    frozen.setup(tiny_stream().info)
    assert [group["lr"] for group in frozen._groups()] == [0.05] and frozen.tuned() == {}


@pytest.mark.parametrize(("trains", "augment", "shape"), [("head", "none", (16, 16)), ("head", "flip", (16, 3, 8, 8))])
def test_a_frozen_backbone_trains_on_memoised_features_unless_images_are_augmented(
    trains: str, augment: str, shape: tuple[int, ...], learn: Learn
) -> None:
    learner, seen = make(Finetune, **{**FAST, "trains": trains, "augment": augment}), []
    objective = learner.objective

    def watched(batch: Any, classes: tuple[int, ...]) -> Any:
        seen.append(tuple(batch.x.shape))
        return objective(batch, classes)

    vars(learner)["objective"] = watched
    learn(learner, tiny_stream(), 1)
    assert seen[0] == shape


def test_a_fresh_norm_replaces_the_final_one() -> None:
    learner, plain = make(Finetune, **FAST, fresh_norm=True), make(Finetune, **FAST)
    for each in (learner, plain):
        with torch.no_grad():
            each.backbone.model.get_parameter("norm.weight").fill_(3)
        each.setup(tiny_stream().info)
    assert bool((learner.backbone.model.get_parameter("norm.weight") == 1).all())
    assert bool((plain.backbone.model.get_parameter("norm.weight") == 3).all())


def test_only_training_of_the_backbone_needs_batches_of_two_images() -> None:
    for trains, size in (("head", 0), ("all", 24)):
        assert Finetune.needs(Finetune.Options(trains=trains, batch_size=24)).batch_size == size
