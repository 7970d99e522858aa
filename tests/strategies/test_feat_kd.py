"""FeatKD: the distillation of features alone and together with the other terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cl.parts.losses import DISTANCES, LOSSES
from cl.plan.plan import make_plan
from cl.strategies.feat_kd import FeatKD
from cl.strategies.finetune import Finetune
from cl.strategies.pred_kd import PredKD
from cl.training.batches import Batch
from tests.conftest import equal, make, tiny_stream
from tests.help.distillation import FAST, second_task, with_options

Learn = Callable[..., list[Any]]


def term(learner: FeatKD, batch: Batch, classes: tuple[int, ...]) -> torch.Tensor:
    """The term alone: the objective with it and without, of the same forward pass in evaluation mode."""
    with_it = learner.objective(batch, classes)
    weight = learner.options.feat_kd
    without = with_options(learner, feat_kd=0.0).objective(batch, classes)
    with_options(learner, feat_kd=weight)
    return with_it - without


def shake(learner: FeatKD) -> None:
    with torch.no_grad():
        for parameter in learner.tuned().values():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("loss", ("local", "global"))
def test_weight_zero_is_finetune_step_for_step(learn: Learn, loss: str) -> None:
    base, none = make(Finetune, **FAST, loss=loss), make(FeatKD, **FAST, loss=loss, feat_kd=0.0)
    some = make(FeatKD, **FAST, loss=loss)
    for learner in (base, none, some):
        learn(learner, tiny_stream(), 3)
    assert equal(base, none) and not equal(base, some)
    assert none.teacher is None


@pytest.mark.parametrize("loss", ("bce", "bce-local"))
def test_weight_zero_is_its_base_under_sigmoids(learn: Learn, loss: str) -> None:
    base, none = make(PredKD, **FAST, loss=loss, pred_kd=0.0), make(FeatKD, **FAST, loss=loss, feat_kd=0.0)
    learn(base, tiny_stream(), 2)
    learn(none, tiny_stream(), 2)
    assert equal(base, none)


def test_the_first_task_is_that_of_finetune(learn: Learn) -> None:
    base, ours = make(Finetune, **FAST), make(FeatKD, **FAST, loss="local", feat_kd=5.0)
    learn(base, tiny_stream(), 1)
    learn(ours, tiny_stream(), 1)
    assert equal(base, ours), "there is no teacher yet, and the term is not asked for"


@pytest.mark.parametrize("mode", DISTANCES)
def test_the_term_is_zero_at_the_first_step_and_then_its_formula(learn: Learn, mode: str) -> None:
    learner, batch, classes = second_task(learn, FeatKD, feat_kd=5.0, feat_kd_mode=mode)
    assert abs(float(term(learner, batch, classes).detach())) <= (0 if mode == "mse" else 5e-6)
    shake(learner)
    with torch.no_grad():
        old, new = learner.teacher(learner.backbone, batch.x)[0], learner.backbone(batch.x)
        expected = ((new - old) ** 2).sum() / old.numel()
        if mode == "cosine":
            expected = 1 - (F.normalize(new) * F.normalize(old)).sum(1).mean()
    found = float(term(learner, batch, classes).detach())
    assert found == pytest.approx(5 * float(expected), rel=1e-4) and found > 1e-4


@pytest.mark.parametrize("mode", DISTANCES)
def test_the_term_has_a_gradient_for_the_backbone_and_none_for_the_head(learn: Learn, mode: str) -> None:
    learner, batch, classes = second_task(learn, FeatKD, feat_kd=5.0, feat_kd_mode=mode)
    shake(learner)
    gradients = {}
    for weight in (0.0, 5.0):
        loss = with_options(learner, feat_kd=weight).objective(batch, classes)
        parameters = [*learner.head.parameters(), *learner.tuned().values()]
        gradients[weight] = torch.autograd.grad(loss, parameters)
    heads = len(list(learner.head.parameters()))
    pairs = list(zip(gradients[0.0], gradients[5.0], strict=True))
    assert all(torch.equal(without, with_it) for without, with_it in pairs[:heads])
    assert any((without - with_it).abs().max() > 1e-4 for without, with_it in pairs[heads:])


@pytest.mark.parametrize("augment", ("none", "crop-flip"))
@pytest.mark.parametrize("mode", DISTANCES)
def test_the_term_is_zero_with_a_frozen_backbone(learn: Learn, augment: str, mode: str) -> None:
    options = {**FAST, "trains": "head", "augment": augment}
    with_it = make(FeatKD, **options, feat_kd=5.0, feat_kd_mode=mode)
    without = make(FeatKD, **options, feat_kd=0.0)
    learn(with_it, tiny_stream(), 3)
    learn(without, tiny_stream(), 3)
    assert equal(with_it, without)
    assert with_it.teacher is not None and not with_it.teacher.tensors, "the teacher is a head"


def test_a_frozen_backbone_is_passed_once(learn: Learn) -> None:
    learner, batch, classes = second_task(learn, FeatKD, trains="head", pred_kd=1.0)
    seen: list[torch.Tensor] = []
    learner.backbone.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    learner.objective(batch, classes)
    assert len(seen) == 1


def test_logits_and_features_come_from_one_forward_of_the_student(learn: Learn) -> None:
    """A second one would draw other dropout masks: the term would compare features that made no logits."""
    learner, batch, classes = second_task(learn, FeatKD, pred_kd=1.0, feat_kd=5.0)
    shake(learner)
    learner.backbone.train()
    outputs: list[tuple[bool, torch.Tensor]] = []
    learner.backbone.register_forward_hook(lambda m, i, out: outputs.append((m.training, out)))
    loss = learner.objective(batch, classes)
    students = [out for training, out in outputs if training]
    teachers = [out for training, out in outputs if not training]
    assert len(students) == len(teachers) == 1
    with torch.no_grad():
        logits, soft = learner.head(students[0]), learner.teacher.head(teachers[0]).sigmoid()
        target = torch.cat([soft, F.one_hot(batch.y, logits.shape[1])[:, soft.shape[1] :]], 1)
        by_hand = F.binary_cross_entropy_with_logits(logits, target) + 5 * F.mse_loss(students[0], teachers[0])
    assert torch.allclose(loss, by_hand)


@pytest.mark.parametrize("loss", LOSSES)
def test_features_move_less(learn: Learn, loss: str) -> None:
    moved = {}
    for weight in (0.0, 1.0):  # a small rate: at a large one the tiny network dies in the first task
        learner = make(FeatKD, **{**FAST, "epochs": 8, "lr": 0.002, "loss": loss, "feat_kd": weight, "eval_mode": True})
        stream = tiny_stream()
        view = stream.view(0)
        x = learner.backbone.transform(view.train.pixels(torch.arange(len(view.train))))
        before, after = learn(learner, stream, 2, lambda s, v, x=x: s.backbone(x))
        moved[weight] = float(F.mse_loss(before, after))
    assert moved[1.0] < 0.5 * moved[0.0], moved


def test_the_main_configuration_of_the_paper_is_a_preset() -> None:
    alone, both = make_plan("feat-kd", "split-digits"), make_plan("feat-kd", "split-digits", preset="with-pred-kd")
    assert (alone.options.pred_kd, alone.options.feat_kd, alone.options.loss) == (0.0, 1.0, "bce")
    assert (both.options.pred_kd, both.options.feat_kd, both.options.loss) == (1.0, 1.0, "bce")
    code = make_plan("feat-kd", "split-digits", preset="smith-2022").options
    assert (code.loss_scale, code.feat_kd, code.eval_mode) == (5.0, 5.0, True)
    assert make_plan("feat-kd", "split-digits", preset="avalanche").options.feat_kd_mode == "cosine"
    assert make_plan("feat-kd", "split-digits", preset="smith-2022-alone").options.loss == "bce-local"


@pytest.mark.parametrize("loss", ("local", "bce"))
def test_the_legacy_first_task_is_drawn_to_the_initial_network(learn: Learn, loss: str) -> None:
    stream = tiny_stream()
    legacy = make(FeatKD, **FAST, loss=loss, feat_kd=3.0, pred_kd=1.0, first_task="legacy")
    legacy.setup(stream.info)
    legacy.head.grow_to(2, torch.Generator().manual_seed(0))
    batch = Batch(legacy.backbone.transform(stream.view(0).train.pixels([0, 1, 2])), torch.tensor([0, 1, 0]))
    before = legacy.backbone(batch.x).detach()
    assert float(term(legacy, batch, (0, 1)).detach()) == 0, "nothing moved yet, and no class can be distilled"
    shake(legacy)
    moved = F.mse_loss(legacy.backbone(batch.x), before)
    assert float(term(legacy, batch, (0, 1)).detach()) == pytest.approx(3 * float(moved.detach()), rel=1e-3)
    assert float(term(with_options(legacy, first_task="skip"), batch, (0, 1)).detach()) == 0
    assert FeatKD.marks(FeatKD.Options(first_task="legacy")) == ("legacy",) and FeatKD.marks(FeatKD.Options()) == ()
    learner = make(FeatKD, **{**FAST, "lr": 0.001}, loss=loss, first_task="legacy")
    classes = learn(learner, stream, 2, lambda s, view: s.teacher.classes)
    assert classes == [2, 4], "later tasks have the model after the task before"


def test_the_presets_of_2022_have_the_term_in_the_first_task() -> None:
    for preset in ("smith-2022", "smith-2022-alone"):
        assert make_plan("feat-kd", "split-digits", preset=preset).options.first_task == "legacy"
    assert make_plan("feat-kd", "split-digits").options.first_task == "skip"
