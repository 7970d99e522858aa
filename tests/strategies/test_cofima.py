"""CoFiMA: SLCA with an average of the backbone after each task, and the Fisher information behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.statistics import diagonal
from cl.plan.plan import make_plan
from cl.strategies.cofima import CoFiMA
from cl.strategies.slca import SLCA
from cl.training import state
from cl.training.trainer import Trainer
from tests.conftest import make, tiny_backbone, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    **{"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "none", "backbone_lr_scale": 0.5},
    **{"ca_epochs": 2, "ca_samples": 16, "milestones": ()},
}


def cofima(**options: Any) -> CoFiMA:
    return make(CoFiMA, **{**FAST, **options})


def body(learner: Any) -> dict[str, Tensor]:
    copied: dict[str, Tensor] = state.clone(dict(learner.backbone.model.state_dict()))
    return copied


@pytest.mark.parametrize("weighting", ["plain", "fisher"])
def test_alpha_1_is_slca(learn: Learn, weighting: str) -> None:
    """Passes over the images for the Fisher information change nothing of the training."""
    alone, learner = make(SLCA, **FAST), cofima(alpha=1.0, weighting=weighting)
    learn(alone, tiny_stream(), 3)
    learn(learner, tiny_stream(), 3)
    assert same(body(alone), body(learner))
    for part in ("heads", "aligned", "gaussians"):
        assert same(getattr(alone, part).get_state(), getattr(learner, part).get_state()), part


def test_alpha_0_keeps_the_backbone_of_the_first_task(learn: Learn) -> None:
    ends = learn(cofima(alpha=0.0), tiny_stream(), 3, lambda s, view: body(s))
    assert same(ends[0], ends[1]) and same(ends[0], ends[2])
    assert not same(ends[0], body(cofima()))


@pytest.mark.parametrize("weighting", ["plain", "fisher"])
def test_each_task_ends_in_the_average_of_the_formula(learn: Learn, fits: list[dict[str, Any]], weighting: str) -> None:
    """The Fisher information is computed again in a plain loop over the batches of an epoch."""
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    options = {**FAST, "batch_size": 24, "alpha": 0.4, "weighting": weighting, "fisher_clip": 1e-3}
    learner = CoFiMA(CoFiMA.Options(**options), backbone, Trainer())
    views: list[tuple[Tensor, Tensor]] = []

    def after(strategy: CoFiMA, view: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        images = strategy.backbone.transform(view.train.pixels(slice(None)))
        views.append((images, view.train.labels))
        return body(strategy), state.clone(strategy.fisher)

    ends = learn(learner, tiny_stream(), 2, after)
    trained = [fit["after"] for fit in fits if fit["phase"] == "slow learning"]
    fishers = []
    for task, (images, labels) in enumerate(views):
        model = tiny_backbone().model
        model.norm = nn.LayerNorm(16)
        model.load_state_dict({**dict(model.state_dict()), **trained[task]["backbone"]})
        model.eval().requires_grad_(True)
        logits = model(images) @ torch.cat(trained[task]["heads"]["weights"]).T + torch.cat(
            trained[task]["heads"]["biases"]
        )
        named = dict(model.named_parameters())
        found = torch.autograd.grad(F.cross_entropy(logits, labels), list(named.values()))
        fishers.append({name: g.square().clamp(max=1e-3) for name, g in zip(named, found, strict=True)})
        if weighting == "fisher":
            for name, value in fishers[task].items():
                torch.testing.assert_close(ends[task][1][name], value, rtol=1e-3, atol=1e-8)
        else:
            assert ends[task][1] == {}
    for name, before in ends[0][0].items():
        f0, f1 = (each[name].double() for each in fishers) if weighting == "fisher" else (torch.ones(()).double(),) * 2
        now = {**ends[0][0], **trained[1]["backbone"]}[name].double()
        total = 0.6 * f0 + 0.4 * f1
        wanted = (0.6 * f0 * before.double() + 0.4 * f1 * now) / total
        wanted = torch.where(total > 1e-12, wanted, 0.6 * before.double() + 0.4 * now)
        torch.testing.assert_close(ends[1][0][name].double(), wanted, rtol=0, atol=1e-4)


def test_the_fisher_information_is_measured_in_training_mode(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    learner = cofima()
    modes: list[set[bool]] = []

    def watched(*arguments: Any, **more: Any) -> Any:
        modes.append({module.training for module in learner.backbone.modules()})
        return diagonal(*arguments, **more)

    monkeypatch.setattr("cl.strategies.cofima.diagonal", watched)
    learn(learner, tiny_stream(), 2)
    assert modes == [{True}, {True}] and not learner.backbone.training


def test_statistics_are_those_of_the_averaged_network(learn: Learn) -> None:
    learner = cofima()

    def check(strategy: CoFiMA, view: Any) -> None:
        with torch.no_grad():
            features = strategy.backbone(strategy.backbone.transform(view.train.pixels(slice(None))))
        for position in view.classes:
            mean = features[view.train.labels == position].mean(0)
            torch.testing.assert_close(strategy.gaussians.mean[position], mean, rtol=0, atol=1e-4)

    learn(learner, tiny_stream(), 2, check)


def test_old_heads_start_the_alignment_at_their_average(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = cofima(alpha=0.25)
    ends = learn(learner, tiny_stream(), 3, lambda s, view: state.clone(s.aligned.get_state()))
    aligned = [fit for fit in fits if fit["phase"] == "classifier alignment"]
    for task, fit in enumerate(aligned, 1):
        trained, start = fit["before"]["heads"], fit["before"]["aligned"]
        for kind in ("weights", "biases"):
            for number in range(task):
                wanted = 0.75 * ends[task - 1][kind][number] + 0.25 * trained[kind][number]
                torch.testing.assert_close(start[kind][number], wanted, rtol=0, atol=1e-6)
            assert torch.equal(start[kind][task], trained[kind][task]), "the new head is as trained"


def test_the_memory_is_that_of_slca_and_one_fisher_information(learn: Learn) -> None:
    alone, learner = make(SLCA, **FAST), cofima()
    learn(alone, tiny_stream(), 2)
    learn(learner, tiny_stream(), 2)
    network = sum(parameter.nbytes for parameter in learner.backbone.parameters())
    assert learner.stored()["statistics"] == alone.stored()["statistics"] + network
    assert learner.stored()["parameters"] == alone.stored()["parameters"]


def test_the_presets_have_the_published_values() -> None:
    backbone = "vit_base_patch16_224.augreg_in21k"
    found = {s: make_plan("cofima", s, backbone).options for s in ("split-cifar100", "imagenet-r", "stanford-cars")}
    assert [(o.epochs, o.milestones, o.alpha, o.logit_norm) for o in found.values()] == [
        (20, (18,), 0.4, 0.1),
        (50, (40,), 0.4, 0.1),
        (50, (40,), 0.5, 0.05),
    ]
    assert all(o.weighting == "fisher" and o.fisher_clip == 1e-4 for o in found.values())
