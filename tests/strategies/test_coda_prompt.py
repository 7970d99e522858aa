"""CODA-Prompt: the invariants of the paper and of the released code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.coda_prompt import CODAPrompt
from cl.testing import tiny_backbone
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.prompted import (
    FAST,
    Learn,
    assert_a_linear_probe,
    assert_queries_carry_no_gradient,
    gap,
    make_batch,
    pixels,
)

SMALL: dict[str, Any] = {**FAST, "components": 10, "length": 4, "layers": (0, 1), "schedule": "quarter-cosine"}


class Watched(CODAPrompt):
    """Keeps the components at the start of each task."""

    _starts: Any = ()

    def begin(self, task: int) -> None:
        super().begin(task)
        self._starts = [*self._starts, state.clone(self.components.get_state())]


def coda(**options: Any) -> CODAPrompt:
    return make(CODAPrompt, **{**SMALL, **options})


def test_components_of_old_tasks_stay_and_those_of_the_task_learn(learn: Learn) -> None:
    learner = make(Watched, **SMALL)
    ends = learn(learner, tiny_stream(), 3, lambda s, v: state.clone(s.components.get_state()))
    for task, (start, end) in enumerate(zip(learner._starts, ends, strict=True)):
        assert len(end) == task + 1
        for old in range(task):
            assert all(torch.equal(a, b) for a, b in zip(end[old], ends[old][old], strict=True))
        assert all(not torch.equal(a, b) for a, b in zip(start[task], end[task], strict=True))
    fresh = tiny_backbone().model.state_dict()
    assert all(torch.equal(fresh[name], value) for name, value in learner.backbone.model.state_dict().items())


def test_a_task_starts_with_rows_orthonormal_to_one_another_and_to_the_trained_ones(learn: Learn) -> None:
    learner = make(Watched, **SMALL)
    learn(learner, tiny_stream(), 3)
    for task, start in enumerate(learner._starts):
        for index in range(3):
            new = start[task][index].flatten(2)
            assert torch.allclose(new @ new.mT, torch.eye(2).expand(2, 2, 2), atol=1e-4)
            for old in start[:task]:
                rows = old[index].flatten(2)
                assert float((rows @ rows.mT - torch.eye(2)).abs().max()) > 1e-3, "training bent them"
                assert float((new @ rows.mT).abs().max()) < 1e-4


def test_old_components_get_no_gradient(learn: Learn) -> None:
    learner = coda(ortho=0.1)
    learn(learner, tiny_stream(), 2)
    for parameter in learner.prompts(1):
        parameter.requires_grad_(True)
    images = learner.backbone.transform(pixels(tiny_stream(), 1))
    learner.objective(make_batch(images), 1, (0, 1)).backward()
    assert all(parameter.grad is None for parameter in learner.components[0])
    assert all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in learner.components[1])


def test_all_tasks_so_far_take_part(learn: Learn) -> None:
    learner = coda()
    learn(learner, tiny_stream(), 2)
    before = learner.predict_images(pixels(tiny_stream()))
    for task in (0, 1):
        prompts = learner.components[task][0]
        kept = prompts.clone()
        with torch.no_grad():
            prompts.zero_()
        assert not torch.allclose(learner.predict_images(pixels(tiny_stream())), before)
        with torch.no_grad():
            prompts.copy_(kept)


@pytest.mark.parametrize("none", [{"components": 0}, {"length": 0}, {"layers": ()}])
def test_without_components_it_is_a_linear_probe(none: dict[str, Any], learn: Learn) -> None:
    assert_a_linear_probe(coda(**none), learn)


def test_queries_carry_no_gradient(learn: Learn) -> None:
    assert_queries_carry_no_gradient(coda(), learn)


def test_the_scores_of_an_image_do_not_depend_on_its_batch(learn: Learn) -> None:
    learner = coda()
    learn(learner, tiny_stream(), 3)
    assert gap(learner, pixels(tiny_stream())) < 1e-5
    assert CODAPrompt.marks(learner.options) == ()


def test_the_penalty_holds_components_near_orthonormal(learn: Learn) -> None:
    bent = []
    for ortho in (0.0, 100.0):
        learner = coda(ortho=ortho, lr=0.01)
        learn(learner, tiny_stream(), 2)
        bent.append(float(learner.components.penalty()))
        assert float(learner.extra(torch.zeros(1, 16), 1)) == pytest.approx(ortho * bent[-1])
    assert 0 < bent[1] < bent[0] / 2


def test_impossible_options_raise_one_clear_sentence() -> None:
    with pytest.raises(UsageError, match="length=3 must be even"):
        coda(length=3).setup(tiny_stream().info)
    with pytest.raises(UsageError, match="components=4 are too few for 5 tasks"):
        coda(components=4).setup(tiny_stream().info)
    with pytest.raises(UsageError, match="prompts for 5 blocks do not fit"):
        make(CODAPrompt).setup(tiny_stream().info)


def test_the_head_is_drawn_like_a_linear_layer_with_its_bias() -> None:
    learner = coda()
    learner.setup(tiny_stream().info)
    learner.head.grow_to(400, learner.init_rng("head"))
    for values in learner.head.blocks[0].parameters():
        assert float(values.std()) == pytest.approx(0.25 / 3**0.5, rel=0.1), "U(-1 / 4, 1 / 4) for 16 features"


def test_every_preset_of_the_codes_has_the_quarter_cosine_and_bilinear_resizing() -> None:
    for stream, preset in (("split-cifar100", None), ("imagenet-r", None), ("imagenet-r", "pilot")):
        plan = make_plan("coda-prompt", stream, "vit_base_patch16_224.augreg_in21k_ft_in1k", preset=preset)
        assert plan.options.schedule == "quarter-cosine" and plan.backbone_options.interpolation == "bilinear"
