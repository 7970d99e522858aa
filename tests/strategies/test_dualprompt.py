"""DualPrompt: the invariants of the paper and of the released code."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.dualprompt import DualPrompt
from cl.strategy import Inputs
from cl.testing import tiny_backbone
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.prompted import (
    FAST,
    Learn,
    assert_a_linear_probe,
    assert_queries_carry_no_gradient,
    gap,
    pixels,
    telling,
)

SMALL: dict[str, Any] = {"length_g": 2, "length_e": 3, "layers_g": (0,), "layers_e": (0, 1)}  # together in block 0

RANGES = [("symmetric", -1.0, 1.0), ("positive", 0.0, 1.0), ("small", 0.0, 0.01)]
DRAWS = {"zero": "small", "trunc_normal": "symmetric", "linear": "positive"}
"""The draw of prompts and keys in the code that starts the head so."""


def dual(**options: Any) -> DualPrompt:
    return make(DualPrompt, **{**FAST, **SMALL, **options})


@pytest.mark.parametrize("options", [{}, {"keys": "layer"}, {"all_keys": True}, {"prompt_layout": "legacy"}])
def test_experts_and_keys_of_old_tasks_stay_and_the_general_prompt_moves(options: dict[str, Any], learn: Learn) -> None:
    learner = dual(**options)

    def look(s: DualPrompt, view: Any) -> Any:
        return state.clone([s.experts.get_state(), s.general[0]])

    kept = learn(learner, tiny_stream(), 3, look)
    for task in (0, 1):
        for index in (0, 1):
            assert torch.equal(kept[task][0][task][index], kept[2][0][task][index])
    assert not torch.equal(kept[0][1], kept[1][1]) and not torch.equal(kept[1][1], kept[2][1])
    fresh = tiny_backbone().model.state_dict()
    assert all(torch.equal(fresh[name], value) for name, value in learner.backbone.model.state_dict().items())


def test_an_expert_starts_from_the_last_one_and_its_key_does_not(learn: Learn) -> None:
    starts: list[Any] = []

    class Watched(DualPrompt):
        def begin(self, task: int) -> None:
            super().begin(task)
            starts.append(state.clone(self.experts.get_state()))

    for copies in (True, False):
        starts.clear()
        learn(make(Watched, **{**FAST, **SMALL, "copy_last": copies}), tiny_stream(), 2)
        (before, new), trained = starts[1], starts[0][0]
        assert not torch.equal(before[0], trained[0]), "the first expert was trained"
        assert torch.equal(new[0], before[0]) is copies
        assert not torch.equal(new[1], before[1])


def test_without_prompt_rows_it_is_a_linear_probe(learn: Learn) -> None:
    assert_a_linear_probe(dual(length_g=0, length_e=0), learn)
    assert_a_linear_probe(dual(layers_g=(), layers_e=()), learn)


def test_queries_carry_no_gradient(learn: Learn) -> None:
    assert_queries_carry_no_gradient(dual(), learn)


@pytest.mark.parametrize(
    ("options", "alone"),
    [({}, True), ({"keys": "layer"}, True), ({"prompt_layout": "legacy"}, False), ({"selection": "batch"}, False)],
)
def test_scores_do_not_depend_on_the_batch_unless_a_defect_is_reproduced(
    options: dict[str, Any], alone: bool, learn: Learn
) -> None:
    learner, stream = dual(**options), tiny_stream()
    learn(learner, stream, 3)
    with torch.no_grad():  # of three images each chooses another expert
        queries = learner.backbone(learner.backbone.transform(pixels(stream)))
        for task, key in enumerate(telling(queries, torch.tensor([0, 12, 24]))):
            learner.experts[task][1].copy_(key)
    assert (gap(learner, pixels(stream)) < 1e-5) is alone


def test_accuracy_with_the_task_told_is_at_least_that_with_the_task_inferred(learn: Learn) -> None:
    """The head is set such that its answer is a class of the task whose expert was used: a wrong one is an error."""
    learner, stream = dual(), tiny_stream()
    learn(learner, stream, 3)
    rows, labels, owners = stream.test_rows(range(3))
    images = Inputs(pixels(stream))
    with torch.no_grad():
        views, queries = learner.backbone.transform(pixels(stream)), images.encode(learner.backbone)
        for task, key in enumerate(telling(queries, torch.tensor([0, 6, 12]))):  # an image of task 0 chooses expert 1
            learner.experts[task][1].copy_(key)
            learner.experts[task][0].mul_(100.0)
        centres = torch.stack([learner.instructed(views, queries, task).mean(0) for task in range(3)])
        for centre, block in zip(centres - centres.mean(0), learner.head.blocks, strict=True):
            block.weight.add_(100 * centre)
            block.bias.sub_(100 * centre @ (centre / 2 + centres.mean(0)))
        found = learner.predict(images)
        chosen = learner.chosen(images.encode(learner.backbone))[0].numpy()
        told = torch.stack([learner.predict(images, task) for task in range(3)])[owners, torch.arange(len(rows))]
    right = chosen == owners
    assert 0 < right.mean() < 1
    assert (found.argmax(1).numpy() // 2 == chosen).all() and (told.argmax(1).numpy() // 2 == owners).all()
    assert torch.allclose(found[right], told[right], rtol=1e-4)

    def accuracy(scores: torch.Tensor) -> float:
        return float((scores.argmax(1).numpy() == labels).mean())

    assert accuracy(told) >= accuracy(found)


def test_only_keys_of_learned_tasks_are_compared_unless_all_are(learn: Learn) -> None:
    for all_keys in (False, True):
        learner, stream = dual(all_keys=all_keys), tiny_stream()
        learn(learner, stream, 2)
        assert len(learner.experts) == (stream.info.n_tasks if all_keys else 2)
        with torch.no_grad():
            queries = learner.backbone(learner.backbone.transform(pixels(stream)))
            if all_keys:
                learner.experts[4][1].copy_(queries.mean(0, keepdim=True))
        assert bool((learner.chosen(queries) >= 2).any()) is all_keys


def test_the_key_loss_is_a_mean_over_images_or_their_sum_added_over_the_keys(learn: Learn) -> None:
    queries = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    for keys, count in (("task", 1), ("layer", 2)):
        for loss, factor in (("mean", 1), ("sum", 5)):
            learner = dual(keys=keys, key_loss=loss, key_weight=0.3, epochs=1)
            learn(learner, tiny_stream(), 1)
            key = learner.experts[0][1]
            assert len(key) == count
            by_hand = -0.3 * factor * float((F.normalize(queries) @ F.normalize(key).T).mean(0).sum())
            assert float(learner.extra(queries, 0)) == pytest.approx(by_hand, rel=1e-5)


def test_keys_move_only_through_their_loss(learn: Learn) -> None:
    for weight in (0.0, 1.0):
        starts: list[Any] = []

        class Watched(DualPrompt):
            def begin(self, task: int) -> None:
                super().begin(task)
                starts.append(self.experts[task][1].clone())  # noqa: B023 - called within the iteration

        learner = make(Watched, **{**FAST, **SMALL, "key_weight": weight})
        learn(learner, tiny_stream(), 1)
        assert torch.equal(learner.experts[0][1], starts[0]) is (weight == 0)


def test_options_that_reproduce_defects_are_marked() -> None:
    assert DualPrompt.marks(DualPrompt.Options()) == ()
    assert DualPrompt.marks(DualPrompt.Options(all_keys=True)) == ("legacy",)
    assert DualPrompt.marks(DualPrompt.Options(selection="batch")) == ("batch-dependent",)
    assert DualPrompt.marks(DualPrompt.Options(prompt_layout="legacy")) == ("legacy", "batch-dependent")


def test_missing_blocks_raise_one_clear_sentence() -> None:
    with pytest.raises(UsageError, match="prompts for 5 blocks do not fit"):
        make(DualPrompt).setup(tiny_stream().info)


@pytest.mark.parametrize(
    ("stream", "backbone", "preset", "init"),
    [
        ("split-cifar100", "vit_base_patch16_224.augreg_in21k", None, "zero"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", None, "zero"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "dualprompt-pytorch", "trunc_normal"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "pilot", "trunc_normal"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "hide", "trunc_normal"),
        ("imagenet-r", "vit_base_patch16_224.augreg_in21k", "coda", "linear"),
        ("split-cifar100", "vit_micro_patch4_32.tinyimagenet_distill", "small", "trunc_normal"),
        ("cub-200", "vit_micro_patch4_32.tinyimagenet_distill", None, "trunc_normal"),
    ],
)
def test_each_preset_has_the_head_of_its_code(stream: str, backbone: str, preset: str | None, init: str) -> None:
    options = make_plan("dualprompt", stream, backbone, preset=preset).options
    assert (options.head_init, options.prompt_init) == (init, DRAWS[init])


@pytest.mark.parametrize(("init", "low", "high"), RANGES)
def test_prompts_and_keys_start_as_the_option_says(init: str, low: float, high: float) -> None:
    learner = dual(prompt_init=init, length_g=20, length_e=20, keys="layer")
    learner.setup(tiny_stream().info)
    learner.begin(0)
    prompt, keys = learner.experts[0]
    for values, near in ((learner.general[0], 0.05), (prompt, 0.05), (keys, 0.3)):
        assert low <= float(values.min()) < low + near * (high - low)
        assert high - near * (high - low) < float(values.max()) <= high
