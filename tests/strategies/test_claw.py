"""CLAW: both steps in a plain loop, without adaptation it is VCL, and adaptations that never change again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.parts.weights import unit_adaptation
from cl.strategies.claw import CLAW, parts
from cl.strategies.vcl import VCL
from cl.streams.domains import PermutedDigits
from cl.testing import check_strategy
from cl.training import state
from tests.conftest import tiny_stream
from tests.help.backbones import chain_backbone
from tests.help.gaussians import (
    LAYERS,
    Draws,
    Starting,
    Tensors,
    assert_alike,
    cross_entropy,
    factors_of,
    kl,
    logits,
    minimised,
    tensors_of,
)

Learn = Callable[..., list[Any]]
OF_VCL: dict[str, Any] = {
    **{"epochs": 2, "start_epochs": 1, "batch_size": 8, "lr": 0.01, "samples": 3, "log_variance": -4.0, "kl": 0.7},
    **{"predict": "samples", "test_samples": 5, "augment": "none"},
}
OWN: dict[str, Any] = {"adapt_epochs": 2, "adapt_lr": 0.1, "adapt_prior": 0.3, "rounds": 1, "temperature": 0.5}
TENSORS = [f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")]
HEAD = ["head.weight", "head.bias"]


def claw(**options: Any) -> Any:
    return CLAW(CLAW.Options(**{**OF_VCL, **OWN, **options}), chain_backbone(), Starting())


def pixels(count: int = 6) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


def permuted(tasks: int = 3) -> Any:
    family = PermutedDigits()
    options = family.Options(tasks=tasks, train_per_class=6, test_per_class=3)
    return family.build(options, order_seed=1993, data_seed=1993)


@pytest.mark.slow
@pytest.mark.parametrize("stream", [None, "permuted-digits"])
def test_it_keeps_the_contract(stream: str | None) -> None:
    options = {
        **{"epochs": 2, "start_epochs": 1, "batch_size": 8, "samples": 3, "test_samples": 4, "adapt_epochs": 2},
        "rounds": 2,
    }
    check_strategy("claw", options=options, backbone="mlp_2x100_28@random", stream=stream)


def test_both_steps_of_a_task_end_like_a_plain_loop(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    method, draws = claw(start_epochs=0), Draws(monkeypatch)
    stream = tiny_stream()
    begun: list[Any] = []

    def look(s: CLAW, view: Any) -> Any:
        begun.append(draws.take())
        return tensors_of(s), len(view.train), view.classes[0]

    ends = learn(method, stream, 2, look)
    before: Tensors = {}
    for task, (ours, count, least) in enumerate(ends):
        noise, switches = begun[task]
        held = method.trainer.before[task, "adaptation"]
        prior = {name: value.clone() for name, value in (before or held).items()}
        for name in TENSORS if not before else HEAD:
            prior[name] = prior[f"rho.{name}"] = torch.zeros_like(held[name])
        assert all(torch.equal(held[f"adapt.{n}"][:2], torch.zeros(2, 6)) for n in range(2))

        def bound(
            values: Tensors, batch: Any, names: list[str], prior: Tensors = prior, count: int = count,
            least: int = least, noise: Any = noise, switches: Any = switches,
        ) -> Tensor:  # fmt: skip
            factors = [factors_of(values[f"adapt.{n}"], next(switches), 0.5) for n in range(2)]
            distance = kl(values, prior, names)
            for n in range(2):
                p = torch.sigmoid(values[f"adapt.{n}"][0])
                distance = distance + (p * (p / 0.3).log() + (1 - p) * ((1 - p) / 0.7).log()).sum()
            found = logits(values, batch.x, 3, noise, factors)
            return cross_entropy(found, batch.y - least) + 0.7 * distance / count

        rates = dict.fromkeys([*HEAD, *(f"rho.{name}" for name in HEAD)], 0.01) | {"adapt.0": 0.1, "adapt.1": 0.1}
        batches = method.trainer.batches
        held = minimised(held, rates, batches[task, "adaptation"], partial(bound, names=HEAD))
        rates = dict.fromkeys([*TENSORS, *(f"rho.{name}" for name in TENSORS)], 0.01)
        held = minimised(held, rates, batches[task, "posterior"], partial(bound, names=TENSORS))
        assert next(noise, None) is None and next(switches, None) is None
        assert_alike(ours, held, ("fc", "head", "rho", "adapt"))
        assert float((ours["adapt.0"][1]).abs().max()) > 0.1, "the adaptation trains"
        before = ours


def test_the_first_step_leaves_the_shared_distributions(learn: Learn) -> None:
    method = claw()
    learn(method, tiny_stream(), 2)
    for task in range(2):
        before = method.trainer.before
        one, two = before[task, "adaptation"], before[task, "posterior"]
        shared = [name for name in two if "fc" in name]
        assert len(shared) == 8 and all(torch.equal(one[name], two[name]) for name in shared)
        assert not torch.equal(one["head.weight"], two["head.weight"])
        assert not torch.equal(one["adapt.1"], two["adapt.1"])


def test_without_adaptation_it_is_vcl_bit_for_bit(learn: Learn) -> None:
    plain = VCL(VCL.Options(**OF_VCL), chain_backbone(), Starting())
    method = claw(adapt_epochs=0)
    ends = [learn(each, tiny_stream(), 3, lambda s, view: tensors_of(s)) for each in (plain, method)]
    for one, two in zip(*ends, strict=True):
        assert all(torch.equal(value, two[name]) for name, value in one.items())
    for task in range(3):
        assert torch.equal(plain.predict_images(pixels(), task), method.predict_images(pixels(), task))


def test_switches_that_are_all_off_give_vcl_bit_for_bit(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = VCL(VCL.Options(**OF_VCL), chain_backbone(), Starting())
    method, fit = claw(), Starting.fit
    off = lambda logits, copies, *rest: torch.zeros(copies, len(logits))  # noqa: E731
    monkeypatch.setattr(unit_adaptation, "concrete", off)

    def without_first(self: Any, strategy: Any, phase: str, spec: Any) -> Any:
        if phase == "adaptation":  # it would train the head longer
            for values in strategy.adaptation.current:
                values[1:].uniform_(-3, 3)
            return {}
        return fit(self, strategy, phase, spec)

    monkeypatch.setattr(Starting, "fit", without_first)
    ends = [learn(each, tiny_stream(), 2, lambda s, view: tensors_of(s)) for each in (plain, method)]
    for one, two in zip(*ends, strict=True):
        assert all(torch.equal(value, two[name]) for name, value in one.items())
    for task in range(2):
        assert torch.equal(plain.predict_images(pixels(), task), method.predict_images(pixels(), task))


def test_adaptations_and_heads_of_earlier_tasks_never_change(learn: Learn) -> None:
    method = claw(rounds=2)

    def look(s: CLAW, view: Any) -> Any:
        held = [value for layer in s._with_head(0).values() for value in layer.parameters()]
        return state.clone([s.adaptation.tasks, list(s.head.blocks[0].parameters())]), float(held[0].sum())

    (first, one), (second, two) = learn(method, tiny_stream(), 2, look)
    assert all(torch.equal(*pair) for pair in zip(first[0][0], second[0][0], strict=True))
    assert all(torch.equal(*pair) for pair in zip(first[1], second[1], strict=True))
    assert one != two and len(second[0]) == 2 and not method.adaptation.current
    assert set(method.report()) == {"task0.adapted", "task1.adapted"}


def test_each_task_answers_with_its_own_factors(learn: Learn) -> None:
    method = claw(predict="mean")
    learn(method, tiny_stream(), 2)
    model, x = method.backbone.model, method.backbone.transform(pixels()).flatten(1)
    for task in range(2):
        one, two = (1 + v[0].sigmoid() * (v[2].exp() * v[1].sigmoid() - 1) for v in method.adaptation.tasks[task])
        y = model.fc2(model.fc1(x).relu() * one).relu() * two
        expected = method.head.blocks[task](y).log_softmax(1)
        found = method.predict_images(pixels(), task)[:, 2 * task : 2 * task + 2]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    drawn = claw()
    learn(drawn, tiny_stream(), 2)
    before = torch.get_rng_state()
    scores = drawn.predict_images(pixels(), 1)
    assert torch.equal(torch.get_rng_state(), before) and torch.equal(drawn.predict_images(pixels(), 1), scores)
    with torch.no_grad():
        drawn.adaptation.tasks[1][0][1].add_(5.0)
    assert not torch.allclose(drawn.predict_images(pixels(), 1)[:, 2:], scores[:, 2:])


@pytest.mark.parametrize("predict", ["samples", "mean"])
def test_where_the_task_is_not_told_the_surest_adaptation_answers(learn: Learn, predict: str) -> None:
    method = claw(predict=predict)
    learn(method, permuted(), 3)
    each = torch.stack([method.predict_images(pixels(20), task) for task in range(3)])
    entropy = -(each.softmax(-1) * each.log_softmax(-1)).sum(-1)
    chosen = entropy.argmin(0)
    assert len(set(chosen.tolist())) > 1 and not torch.allclose(each[0], each[1])
    torch.testing.assert_close(method.predict_images(pixels(20)), each[chosen, torch.arange(20)])
    assert torch.equal(method.predict_images(pixels(20), 7), each[2]), "a later task has the latest adaptation"
    other = claw()
    learn(other, tiny_stream(), 2)
    with pytest.raises(UsageError, match="CLAW has parts of its own for every task"):
        other.predict_images(pixels())


def test_rounds_share_the_epochs() -> None:
    assert parts(10, 5) == [2] * 5 and parts(7, 3) == [2, 2, 3] and parts(2, 1) == [2] and parts(1, 3) == [0, 0, 1]


def test_rounds_of_no_epoch_are_left_out(learn: Learn) -> None:
    method = claw(rounds=3, epochs=1, adapt_epochs=2)
    phases: list[str] = []
    fit = method.trainer.fit

    def noted(strategy: Any, phase: str, spec: Any) -> Any:
        phases.append(f"{phase} {spec.epochs}")
        return fit(strategy, phase, spec)

    vars(method.trainer)["fit"] = noted
    learn(method, tiny_stream(), 1)
    assert phases == ["means 1", "adaptation 1", "adaptation 1", "posterior 1"]
