"""PredKD: the invariants of LwF, of LwF.MC and of the paper on rehearsal-free learning."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.parts.losses import LOSSES, softened_cross_entropy
from cl.plan.plan import make_plan
from cl.strategies.finetune import Finetune
from cl.strategies.pred_kd import PredKD
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import DRAWS, equal, make, run, tensors, tiny_stream
from tests.help.distillation import FAST, second_task, with_options

Learn = Callable[..., list[Any]]


# ------------------------------------------------------------------------------------------------ without and at first


@pytest.mark.parametrize("loss", ("local", "global"))
def test_weight_zero_is_finetune_step_for_step(learn: Learn, loss: str) -> None:
    base, none = make(Finetune, **FAST, loss=loss), make(PredKD, **FAST, loss=loss, pred_kd=0.0)
    some = make(PredKD, **FAST, loss=loss)
    for learner in (base, none, some):
        learn(learner, tiny_stream(), 3)
    assert equal(base, none) and not equal(base, some)
    assert none.teacher is None


class Sigmoids(Finetune):
    """Binary cross-entropy over the classes seen, or over the classes of the task, written independently."""

    local = False

    def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
        logits = self.head(self._features(batch))
        target = F.one_hot(batch.y, logits.shape[1]).float()
        if self.local:
            logits, target = logits[:, list(classes)], target[:, list(classes)]
        return F.binary_cross_entropy_with_logits(logits, target)


class LocalSigmoids(Sigmoids):
    local = True


@pytest.mark.parametrize(("loss", "base"), [("bce", Sigmoids), ("bce-local", LocalSigmoids)])
def test_without_distillation_the_sigmoids_are_plain(learn: Learn, loss: str, base: type[Sigmoids]) -> None:
    plain, none = make(base, **FAST), make(PredKD, **FAST, loss=loss, pred_kd=0.0)
    learn(plain, tiny_stream(), 2)
    learn(none, tiny_stream(), 2)
    assert equal(plain, none)


def test_lwf_mc_is_plain_sigmoids_in_the_first_task_only(learn: Learn) -> None:
    for tasks, same in ((1, True), (2, False)):
        plain, distilled = make(Sigmoids, **FAST), make(PredKD, **FAST)
        learn(plain, tiny_stream(), tasks)
        learn(distilled, tiny_stream(), tasks)
        assert equal(plain, distilled) is same


@pytest.mark.parametrize("loss", ("local", "global"))
def test_the_first_task_is_that_of_finetune(learn: Learn, loss: str) -> None:
    base, ours = make(Finetune, **FAST, loss=loss), make(PredKD, **FAST, loss=loss, pred_kd=3.0, feat_kd=2.0)
    learn(base, tiny_stream(), 1)
    learn(ours, tiny_stream(), 1)
    assert equal(base, ours)


# --------------------------------------------------------------------------------------------------------- first steps


@pytest.mark.parametrize("loss", LOSSES)
def test_the_distillation_has_no_gradient_at_the_first_step(learn: Learn, loss: str) -> None:
    """Student and teacher agree, so old logits get no gradient from the term; sigmoids give them none at all."""
    learner, batch, classes = second_task(learn, loss=loss)
    old = learner.teacher.classes
    (with_term,) = torch.autograd.grad(learner.objective(batch, classes), learner.head.blocks[0].weight)
    if loss.startswith("bce"):
        assert (with_term == 0).all()
    (without,) = torch.autograd.grad(
        with_options(learner, pred_kd=0.0).objective(batch, classes), learner.head.blocks[0].weight, allow_unused=True
    )
    without = torch.zeros_like(with_term) if without is None else without
    if not loss.startswith("bce"):
        assert torch.allclose(with_term, without, atol=1e-7)
    assert bool(without.abs().max() > 1e-4) is (not loss.endswith("local")), "new images push old logits down"
    with torch.no_grad():
        learner.head.blocks[0].weight.add_(torch.randn(old, 16, generator=torch.Generator().manual_seed(1)))
    (moved,) = torch.autograd.grad(
        with_options(learner, pred_kd=1.0).objective(batch, classes), learner.head.blocks[0].weight
    )
    assert moved.abs().max() > 1e-3


def test_the_order_of_old_classes_does_not_matter(learn: Learn) -> None:
    for loss in LOSSES:
        learner, batch, classes = second_task(learn, loss=loss)
        with torch.no_grad():
            learner.head.blocks[0].weight.add_(torch.randn(learner.teacher.classes, 16))
            before = learner.objective(batch, classes)
            order = torch.randperm(learner.teacher.classes)
            for block in (learner.head.blocks[0], learner.teacher.head.blocks[0]):
                block.weight.copy_(block.weight[order])
                block.bias.copy_(block.bias[order])
            assert torch.allclose(learner.objective(batch, classes), before, atol=1e-6), loss


# -------------------------------------------------------------------------------------------------------- combinations


def test_frozen_features_are_memoised_and_give_what_a_forward_gives(learn: Learn) -> None:
    """The head alone on images as they are: neither student nor teacher passes the backbone again."""
    learner = make(PredKD, **{**FAST, "trains": "head", "augment": "none"})
    slow = make(PredKD, **{**FAST, "trains": "head", "augment": "none"})
    slow.__class__ = type("Slow", (PredKD,), {"_memoised": property(lambda self: False)})
    passes: list[int] = []
    learner.backbone.register_forward_pre_hook(lambda module, inputs: passes.append(len(inputs[0])))
    learn(learner, tiny_stream(), 2, lambda s, v: passes.clear() if v.task == 0 else None)
    learn(slow, tiny_stream(), 2)
    assert not slow._memoised and len(passes) <= 8, "one pass per class and block"
    for name, tensor in tensors(learner).items():
        assert torch.allclose(tensor, tensors(slow)[name], atol=1e-5), name


def test_the_avalanche_preset_is_cross_entropy_plus_their_term(learn: Learn) -> None:
    learner, batch, classes = second_task(learn, loss="global", pred_kd=1.0, temperature=2.0)
    with torch.no_grad():
        z = learner.head(learner.backbone(batch.x))
        g = learner.teacher(learner.backbone, batch.x)[1]
        found = learner.objective(batch, classes)
    assert g.shape[1] == z.shape[1] - len(classes)
    assert torch.allclose(found, F.cross_entropy(z, batch.y) + softened_cross_entropy(z, g, 2.0))


# --------------------------------------------------------------------------------------------------------- whole runs


def test_training_from_a_saved_state_gives_the_same_bits(learn: Learn, tmp_path: Path) -> None:
    stream = tiny_stream()
    whole = make(PredKD, **FAST, feat_kd=1.0)
    kept: list[Any] = []
    learn(whole, stream, 2, lambda s, v: kept.append(state.clone(s.get_state())))
    state.save(tmp_path / "state.safetensors", kept[0])
    fresh = make(PredKD, **FAST, feat_kd=1.0)
    fresh.info = stream.info
    fresh.setup(stream.info)
    fresh.set_state(state.load(tmp_path / "state.safetensors"))
    fresh.trainer.journal.begin(1)
    fresh.learn(stream.view(1))
    assert equal(whole, fresh)


def test_the_teacher_is_counted_as_stored(tmp_path: Path) -> None:
    learner = make(PredKD, **FAST)
    record = run(learner, tiny_stream(tasks=2), tmp_path)
    parameters = sum(p.numel() for p in learner.backbone.parameters()) + sum(
        p.numel() for p in learner.head.parameters()
    )
    stored = record["measurement"]["stored"]
    assert stored["samples"] == stored["statistics"] == 0
    assert 2 * 4 * parameters >= stored["parameters"] > 4 * parameters, "the teacher is one more copy"


PRESETS = ("lwf-mc", "lwf-mc-2022", "lwf-mc-dfcil", "lwf", "lwf-pilot", "avalanche")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_resolve_and_keep_the_training_of_the_benchmark(name: str) -> None:
    plan = make_plan("pred-kd", "split-digits", preset=name)
    assert (plan.options.epochs, plan.options.batch_size) == (3, 16)
    assert plan.options.pred_kd == (3.0 if name == "lwf-pilot" else 1.0)
    assert plan.options.loss == {"lwf": "global", "avalanche": "global", "lwf-pilot": "local"}.get(name, "bce")


@pytest.mark.parametrize("loss", LOSSES)
def test_old_predictions_on_new_images_move_less(learn: Learn, loss: str) -> None:
    moved = {0.0: 0.0, 1.0: 0.0}
    options = {**FAST, "epochs": 8, "lr": 0.002, "loss": loss, "eval_mode": True}
    for weight, draw in itertools.product(moved, DRAWS):
        learner, stream = make(PredKD, **options, pred_kd=weight, draw=draw), tiny_stream()
        view = stream.view(1)
        x = learner.backbone.transform(view.train.pixels(torch.arange(len(view.train))))
        said = learn(learner, stream, 2, lambda s, v, x=x: s.head(s.backbone(x)))
        width = said[0].shape[1]
        answers = [each[:, :width].sigmoid() if loss.startswith("bce") else each[:, :width].softmax(1) for each in said]
        moved[weight] += float((answers[1] - answers[0]).abs().mean())
    assert moved[1.0] < 0.9 * moved[0.0], moved
