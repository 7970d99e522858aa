"""VCL: its tasks in a plain loop, heads for tasks that share classes or not, and predictions that are pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.protocol import DISJOINT, DOMAIN, SETTINGS
from cl.strategies.vcl import VCL
from cl.streams.domains import PermutedDigits
from cl.testing import check_strategy, tiny_backbone
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
    kl,
    logits,
    minimised,
    tensors_of,
)

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    **{"epochs": 2, "start_epochs": 1, "batch_size": 8, "lr": 0.01, "samples": 3, "log_variance": -4.0, "kl": 0.7},
    **{"predict": "samples", "test_samples": 5, "augment": "none"},
}
MLP = "mlp_2x100_28@random"
TENSORS = [f"{layer}.{kind}" for layer in LAYERS for kind in ("weight", "bias")]


def vcl(**options: Any) -> Any:
    return VCL(VCL.Options(**{**FAST, **options}), chain_backbone(), Starting())


def permuted(tasks: int = 2) -> Any:
    family = PermutedDigits()
    options = family.Options(tasks=tasks, train_per_class=6, test_per_class=3)
    return family.build(options, order_seed=1993, data_seed=1993)


def pixels(count: int = 6) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


@pytest.mark.slow
@pytest.mark.parametrize("stream", [None, "permuted-digits"])
def test_it_keeps_the_contract(stream: str | None) -> None:
    options = {"epochs": 2, "start_epochs": 1, "batch_size": 8, "samples": 3, "test_samples": 4}
    check_strategy("vcl", options=options, backbone=MLP, stream=stream)


def ends_like_a_plain_loop(learn: Learn, stream: Any, monkeypatch: pytest.MonkeyPatch, start_epochs: int) -> None:
    """Two tasks by the formulas of the paper, with the batches and the draws of the run."""
    method, draws = vcl(start_epochs=start_epochs), Draws(monkeypatch)
    shared = stream.setting == "domain-incremental"

    def look(s: VCL, view: Any) -> Any:
        return tensors_of(s), draws.take()[0], len(view.train), view.classes[0]

    ends = learn(method, stream, 2, look)
    before: Tensors = {}
    for task, (ours, noise, count, least) in enumerate(ends):
        phase = "means" if start_epochs and not task else "posterior"
        held = method.trainer.before[task, phase]
        if before and shared:
            assert all(torch.equal(held[name], before[name]) for name in TENSORS), "one head for all tasks"
        for name in TENSORS:
            known = before and (shared or not name.startswith("head"))
            expected = before[f"rho.{name}"] if known else torch.full_like(held[name], -4.0)
            assert torch.equal(held[f"rho.{name}"], expected)
        if phase == "means":

            def plain(values: Tensors, batch: Any, least: int = least) -> Tensor:
                x = batch.x.flatten(1)
                for layer in LAYERS:
                    x = F.linear(x, values[f"{layer}.weight"], values[f"{layer}.bias"])
                    x = x if layer == "head" else x.relu()
                return F.cross_entropy(x, batch.y - least)

            held = minimised(held, dict.fromkeys(TENSORS, 0.01), method.trainer.batches[task, "means"], plain)
        prior = {name: value.clone() for name, value in (before or held).items()}
        for name in TENSORS:
            if not before or (name.startswith("head") and not shared):
                prior[name] = prior[f"rho.{name}"] = torch.zeros_like(held[name])

        def bound(
            values: Tensors, batch: Any, prior: Tensors = prior, noise: Any = noise, count: int = count,
            least: int = least,
        ) -> Tensor:  # fmt: skip
            found = logits(values, batch.x, 3, noise, [])
            return cross_entropy(found, batch.y - least) + 0.7 * kl(values, prior, TENSORS) / count

        rates = dict.fromkeys([*TENSORS, *(f"rho.{name}" for name in TENSORS)], 0.01)
        held = minimised(held, rates, method.trainer.batches[task, "posterior"], bound)
        assert next(noise, None) is None
        assert_alike(ours, held)
        before = ours


@pytest.mark.parametrize("start_epochs", [0, 2])
def test_two_tasks_end_like_a_plain_loop(learn: Learn, monkeypatch: pytest.MonkeyPatch, start_epochs: int) -> None:
    ends_like_a_plain_loop(learn, tiny_stream(), monkeypatch, start_epochs)


def test_domains_with_one_head_end_like_a_plain_loop(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    ends_like_a_plain_loop(learn, permuted(), monkeypatch, 1)


def test_heads_of_earlier_tasks_stay_bit_for_bit(learn: Learn) -> None:
    method = vcl()

    def look(s: VCL, view: Any) -> list[Tensor]:
        stored = s.posterior.log_variances
        return [each.detach().clone() for each in (*s.head.blocks[0].parameters(), stored["head.0.weight"])]

    first, second = learn(method, tiny_stream(), 2, look)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not method.posterior.prior, "between tasks no prior is stored beside the distribution"
    weights = sum(p.numel() for p in method.backbone.model.parameters())
    assert method.stored()["parameters"] == 4 * (2 * weights + 2 * 2 * (2 * 7))


def test_tasks_that_share_their_classes_have_one_head_and_need_not_be_told(learn: Learn) -> None:
    method = vcl()
    learn(method, permuted(), 2)
    assert len(method.head) == 1
    assert torch.equal(method.predict_images(pixels()), method.predict_images(pixels(), 1))
    assert method.predict_images(pixels()).shape == (6, 10)
    other = vcl()
    learn(other, tiny_stream(), 2)
    with pytest.raises(UsageError, match="VCL has parts of its own for every task"):
        other.predict_images(pixels())
    scores = other.predict_images(pixels(), 1)
    assert scores[:, :2].isinf().all() and scores[:, 2:].isfinite().all()
    assert torch.equal(other.predict_images(pixels(), 4), torch.zeros(6, 4))


def test_predictions_are_the_average_of_draws_and_pure(learn: Learn) -> None:
    method = vcl(test_samples=4000)
    learn(method, tiny_stream(), 2)
    with torch.no_grad():
        for value in method.posterior.log_variances.values():
            value.fill_(-3.0)  # wide enough that averages differ from means
    before = torch.get_rng_state()
    scores = method.predict_images(pixels(), 0)[:, :2]
    assert torch.equal(torch.get_rng_state(), before) and torch.equal(method.predict_images(pixels(), 0)[:, :2], scores)
    torch.testing.assert_close(method.predict_images(pixels()[2:3], 0)[:, :2], scores[2:3])
    model, head, totals = method.backbone.model, method.head.blocks[0], torch.zeros(6, 2)
    stored, rng = method.posterior.log_variances, torch.Generator().manual_seed(0)
    x = method.backbone.transform(pixels()).flatten(1)
    with torch.no_grad():
        for _ in range(4000):  # whole weights are drawn, as the distribution says
            y = x
            for name, layer in (("backbone.fc1", model.fc1), ("backbone.fc2", model.fc2), ("head.0", head)):
                w, b = (
                    value + (stored[f"{name}.{kind}"] / 2).exp() * torch.randn(value.shape, generator=rng)
                    for kind, value in (("weight", layer.weight), ("bias", layer.bias))
                )
                y = F.linear(y, w, b) if name == "head.0" else F.linear(y, w, b).relu()
            totals += y.softmax(1)
    torch.testing.assert_close(scores.exp(), totals / 4000, atol=0.03, rtol=0)
    assert torch.allclose(scores.exp().sum(1), torch.ones(6))


def test_predictions_of_the_means_are_those_of_the_network(learn: Learn) -> None:
    method, narrow = vcl(predict="mean"), vcl()
    learn(method, tiny_stream(), 1)
    features = method.backbone(method.backbone.transform(pixels()))
    expected = method.head.blocks[0](features).log_softmax(1)
    torch.testing.assert_close(method.predict_images(pixels(), 0), expected)
    learn(narrow, tiny_stream(), 1)
    narrow.set_state(state.clone(method.get_state()))
    with torch.no_grad():
        for value in narrow.posterior.log_variances.values():
            value.fill_(-30.0)
    torch.testing.assert_close(narrow.predict_images(pixels(), 0), expected, atol=1e-3, rtol=0)


def test_a_run_resumes_with_its_distributions_on_its_device(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    method, fresh = vcl(), vcl()
    learn(method, tiny_stream(), 1)
    saved = state.clone(method.get_state()["posterior"])
    monkeypatch.setattr("cl.strategies.vcl.gaussian_layers", lambda *_: {})
    fresh.trainer.device = torch.device("meta")
    fresh.setup(tiny_stream().info)
    fresh.posterior.set_state(saved)
    assert {each.device.type for each in fresh.posterior.log_variances.values()} == {"meta"}


def test_the_prior_holds_what_a_task_may_change(learn: Learn) -> None:
    moved = []
    for weight in (0.0, 300.0):
        method = vcl(kl=weight, epochs=4)
        one, two = learn(method, tiny_stream(), 2, lambda s, view: s.backbone.model.fc1.weight.clone())
        moved.append(float((one - two).square().mean()))
    assert moved[1] < 0.7 * moved[0]


def test_a_network_with_other_parts_is_refused_before_training() -> None:
    method = VCL(VCL.Options(**FAST), tiny_backbone(), Starting())
    with pytest.raises(UsageError, match="choose a network without norms and attention, such as mlp_2x256_28@random"):
        method.setup(tiny_stream().info)


def test_it_learns_separate_tasks_and_domains() -> None:
    able = [setting for setting in SETTINGS if VCL.supports(setting, VCL.Options())]
    assert able == [*DISJOINT, DOMAIN]


def test_presets_are_those_of_the_code() -> None:
    split: VCL.Options = make_plan("vcl", "split-mnist", "mlp_2x256_28@random").options
    assert (split.epochs, split.start_epochs, split.batch_size, split.lr) == (120, 120, 60_000, 1e-3)
    digits: VCL.Options = make_plan("vcl", "permuted-mnist", MLP).options
    assert (digits.epochs, digits.start_epochs, digits.batch_size) == (100, 100, 256)
    assert split.test_samples == digits.test_samples == 100 and split.samples == 10 and split.log_variance == -6
