"""Replay while a task is learned: what the memory is offered, what steps see, and when it is fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.bases.fine_tuning import FineTuning
from cl.strategies.a_gem import AGem
from cl.strategies.der_pp import DerPP
from cl.strategies.er_ace import ErAce
from cl.strategies.finetune import Finetune
from cl.strategy import ONLINE, UsageError
from cl.training.batches import Batch
from tests.conftest import equal, make, run, tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.exemplars import BYTES, FAST, FROZEN, Learn, learner
from tests.help.online import ONE_PASS, stream_in


def test_each_batch_is_offered_after_its_step_in_every_epoch(learn: Learn) -> None:
    method, kept = learner(DerPP, memory_size=500, alpha=0.0, beta=0.0, outputs="seen"), list[Tensor]()
    original = method._offer

    def offer(images: Any, step: Any) -> None:
        rows, values = method._offered
        assert len(method.memory) == sum(len(each) for each in kept), "nothing is offered before the step"
        kept.append(values.clone())
        original(images, step)
        assert torch.equal(method.memory.pixels[-len(rows) :], images.pixels(rows)), "as they were, not augmented"
        assert torch.equal(method.memory.labels[-len(rows) :], images.labels[rows])

    method._offer = offer
    learn(method, tiny_stream(), 1)
    assert len(method.memory) == method.memory.seen == 48, "two epochs of 24 images"
    assert torch.equal(method.memory.values[:, :2], torch.cat(kept)) and method.memory.values[:, 2:].isnan().all()


@pytest.mark.parametrize(("update", "seen"), [("step", 48), ("task", 24)])
def test_the_memory_has_a_fixed_size(update: str, seen: int, learn: Learn) -> None:
    method = make(ErAce, **FAST, memory_size=9, memory_update=update)
    learn(method, tiny_stream(), 2, lambda s, view: s.memory.seen)
    assert method.memory.seen == 2 * seen and len(method.memory) == 9
    assert method.stored()["samples"] == 9 * BYTES
    assert set(method.memory.labels.tolist()) > {0} or set(method.memory.labels.tolist()) > {1}


def test_samples_follow_the_new_images(learn: Learn) -> None:
    method = learner(DerPP, memory_size=40, replay_batch_size=5)
    learn(method, tiny_stream(), 2)
    first, second = (method.trainer.batches[task, "train"] for task in (0, 1))
    assert [len(batch) for batch in first] == [16, 8 + 10, 16 + 10, 8 + 10], "no sample before the first step"
    assert [len(batch) for batch in second] == [26, 18, 26, 18]
    assert all(set(batch.y[:-10].tolist()) <= {2, 3} for batch in second)


@pytest.mark.parametrize(("cls", "own"), [(DerPP, {"outputs": "seen"}), (ErAce, {}), (AGem, {})])
def test_the_first_step_is_that_of_fine_tuning(cls: type[FineTuning], own: dict[str, Any], learn: Learn) -> None:
    """Before there are remembered images, nothing differs."""
    options = {**FAST, "epochs": 1, "batch_size": 100}
    ours, finetune = make(cls, **options, **own), make(Finetune, **options, loss="global")
    for method in (ours, finetune):
        learn(method, tiny_stream(), 1)
    assert equal(ours, finetune)


def test_a_frozen_backbone_keeps_features_beside_images(learn: Learn) -> None:
    method = make(DerPP, **{**FROZEN, "epochs": 1}, memory_size=30)
    learn(method, tiny_stream(), 2)
    with torch.no_grad():
        features = method.backbone(method.backbone.transform(method.memory.pixels))
    assert torch.allclose(method.memory.values[:, : method.backbone.dim], features, atol=1e-5)
    width = method.backbone.dim + 10
    assert method.stored()["samples"] == 30 * (BYTES + 4 * width), "counted with the images"


def test_parts_are_normalised_apart_by_batch_norms() -> None:
    """Joined, the statistics of old and new images would mix."""
    method = make(DerPP, **FAST)
    method.backbone, method.info = conv_backbone(), tiny_stream().info
    method.setup(method.info)
    method.head.grow_to(2, torch.Generator())
    x = method.backbone.transform(tiny_stream().view(0).train.pixels(range(12)))
    method.backbone.train()
    method.backbone.model.get_submodule("drop").eval()
    parts = [Batch(part, torch.zeros(6, dtype=torch.long), torch.arange(6)) for part in (x[:6], x[6:] * 3)]
    apart = method.outputs(parts)
    for logits, part in zip(apart, parts, strict=True):
        assert torch.allclose(logits, method.head(method.backbone(part.x)), atol=1e-5)
    joint = method.head(method.backbone(torch.cat([part.x for part in parts])))
    assert not torch.allclose(torch.cat(apart), joint, atol=1e-3)


def test_a_sample_of_one_image_needs_a_network_without_batch_norms() -> None:
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 128),
        ({"replay_batch_size": 1}, 1),
        ({"batch_size": 8, "replay_batch_size": 40}, 8),
    ]
    for options, size in cases:
        needs = DerPP.needs(DerPP.Options(**options))
        assert needs.batch_size == size and needs.batches == "all"
    assert DerPP.needs(DerPP.Options(trains="head", replay_batch_size=1)).batch_size == 0


@pytest.mark.parametrize("cls", [DerPP, ErAce, AGem])
def test_online_each_image_is_offered_once(cls: Any, tmp_path: Path) -> None:
    assert cls.supports(ONLINE, cls.Options())
    method = make(cls, **ONE_PASS, memory_size=500)
    run(method, stream_in("online", chunk=16), tmp_path)
    assert method.memory.seen == len(method.memory) == 60 and method.memory.labels.bincount().tolist() == [6] * 10


@pytest.mark.parametrize("update", ["step", "task"])
@pytest.mark.parametrize("cls", [DerPP, ErAce, AGem])
def test_features_alone_teach_as_their_images_do(cls: Any, update: str, learn: Learn) -> None:
    """With a frozen backbone; the memory then holds no image."""
    options: dict[str, Any] = {**FROZEN, "memory_size": 9, "memory_update": update}
    ours, images = (make(cls, **options, memory_of=kind) for kind in ("features", "images"))
    for method in (ours, images):
        learn(method, tiny_stream(), 2)
    assert all(torch.equal(*pair) for pair in zip(ours.head.parameters(), images.head.parameters(), strict=True))
    assert torch.equal(ours.memory.values.nan_to_num(), images.memory.values.nan_to_num())
    assert ours.memory.labels.tolist() == images.memory.labels.tolist() and ours.memory.pixels.numel() == 0
    assert images.stored()["samples"] - ours.stored()["samples"] == 9 * 64, "the pixels of a grey image"


@pytest.mark.parametrize("cls", [DerPP, ErAce, AGem])
@pytest.mark.parametrize("changes", [{"trains": "all"}, {"augment": "flip"}], ids=["weights", "images"])
def test_features_alone_must_not_change(cls: Any, changes: dict[str, Any]) -> None:
    method = make(cls, **{**FROZEN, **changes, "memory_of": "features"})
    with pytest.raises(UsageError, match=r"memory_of=features needs .* set trains=head and augment=none"):
        method.setup(tiny_stream().info)
