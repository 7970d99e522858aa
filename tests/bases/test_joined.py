"""Batches of new images and exemplars, and the teacher: the first task is fine-tuning, frozen backbones encode once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from cl.bases.joined import Taught
from cl.strategies.bic import BiC
from cl.strategies.finetune import Finetune
from cl.strategies.gdumb import GDumb
from cl.strategies.icarl import ICaRL
from cl.strategies.wa import WA
from cl.strategy import DISJOINT, UsageError
from tests.conftest import equal, make, tiny_stream
from tests.help.exemplars import BYTES, FAST, FROZEN, Learn, learner
from tests.help.plain_loops import weights


@pytest.mark.parametrize(("cls", "options"), [(ICaRL, {"loss": "global"}), (WA, {}), (BiC, {})])
@pytest.mark.parametrize("shared", [FAST, FROZEN], ids=["all", "head"])
def test_the_first_task_is_fine_tuning(
    cls: type[Taught], options: dict[str, Any], shared: dict[str, Any], learn: Learn
) -> None:
    shared = {**shared, "epochs": 1}
    ours, finetune = make(cls, **shared, **options, memory_size=12), make(Finetune, **shared, loss="global")
    for method in (ours, finetune):
        learn(method, tiny_stream(), 1)
    assert equal(ours, finetune)


@pytest.mark.parametrize("policy", ["herding", "balanced"])
def test_the_bound_is_in_total_or_per_class(policy: str, learn: Learn) -> None:
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"memory_size": 10}, [3, 3, 2, 2]),
        ({"memory_per_class": 4}, [4] * 4),
    ]
    for options, held in cases:
        method = make(WA, **FROZEN, memory_policy=policy, **options)
        learn(method, tiny_stream(), 2)
        assert method.memory.labels.bincount().tolist() == held
        assert method.stored()["samples"] == sum(held) * BYTES


def test_a_frozen_backbone_encodes_exemplars_once_per_task(learn: Learn) -> None:
    method = learner(WA, memory_size=10, trains="head", augment="none", epochs=4)
    seen: list[int] = []
    forward = method.backbone.forward

    def counted(images: Tensor) -> Tensor:
        seen.append(len(images))
        result: Tensor = forward(images)
        return result

    method.backbone.forward = counted
    learn(method, tiny_stream(), 2)
    assert all(batch.x.ndim == 2 for batch in method.trainer.batches[1, "train"])
    assert seen.count(10) == 1, "ten exemplars, once for four epochs"
    rows = torch.cat([batch.y for batch in method.trainer.batches[1, "train"][:3]])
    assert rows.bincount().tolist() == [5, 5, 12, 12], "each image and exemplar once"


def test_a_single_last_image_joins_the_batch_before_it() -> None:
    """Exemplars are shuffled in, so the last batch may hold one image in any task."""
    assert WA.needs(WA.Options(batch_size=8)).batches == "all" and WA.needs(WA.Options()).merges
    assert WA.settings == DISJOINT


KEPT: dict[str, Any] = {**FROZEN, "memory_size": 10}


@pytest.mark.parametrize(
    ("cls", "options"),
    [(ICaRL, {}), (WA, {}), (WA, {"memory_policy": "balanced"}), (BiC, {"held_out": 0.4}), (GDumb, {"cutmix": 0.0})],
)
def test_features_alone_teach_as_their_images_do(cls: Any, options: dict[str, Any], learn: Learn) -> None:
    """With a frozen backbone; the memory then holds no image."""
    ours, images = (make(cls, **KEPT, **options, memory_of=kind) for kind in ("features", "images"))
    for method in (ours, images):
        learn(method, tiny_stream(), 3)
    assert ours.memory.labels.tolist() == images.memory.labels.tolist()
    for name, value in weights(images).items():
        assert torch.allclose(weights(ours)[name], value, atol=1e-5), name
    held = images.features_of(images.memory.subset())
    assert torch.allclose(ours.memory.values, held, atol=1e-5)
    assert ours.memory.pixels.numel() == 0
    assert ours.stored()["samples"] == 10 * (8 + 4 * ours.backbone.dim), "a label and a feature each"
    assert images.stored()["samples"] == 10 * BYTES


@pytest.mark.parametrize("cls", [ICaRL, WA, BiC, GDumb])
@pytest.mark.parametrize("changes", [{"trains": "all"}, {"augment": "flip"}], ids=["weights", "images"])
def test_features_alone_must_not_change(cls: Any, changes: dict[str, Any]) -> None:
    method = make(cls, **{**KEPT, **changes, "memory_of": "features"})
    with pytest.raises(UsageError, match=r"memory_of=features needs .* set trains=head and augment=none"):
        method.setup(tiny_stream().info)
