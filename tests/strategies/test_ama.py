"""AMA: averages of groups of blocks, given or trained on the task's images with both networks fixed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from cl.backbone import load
from cl.backbone.options import BackboneOptions
from cl.errors import UsageError
from cl.parts.merging import groups_of
from cl.plan.plan import make_plan
from cl.registry import strategies
from cl.strategies.ama import AMA
from cl.strategies.finetune import Finetune
from cl.strategy import Strategy
from cl.training import state
from tests.conftest import make, tiny_backbone, tiny_stream
from tests.help.compare import same
from tests.help.plain_loops import Keeping

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


class Headless(Strategy):
    """A base that can be interpolated and has no head of ours."""

    interpolates = True


def ama(**options: Any) -> AMA:
    return make(AMA, **{"base_options": FAST, "groups": 2, **options})


def body(learner: Any) -> dict[str, Tensor]:
    copied: dict[str, Tensor] = state.clone(dict(learner.backbone.model.state_dict()))
    return copied


def test_keeping_nothing_is_the_base_and_keeping_all_the_weights_before(learn: Learn) -> None:
    alone, none, everything = make(Finetune, **FAST), ama(keep=(0.0, 0.0)), ama(keep=(1.0, 1.0))
    start = body(alone)
    for learner in (alone, none, everything):
        learn(learner, tiny_stream(), 2)
    assert same(body(alone), body(none)) and same(body(everything), start)


@pytest.mark.parametrize("shape", ["groups", "linear"])
def test_each_group_has_its_average(learn: Learn, shape: str) -> None:
    """With two blocks, the ends of the line are the groups; outside of blocks the line has its first value."""
    alone, wrapped = make(Finetune, **FAST), ama(keep=(0.75, 0.25), shape=shape)
    start = body(alone)
    for learner in (alone, wrapped):
        learn(learner, tiny_stream(), 1)
    norm = 0.75 if shape == "linear" else 0.25
    for name, keep in {
        "cls_token": 0.75,
        "blocks.0.mlp.fc1.weight": 0.75,
        "blocks.1.mlp.fc1.bias": 0.25,
        "norm.bias": norm,
    }.items():
        wanted = keep * start[name] + (1 - keep) * body(alone)[name]
        torch.testing.assert_close(body(wrapped)[name], wanted, rtol=0, atol=1e-6)
    assert wrapped.report()["task0.keep0"] == 0.75


def test_chosen_coefficients_are_those_of_a_plain_loop(learn: Learn) -> None:
    """AdamW with half a cosine on the raw numbers, through the mixed network, with the penalty."""
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    options = AMA.Options(groups=2, base_options=FAST, reg=0.05, choose_lr=0.1, choose_epochs=2, keep_mean=0.3)
    learner = AMA(options, backbone, Keeping())
    start = body(learner)
    factors = AMA.factors
    trained: dict[str, Tensor] = {}

    def traced(self: AMA, view: Any, anchor: Any) -> dict[str, float]:
        trained.update(body(self))
        return factors(self, view, anchor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AMA, "factors", traced)
        learn(learner, tiny_stream(), 1)
    batches = learner.trainer.batches[0, "choice of coefficients"]  # type: ignore[attr-defined]
    raw = nn.Parameter(torch.full((2,), float(torch.logit(torch.tensor(0.3)))))
    optimizer = torch.optim.AdamW([raw], lr=0.1, weight_decay=0.0)
    model, total = tiny_backbone().model, len(batches)
    assert isinstance(learner.base, Finetune)

    def coefficients() -> Tensor:
        raised = torch.sigmoid(raw) + 0.2
        return 0.3 * raised / raised.sum() * 2

    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 + torch.cos(torch.tensor(torch.pi * step / total)).item()) / 2
        keep = coefficients()
        mixed = {}
        for name, value in trained.items():
            late = name.startswith(("blocks.1.", "norm."))
            mixed[name] = keep[int(late)] * start[name] + (1 - keep[int(late)]) * value
        logits = learner.base.head(functional_call(model, mixed, (batch.x,)))
        loss = nn.functional.cross_entropy(logits, batch.y) + 0.05 * 4 * (keep - 0.3).abs().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert learner.kept[0] == pytest.approx(coefficients().tolist(), abs=1e-4)
    assert learner.kept[0] != pytest.approx([0.3, 0.3], abs=1e-3), "the coefficients did move"
    for name, value in trained.items():
        share = learner.kept[0][int(name.startswith(("blocks.1.", "norm.")))]
        torch.testing.assert_close(body(learner)[name], share * start[name] + (1 - share) * value, rtol=0, atol=1e-6)


def test_the_choice_trains_nothing_but_the_coefficients(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = ama()
    learn(learner, tiny_stream(), 2)
    chosen = [fit for fit in fits if fit["phase"] == "choice of coefficients"]
    assert len(chosen) == 2
    for fit in chosen:
        assert [parameter is learner.raw[0] for parameter in fit["params"]] == [True]
        assert same(fit["before"]["base"], fit["after"]["base"])
        assert not same(fit["before"]["raw"], fit["after"]["raw"])
    for kept in learner.kept:
        assert sum(kept) / 2 == pytest.approx(0.2), "the mean stays"


def test_a_network_with_fewer_blocks_has_a_group_per_block(learn: Learn) -> None:
    learner = ama(groups=5)
    learn(learner, tiny_stream(), 1)
    assert len(learner.kept[0]) == 2


def test_options_without_sense_are_refused() -> None:
    for options, says in (
        ({"keep": (0.1, 0.2)}, "keep has 2 values; shape=groups needs 3"),
        ({"shape": "linear"}, "keep has 0 values; shape=linear needs 2"),
        ({"base": "simplecil"}, "^base=simplecil cannot be interpolated"),
    ):
        with pytest.raises(UsageError, match=says):
            make_plan("ama", "split-digits", options=options)
    strategies.register("headless", Headless)
    try:
        with pytest.raises(UsageError, match=r"base=headless does not say how its head is trained.*set keep="):
            make(AMA, base="headless").setup(tiny_stream().info)
        make(AMA, base="headless", keep=(0.1, 0.2), groups=2).setup(tiny_stream().info)
    finally:
        strategies.unregister("headless")
    with pytest.raises(UsageError, match="5 coefficients cannot be spread over 2 blocks"):
        ama(groups=5, keep=(0.1,) * 5).setup(tiny_stream().info)


@pytest.mark.parametrize("network", ["test_resnet@random", "test_efficientnet@random"])
def test_coefficients_are_chosen_through_running_statistics(network: str, learn: Learn) -> None:
    """The first gradient of the choice is the slope of a plain loss; statistics are averaged but have no gradient."""
    backbone = load(network, BackboneOptions(image_size=32))
    learner = AMA(AMA.Options(groups=2, base_options=FAST, choose_lr=0.1, reg=0.0), backbone, Keeping())
    start = body(learner)
    factors, fit = AMA.factors, learner.trainer.fit
    trained: dict[str, Tensor] = {}
    gradients: list[Tensor] = []

    def traced(self: AMA, view: Any, anchor: Any) -> dict[str, float]:
        trained.update(body(self))
        return factors(self, view, anchor)

    def watched(strategy: Any, phase: str, spec: Any) -> Any:
        def look(_: Any) -> None:
            if phase == "choice of coefficients" and not gradients:
                assert learner.raw[0].grad is not None
                gradients.append(learner.raw[0].grad.clone())

        return fit(strategy, phase, replace(spec, before_step=look))

    vars(learner.trainer)["fit"] = watched
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AMA, "factors", traced)
        learn(learner, tiny_stream(), 1)
    assert isinstance(learner.base, Finetune)
    batch = learner.trainer.batches[0, "choice of coefficients"][0]  # type: ignore[attr-defined]
    model = load(network, BackboneOptions(image_size=32)).model.eval()
    groups = groups_of(learner._names, 2)

    def value(first: float) -> Tensor:
        """The loss in float64; statistics stay at the average of equal coefficients."""
        raw = torch.logit(torch.tensor([0.2, 0.2], dtype=torch.float64))
        raised = torch.sigmoid(raw + torch.tensor([first, 0.0])) + 0.2
        keep = 0.2 * raised / raised.mean()
        mixed = {}
        for name, now in trained.items():
            if name not in groups:
                continue
            share = 0.2 if "running_" in name else keep[groups[name]]
            mixed[name] = share * start[name].double() + (1 - share) * now.double()
        logits = functional_call(model.double(), mixed, (batch.x.double(),)) @ head["weight"].T + head["bias"]
        return nn.functional.cross_entropy(logits, batch.y)

    head = {name: tensor.detach().double() for name, tensor in learner.base.head.blocks[0].named_parameters()}
    slope = float(value(1e-4) - value(-1e-4)) / 2e-4
    assert float(gradients[0][0]) == pytest.approx(slope, rel=0.05)
    assert abs(slope) > 1e-6
    for name, now in trained.items():
        if name in groups:
            share = learner.kept[0][groups[name]]
            wanted = share * start[name] + (1 - share) * now
            torch.testing.assert_close(body(learner)[name], wanted, rtol=1e-5, atol=1e-5)
