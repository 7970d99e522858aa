"""Regularized fine-tuning: the teacher, and the terms of the objective together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.parts.losses import LOSSES
from cl.protocol import DISJOINT, DOMAIN, ONLINE
from cl.strategies.l2 import L2
from cl.strategies.pred_kd import PredKD
from cl.training import state
from cl.training.batches import Batch
from tests.conftest import equal, make, tensors, tiny_stream
from tests.help.distillation import FAST, second_task, with_options

Learn = Callable[..., list[Any]]


@pytest.mark.parametrize("options", [{}, {"trains": "qkv"}, {"trains": "head"}, {"trains": "head", "augment": "none"}])
def test_the_teacher_stays_bit_identical_while_the_student_trains(learn: Learn, options: dict[str, Any]) -> None:
    seen: list[Any] = []

    class Watched(PredKD):
        def objective(self, batch: Batch, classes: tuple[int, ...]) -> Tensor:
            assert self.teacher is not None
            if self.teacher.classes:
                seen.append(state.clone(self.teacher.get_state()))
            return super().objective(batch, classes)

    learner = make(Watched, **{**FAST, **options})
    ends = learn(learner, tiny_stream(), 2, lambda s, v: state.clone(tensors(s)))
    assert len(seen) > 1
    for teacher in seen:
        for name, tensor in teacher["tensors"].items():
            assert torch.equal(tensor, ends[0][name]), name
        assert len(teacher["head"]["weights"]) == 1, "the classes it knew, not those of the task"
        assert torch.equal(teacher["head"]["weights"][0], ends[0]["head0"][:, :-1])
    moved = [name for name in ends[0] if name in seen[0]["tensors"] and not torch.equal(ends[0][name], ends[1][name])]
    assert bool(moved) is (options.get("trains") != "head")


def test_student_and_teacher_see_the_same_images_once_each(learn: Learn) -> None:
    learner, batch, classes = second_task(learn, feat_kd=1.0)
    seen: list[Tensor] = []
    learner.backbone.model.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    learner.objective(batch, classes)
    assert len(seen) == 2 and all(images is batch.x for images in seen)


@pytest.mark.parametrize("loss", LOSSES)
def test_all_terms_together_add_linearly(learn: Learn, loss: str) -> None:
    learner, batch, classes = second_task(learn, loss=loss, feat_kd=1.0)
    for parameter in [*learner.tuned().values(), *learner.head.parameters()]:
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))

    def value(pred: float, feat: float, scale: float = 1.0) -> float:
        with_options(learner, pred_kd=pred, feat_kd=feat, loss_scale=scale)
        return float(learner.objective(batch, classes).detach())

    base, pred, feat = value(0, 0), value(1, 0), value(0, 1)
    assert feat > base and torch.isfinite(torch.tensor([base, pred, feat])).all()
    assert value(0, 3) == pytest.approx(base + 3 * (feat - base), rel=1e-5)
    assert value(1, 3) == pytest.approx(pred + 3 * (feat - base), rel=1e-5)
    if loss != "bce":  # there weight 0 puts zeros in the place of the soft targets
        assert value(2, 3) == pytest.approx(base + 2 * (pred - base) + 3 * (feat - base), rel=1e-5)
    else:
        assert value(3, 0) - value(2, 0) == pytest.approx(value(2, 0) - value(1, 0), rel=1e-3)
    scaled = 5 * pred if loss.startswith("bce") else 5 * base + pred - base
    assert value(1, 0, scale=5.0) == pytest.approx(scaled, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "options",
    [
        {"pred_kd": 0.0},
        {"feat_kd": 1.0},
        {"feat_kd": 1.0, "feat_kd_mode": "cosine", "trains": "qkv", "eval_mode": True},
        {"bce_reduction": "sum", "balanced_bce": True, "loss_scale": 5.0},
        {"trains": "head", "augment": "none", "feat_kd": 1.0},
        {"pred_kd": 0.5, "temperature": 4.0, "optimizer": "adam"},
    ],
)
def test_every_combination_of_options_trains(learn: Learn, loss: str, options: dict[str, Any]) -> None:
    learner = make(PredKD, **{**FAST, "epochs": 1, "lr": 0.01, "loss": loss, **options})
    learn(learner, tiny_stream(), 2)
    assert all(torch.isfinite(tensor).all() for tensor in tensors(learner).values())


def test_evaluation_mode_trains_without_dropout(learn: Learn) -> None:
    for still in (True, False):
        learner, batch, classes = second_task(learn, eval_mode=still)
        learner.backbone.train()
        assert torch.equal(learner.objective(batch, classes), learner.objective(batch, classes)) is still


def test_a_penalty_adds_to_distillation_and_a_memory(learn: Learn) -> None:
    options = {**FAST, "loss": "bce", "loss_scale": 5.0, "pred_kd": 1.0, "memory_size": 6}
    both, without = make(L2, **options, reg=0.05), make(L2, **options, reg=0.0)
    learn(both, tiny_stream(), 2)
    learn(without, tiny_stream(), 2)
    assert not equal(both, without) and both.stored()["samples"] > 0


@pytest.mark.parametrize(("trains", "count"), [("all", None), ("qkv", 4), ("head", 0)])
def test_the_tuned_parameters_are_all_or_the_projections_or_none(trains: str, count: int | None) -> None:
    learner = make(PredKD, **{**FAST, "trains": trains})
    tuned, every = learner.tuned(), dict(learner.backbone.model.named_parameters())
    assert len(tuned) == (len(every) if count is None else count)
    assert all(every[name] is parameter for name, parameter in tuned.items())
    assert trains != "qkv" or all(".attn.qkv." in name for name in tuned)
    for name, anchor in learner.anchored().items():
        assert torch.equal(anchor, tuned[name]) and anchor.data_ptr() != tuned[name].data_ptr()


@pytest.mark.parametrize(("options", "domains"), [({}, True), ({"pred_kd": 1.0}, False), ({"feat_kd": 1.0}, False)])
def test_distillation_needs_streams_without_returning_classes(options: dict[str, Any], domains: bool) -> None:
    chosen = L2.Options(**options)
    assert L2.supports(DOMAIN, chosen) is domains
    assert all(L2.supports(setting, chosen) for setting in DISJOINT) and not L2.supports(ONLINE, chosen)
