"""L2P: the invariants of the paper and of the released code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.l2p import L2P
from cl.testing import tiny_backbone
from cl.training import state
from tests.conftest import make, tensors, tiny_stream
from tests.help.prompted import (
    FAST,
    Learn,
    assert_a_linear_probe,
    assert_queries_carry_no_gradient,
    gap,
    make_batch,
    pixels,
    telling,
)

FORMS: list[dict[str, Any]] = [
    {"place": "front", "head_type": "prompt"},
    {"place": "after-class", "head_type": "prompt"},
    {"place": "front", "head_type": "token"},
    {"prompt": "prefix", "layers": (0, 1)},
]

RANGES = [("symmetric", -1.0, 1.0), ("positive", 0.0, 1.0), ("small", 0.0, 0.01)]
DRAWS = {"zero": "small", "trunc_normal": "symmetric", "linear": "positive"}
"""The draw of prompts and keys in the code that starts the head so."""


def l2p(**options: Any) -> L2P:
    return make(L2P, **{**FAST, "pool": 6, "length": 2, "top": 2, **options})


@pytest.mark.parametrize("form", FORMS)
def test_the_pool_learns_and_the_backbone_stays(form: dict[str, Any], learn: Learn) -> None:
    learner = l2p(**form)
    seen = learn(learner, tiny_stream(), 3, lambda s, v: state.clone(dict(s.pool.state_dict())))
    assert all(not torch.equal(seen[0][name], seen[2][name]) for name in ("prompts", "keys"))
    fresh = tiny_backbone().model.state_dict()
    assert all(torch.equal(fresh[name], value) for name, value in learner.backbone.model.state_dict().items())
    assert learner.backbone.is_pristine


@pytest.mark.parametrize("none", [{"top": 0}, {"length": 0}, {"pool": 0, "top": 0}])
@pytest.mark.parametrize("form", [FORMS[0], FORMS[3]])
def test_without_prompts_it_is_a_linear_probe(none: dict[str, Any], form: dict[str, Any], learn: Learn) -> None:
    assert_a_linear_probe(l2p(**form, **none), learn)


def test_keys_move_only_through_the_pull(learn: Learn) -> None:
    for pull, moves in ((0.0, False), (0.5, True)):
        learner = l2p(pull=pull)
        learner.setup(tiny_stream().info)
        before = learner.pool.keys.clone()
        learn(learner, tiny_stream(), 1)
        assert torch.equal(learner.pool.keys, before) is not moves
        learner.pool.requires_grad_(True)
        images = learner.backbone.transform(pixels(tiny_stream(), 1))
        learner.objective(make_batch(images), 0, (0, 1)).backward()
        gradient = learner.pool.keys.grad
        assert (gradient is not None and bool(gradient.any())) is moves


def test_queries_carry_no_gradient(learn: Learn) -> None:
    assert_queries_carry_no_gradient(l2p(), learn)


@pytest.mark.parametrize("form", FORMS)
def test_scores_do_not_depend_on_the_batch_unless_it_votes(form: dict[str, Any], learn: Learn) -> None:
    stream = tiny_stream()
    for selection, alone in (("image", True), ("batch", False)):
        learner = l2p(**form, selection=selection)
        learn(learner, stream, 2)
        with torch.no_grad():  # of six images each is nearest to another key, so not all choose the same two
            queries = learner.backbone(learner.backbone.transform(pixels(stream, 2)))
            learner.pool.keys.copy_(telling(queries, torch.arange(0, 24, 4)))
        assert (gap(learner, pixels(stream, 2)) < 1e-5) is alone


@pytest.mark.parametrize("form", FORMS)
def test_the_order_of_the_pool_does_not_matter(form: dict[str, Any], learn: Learn) -> None:
    learner = l2p(**form)
    learn(learner, tiny_stream(), 2)
    images = pixels(tiny_stream())
    before = learner.predict_images(images)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    with torch.no_grad():
        for values in learner.pool.parameters():
            values.copy_(values[:, order].clone())
    assert torch.allclose(learner.predict_images(images), before, atol=1e-6)


def test_the_key_loss_is_the_mean_over_images_and_the_legacy_one_mixes_them() -> None:
    queries = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    for form, sites in ((FORMS[0], 1), (FORMS[3], 2)):
        plain, legacy = l2p(**form, pull=0.3), l2p(**form, pull=0.3, key_loss="legacy")
        for learner in (plain, legacy):
            learner.setup(tiny_stream().info)
        near, mixed = 0.0, 0.0
        for site in range(sites):
            cosines = F.normalize(queries) @ F.normalize(plain.pool.keys[site]).T
            for image in range(5):
                chosen = cosines[image].topk(2).indices
                near += float(cosines[image, chosen].sum()) / 5
                mixed += float((1 - cosines[:, chosen]).sum())
        assert float(plain.extra(queries, 0)) == pytest.approx(-0.3 * near, rel=1e-5)
        assert float(legacy.extra(queries, 0)) == pytest.approx(0.3 * mixed, rel=1e-5)


def test_old_head_rows_are_not_touched(learn: Learn) -> None:
    learner = l2p()
    kept = learn(learner, tiny_stream(), 3, lambda s, v: state.clone(s.head.get_state()))
    assert torch.equal(kept[0]["weights"][0], kept[2]["weights"][0])
    assert torch.equal(kept[1]["weights"][1], kept[2]["weights"][1])
    assert any(name.startswith("head") for name in tensors(learner))


def test_options_that_reproduce_defects_are_marked() -> None:
    assert L2P.marks(L2P.Options()) == ()
    assert L2P.marks(L2P.Options(selection="batch")) == ("batch-dependent",)
    assert L2P.marks(L2P.Options(key_loss="legacy")) == ("legacy",)


def test_impossible_options_raise_one_clear_sentence() -> None:
    with pytest.raises(UsageError, match="top=7 prompts cannot be taken from a pool of 6"):
        l2p(top=7).setup(tiny_stream().info)
    with pytest.raises(UsageError, match="prompts for 6 blocks do not fit"):
        l2p(prompt="prefix", layers=(5,)).setup(tiny_stream().info)


@pytest.mark.parametrize(
    ("stream", "backbone", "preset", "init"),
    [
        ("split-cifar100", "vit_base_patch16_224.augreg_in21k", None, "zero"),
        ("split-cifar100", "vit_base_patch16_224.augreg_in21k", "l2p-pytorch", "trunc_normal"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "pilot", "trunc_normal"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "hide", "trunc_normal"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "l2p++", "linear"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "deep-l2p++", "linear"),
        ("split-cifar100", "vit_micro_patch4_32.tinyimagenet_distill", "small", "trunc_normal"),
        ("split-cifar100", "deit_tiny_patch16_224", "small", "trunc_normal"),
        ("cub-200", "vit_micro_patch4_32.tinyimagenet_distill", None, "trunc_normal"),
    ],
)
def test_each_preset_has_the_head_of_its_code(stream: str, backbone: str, preset: str | None, init: str) -> None:
    options = make_plan("l2p", stream, backbone, preset=preset).options
    assert (options.head_init, options.prompt_init) == (init, DRAWS[init])


@pytest.mark.parametrize(("init", "low", "high"), RANGES)
def test_prompts_and_keys_start_as_the_option_says(init: str, low: float, high: float) -> None:
    learner = l2p(prompt_init=init, pool=50, length=4)
    learner.setup(tiny_stream().info)
    for values in (learner.pool.prompts, learner.pool.keys):
        assert low <= float(values.min()) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < float(values.max()) <= high


def test_the_head_starts_as_the_option_says() -> None:
    for init, deviation in (("zero", 0.0), ("trunc_normal", 0.02), ("linear", 0.25 / 3**0.5)):
        learner = l2p(head_init=init)
        learner.setup(tiny_stream().info)
        learner.head.grow_to(400, learner.init_rng("head"))
        assert float(learner.head.blocks[0].weight.std()) == pytest.approx(deviation, rel=0.05)
        assert bool(learner.head.blocks[0].bias.any()) is (init == "linear")
