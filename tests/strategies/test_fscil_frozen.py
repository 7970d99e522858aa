"""Frozen class means: what the first task trains, and that nothing moves afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone
from cl.parts.heads import class_means
from cl.plan.plan import make_plan
from cl.strategies.fscil_frozen import FSCILFrozen
from cl.testing import tiny_backbone
from cl.training.batches import Batch
from tests.conftest import run
from tests.help.frozen_means import cosine, features, few_shot, learner, tensors, tiny_resnet
from tests.help.plain_loops import Tensors, close, descend

Learn = Callable[..., list[Any]]
BACKBONES: dict[str, Callable[[], Backbone]] = {"vit": tiny_backbone, "resnet": tiny_resnet}


@pytest.mark.parametrize("kind", BACKBONES)
def test_later_tasks_leave_the_network_as_it_is_and_add_means(kind: str, learn: Learn) -> None:
    def after(strategy: Any, view: Any) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        with torch.no_grad():
            found = strategy.backbone(strategy.backbone.transform(view.train.pixels(slice(None))))
        return tensors(strategy), strategy.prototypes.clone(), class_means(found, view.train.labels, view.classes)

    strategy = learner(FSCILFrozen, BACKBONES[kind]())
    seen = learn(strategy, few_shot(), 3, after)
    for network, prototypes, own in seen:
        assert all(torch.equal(network[name], tensor) for name, tensor in seen[0][0].items())
        torch.testing.assert_close(prototypes[-len(own) :], own, rtol=1e-4, atol=1e-5)
        assert torch.equal(strategy.prototypes[: len(prototypes)], prototypes), "earlier means stay"
    assert len(strategy.prototypes) == 10 and strategy.head is None
    assert set(strategy.trainer.batches) == {(0, "network")}
    assert strategy.stored()["statistics"] == 10 * 16 * 4, "a mean per class"


def test_the_first_task_is_the_plain_loop(learn: Learn) -> None:
    """v <- 0.8 v + g, w <- w - lr (g + 0.8 v) on the cross-entropy of 4 cosines; lr is 0.3 of it from epoch 2."""
    strategy = learner(FSCILFrozen)
    learn(strategy, few_shot(), 1)
    key, model = (0, "network"), tiny_backbone().model
    batches = strategy.trainer.batches[key]
    assert [len(batch) for batch in batches] == [18] * 12

    def loss(held: Tensors, batch: Batch) -> Tensor:
        return F.cross_entropy(4 * cosine(features(model, held, batch.x), held["head.weight"]), batch.y)

    start = strategy.trainer.before[key]
    fixed = {"head.scale": start.pop("head.scale")}
    plain = descend(
        start, batches, loss, lambda step: 0.01 * (1.0 if step < 8 else 0.3),
        momentum=0.8, decay=lambda name: 0.02, nesterov=True,
    )  # fmt: skip
    close(strategy.trainer.after[key], plain | fixed)
    assert float(fixed["head.scale"]) == 1.0


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_nesterov_needs_a_momentum(momentum: float, learn: Learn) -> None:
    strategy = learner(FSCILFrozen, epochs=1, momentum=momentum)
    learn(strategy, few_shot(), 1)
    built = strategy.trainer.specs[0, "network"].optimizer([torch.nn.Parameter(torch.zeros(1))])
    assert built.param_groups[0]["nesterov"] is (momentum > 0)


def test_cosine_or_euclidean_distance_predicts(learn: Learn) -> None:
    strategy, stream = learner(FSCILFrozen, epochs=1), few_shot()
    learn(strategy, stream, 2)
    pixels = stream.view(1).train.pixels(slice(None))
    with torch.no_grad():
        found = strategy.backbone(strategy.backbone.transform(pixels))
    scores = strategy.predict_images(pixels)
    torch.testing.assert_close(scores, cosine(found, strategy.prototypes), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(strategy.predict_images(pixels[:1]), scores[:1])
    strategy.options = FSCILFrozen.Options(distance="euclidean")
    apart = -(found[:, None] - strategy.prototypes).norm(dim=2)
    torch.testing.assert_close(strategy.predict_images(pixels), apart, rtol=1e-4, atol=1e-4)


def test_it_learns_digits_and_answers_for_novel_classes(tmp_path: Path) -> None:
    options = {"epochs": 3, "lr": 0.02, "scale": 16.0, "augment": "none", "milestones": ()}
    result = run(learner(FSCILFrozen, tiny_resnet(), **options), few_shot(), tmp_path)["result"]
    correct = result["accuracy"]["cil_seen"]["correct"]
    assert correct[0][0] > 4, "a sixth of 12 would be chance"
    assert result["count"] == [12, 4, 4] and None not in correct[2] and correct[0][1] is None


def test_presets_apply_to_few_shot_runs() -> None:
    small = make_plan("fscil-frozen", "split-cifar100", few_shot=True)
    assert (small.options.epochs, small.options.batch_size) == (1, 16)
    published = make_plan("fscil-frozen", "split-cifar100", "resnet18_32@random", few_shot=True)
    assert published.options == FSCILFrozen.Options(), "the defaults are CEC's values"
