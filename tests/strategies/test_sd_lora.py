"""SD-LoRA: directions that stay, magnitudes that train, and the norms of paper and code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.plan.plan import make_plan
from cl.strategies.sd_lora import SDLoRA
from tests.conftest import make, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 8, "lr": 0.1, "augment": "none", "rank": 2}


def product(lora: dict[str, Any], slot: int, site: int) -> Tensor:
    found: Tensor = lora["b"][slot][site] @ lora["a"][slot][site]
    return found


@pytest.mark.parametrize("direction", ["factors", "product"])
def test_an_earlier_product_keeps_its_direction_and_gets_a_norm(
    learn: Learn, fits: list[dict[str, Any]], direction: str
) -> None:
    learner = make(SDLoRA, **FAST, direction=direction)
    learn(learner, tiny_stream(), 3)
    for site in range(4):
        trained, later = (product(fits[task]["after"]["lora"], 0, site) for task in (0, 1))
        raw = fits[0]["after"]["lora"]
        a, b = raw["a"][0][site], raw["b"][0][site]
        norm = a.norm() * b.norm() if direction == "factors" else trained.norm()
        assert trained.norm() > 0 and torch.allclose(later, trained / norm, atol=1e-6)
        if direction == "product":
            assert float(later.norm()) == pytest.approx(1, abs=1e-5)
        assert torch.equal(later, product(fits[2]["after"]["lora"], 0, site)), "it is divided once"


def test_all_magnitudes_so_far_train_and_start_again_in_every_task(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = make(SDLoRA, **FAST, magnitude=0.7)
    learn(learner, tiny_stream(), 3)
    for task, fit in enumerate(fits):
        before, after = fit["before"]["magnitudes"], fit["after"]["magnitudes"]
        assert torch.allclose(before, torch.full((5,), 0.7))
        assert (before != after).tolist() == [number <= task for number in range(5)]


def test_earlier_heads_and_the_backbone_are_frozen(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = make(SDLoRA, **FAST)
    learn(learner, tiny_stream(), 2)
    before, after = fits[1]["before"], fits[1]["after"]
    for key in ("a", "b"):
        assert all(torch.equal(x, y) for x, y in zip(before["lora"][key][0], after["lora"][key][0], strict=True))
        assert not any(torch.equal(x, y) for x, y in zip(before["lora"][key][1], after["lora"][key][1], strict=True))
    assert torch.equal(before["head"]["weights"][0], after["head"]["weights"][0])
    assert learner.backbone.is_pristine
    assert {site.start // 16 for site in learner.lora.sites} == {0, 2}, "queries and values"


def test_predictions_are_those_of_the_weights_with_all_products(learn: Learn) -> None:
    learner = make(SDLoRA, **FAST)
    learn(learner, tiny_stream(), 3)
    pixels = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    found = learner.predict_images(pixels)
    lora, weights = learner.lora.get_state(), learner.magnitudes[:3]
    for number, site in enumerate(learner.lora.sites):
        with torch.no_grad():
            weight = learner.backbone.model.get_parameter(f"{site.layer}.weight")
            for slot in range(3):
                weight[site.start : site.stop] += weights[slot] * product(lora, slot, number)
    with torch.no_grad():
        expected = learner.head(learner.backbone(learner.backbone.transform(pixels)))
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_product_that_did_not_train_stays_zero() -> None:
    learner = make(SDLoRA, **FAST)
    for direction in ("factors", "product"):
        learner.options = SDLoRA.Options(**FAST, direction=direction)
        a, b = torch.ones(2, 4), torch.zeros(5, 2)
        learner._normalise(a, b)
        assert not b.any() and bool(torch.isfinite(a).all())


def test_new_heads_are_drawn_as_in_the_code() -> None:
    learner = make(SDLoRA, **FAST)
    stream = tiny_stream()
    learner.info = stream.info
    learner.setup(stream.info)
    learner.trainer.journal.begin(0)
    learner._begin(stream.view(0))
    weight, bound = learner.head.blocks[0].weight, (3 / 16) ** 0.5
    assert 16**-0.5 < float(weight.abs().max()) <= bound and not learner.head.blocks[0].bias.any()


def test_the_presets_have_the_values_of_the_authors_files() -> None:
    values = {}
    for stream in ("split-cifar100", "imagenet-r", "imagenet-a"):
        o = make_plan("sd-lora", stream, "vit_base_patch16_224.augreg_in21k_ft_in1k").options
        assert (o.epochs, o.batch_size, o.rank, o.momentum, o.magnitude) == (20, 128, 10, 0.9, 0.8)
        values[stream] = (o.lr, o.milestones, o.gamma)
    assert values["split-cifar100"] == (8e-3, (), 0.1) and values["imagenet-r"] == (1e-2, (), 0.1)
    assert values["imagenet-a"] == (5e-3, (10, 15), 0.05)
