"""`check_strategy` passes what keeps the contract and catches one deliberately broken strategy per check."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl import registry
from cl.errors import UsageError
from cl.options import option
from cl.parts.heads.growing import GrowingHead
from cl.strategy import Inputs, Strategy
from cl.stream import StreamInfo, View
from cl.testing import CHECKS, check_strategy, examine_strategy, parametrize_with_checks
from cl.training import state
from cl.training.optim import sgd


class Good(Strategy):
    """A head trained on frozen features, started from class means.

    Paper: none.
    Trains: the head.
    Stores: the head and one mean per class.
    Cost: one forward per image.
    Differences from the paper: none.
    """

    rules: ClassVar[tuple[str, ...]] = ("cil_seen", "til_masked", "til_oracle")

    @dataclass(frozen=True)
    class Options:
        lr: float = option(0.1, "learning rate", gt=0)

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim)
        self.means = torch.empty(0, self.backbone.dim)

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.compute("means", lambda: self.add_means(view))
        self.train_head(view, self.options.lr)

    def add_means(self, view: View) -> Any:
        features, labels = self.encode(view.train), view.train.labels
        self.means = torch.cat([self.means, torch.stack([features[labels == c].mean(0) for c in view.classes])])

    def train_head(self, view: View, lr: float) -> None:
        def loss(batch: Any) -> Tensor:
            return F.cross_entropy(self.head(batch.x), batch.y)

        data = self.encoded_batches(view.train, 16)
        self.fit("head", data, loss, self.head.parameters(), epochs=2, optimizer=sgd(lr))

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        features = inputs.encode(self.backbone)
        return self.head(features) - torch.cdist(features, self.means)


# ----------------------------------------------------------------------------------------------- one break per check


class Undocumented(Good):
    """A head.

    Paper: none.
    Trains: the head.
    """


class UnreadOption(Good):
    @dataclass(frozen=True)
    class Options(Good.Options):
        momentum_that_nobody_reads: float = option(0.9, "momentum")


class DefaultOutOfBounds(Good):
    @dataclass(frozen=True)
    class Options(Good.Options):
        lr: float = option(0.0, "learning rate", gt=0)


class UnknownRule(Good):
    rules = ("cil_sene",)


class TooFewColumns(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return super().predict(inputs, task)[:, :5]


class CountsPredictions(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.asked = 0

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        self.asked += 1
        return super().predict(inputs, task)


class RandomAnswers(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores + torch.rand(scores.shape)


class RandomOfItsOwn(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._noise = torch.Generator().manual_seed(0)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores + torch.rand(scores.shape, generator=self._noise)


class BatchNormalised(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores - scores.mean(0)


class OrderDependent(Good):
    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        scores = super().predict(inputs, task)
        return scores + 0.01 * torch.arange(len(scores))[:, None]


class AdaptsToTestImages(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._drift = torch.zeros(self.backbone.dim)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        self._drift += inputs.encode(self.backbone).mean(0)
        return super().predict(inputs, task)

    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self.means = self.means + 1e-3 * self._drift


class TrainsBackboneBesideFit(Good):
    def learn(self, view: View) -> None:
        super().learn(view)
        with torch.no_grad():
            next(self.backbone.model.parameters()).mul_(1.01)


class PrivateState(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._bias = 0.0

    def learn(self, view: View) -> None:
        super().learn(view)
        self._bias += 1.0

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self._bias * super().predict(inputs, task)


class PrivateStateMissing(Good):
    def learn(self, view: View) -> None:
        super().learn(view)
        self._bias = 1.0

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return self._bias * super().predict(inputs, task)


class ForgetsWhatComputeLeft(Good):
    """What `compute` puts into a private attribute is not there when its entry is restored."""

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self._scale = 1.0

    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self._scale = 3.0

    def learn(self, view: View) -> None:
        self._scale = 1.0
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        self.compute("means", lambda: self.add_means(view))
        self.train_head(view, self.options.lr * self._scale)


class UnseededDraws(Good):
    def add_means(self, view: View) -> Any:
        super().add_means(view)
        noise = torch.Generator()
        noise.seed()
        self.means = self.means + torch.randn(self.means.shape, generator=noise)


class RemembersInTheClass(Good):
    runs = itertools.count()

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.number = next(self.runs)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        return super().predict(inputs, task) + self.number * torch.arange(len(self.means)) ** 2


class HidesItsStore(Good):
    def stored(self) -> dict[str, int]:
        return {"samples": 0, "statistics": 0, "parameters": 0}


class TrainsForFree(Good):
    def train_head(self, view: View, lr: float) -> None:
        images, labels = self.backbone.transform(view.train.pixels(slice(None))), view.train.labels
        weights = torch.zeros(len(view.seen), self.backbone.dim, requires_grad=True)
        for _ in range(3):
            loss = F.cross_entropy(self.backbone(images) @ weights.T, labels)
            weights.data -= lr * torch.autograd.grad(loss, weights)[0]
        self.weights = weights.detach()


class KeepsEveryImage(Good):
    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self._images = [*getattr(self, "_images", []), view.train.pixels(slice(None))]


class KeepsEveryFeature(Good):
    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        self.features = torch.empty(0, self.backbone.dim)

    def add_means(self, view: View) -> Any:
        super().add_means(view)
        self.features = torch.cat([self.features, self.encode(view.train)])


BROKEN: list[tuple[type[Strategy], str, str]] = [
    (Undocumented, "documented", "no 'Stores:' and no 'Cost:'"),
    (UnreadOption, "declarations", "'momentum_that_nobody_reads' of Options is never read"),
    (DefaultOutOfBounds, "declarations", "lr must be above 0"),
    (UnknownRule, "declarations", "cil_sene"),
    (TooFewColumns, "runs", "5 columns after 10 classes"),
    (CountsPredictions, "pure", "state.asked is"),
    (RandomAnswers, "pure", "global random stream"),
    (RandomOfItsOwn, "pure", "differ by up to"),
    (BatchNormalised, "batch-independent", "in a batch of 1 instead of"),
    (OrderDependent, "batch-independent", "in a batch of 1 instead of"),
    (AdaptsToTestImages, "test-blind", "with noise instead of the test images, after 3 tasks state.means differs"),
    (TrainsBackboneBesideFit, "frozen", "changed in task 0 although no fit was given it"),
    (PrivateState, "state-round-trip", "predicts other scores"),
    (PrivateStateMissing, "state-round-trip", "AttributeError"),
    (ForgetsWhatComputeLeft, "resume", "interrupted 6 times ends with another result"),
    (UnseededDraws, "seeded", "a second run with the same seeds"),
    (RemembersInTheClass, "seeded", "a second run with the same seeds"),
    (HidesItsStore, "costs", "stored() says 0 bytes"),
    (TrainsForFree, "costs", "FLOPs are counted where"),
    (KeepsEveryImage, "memory", "most in '_images.0'"),
    (KeepsEveryFeature, "memory", "most in 'features'"),
]


def test_every_check_has_its_broken_strategy() -> None:
    assert {check for _, check, _ in BROKEN} == set(CHECKS)


def test_a_good_strategy_passes_every_check() -> None:
    report = examine_strategy(Good)
    assert {outcome.check: (outcome.status, outcome.found) for outcome in report.outcomes} == dict.fromkeys(
        CHECKS, ("passed", "")
    )


@pytest.mark.parametrize(("broken", "check", "message"), BROKEN, ids=[entry[0].__name__ for entry in BROKEN])
def test_each_break_is_caught_by_its_check(broken: type[Strategy], check: str, message: str) -> None:
    options = {"lr": 0.1} if broken is DefaultOutOfBounds else {}
    (outcome,) = examine_strategy(broken, only=[check], options=options).outcomes
    assert outcome.status == "failed", outcome
    assert message in outcome.found and outcome.fix, outcome.found


def test_check_strategy_lists_what_failed() -> None:
    with pytest.raises(AssertionError, match=r"fails \d+ of 1 checks:\n  pure: .*Fix: "):
        check_strategy(CountsPredictions, only=["pure"])


def test_what_the_strategy_raises_is_reported_with_its_place() -> None:
    class Raises(Good):
        def learn(self, view: View) -> None:
            raise KeyError("head")

    report = examine_strategy(Raises, only=["runs", "pure"])
    first, second = report.outcomes
    assert first.status == "failed" and "KeyError: 'head'" in first.found and "test_conformance.py:" in first.found
    assert second.status == "skipped" and "does not run" in second.found


def test_unknown_names_are_said() -> None:
    with pytest.raises(UsageError, match=r"There is no check 'resum'\. Did you mean resume"):
        examine_strategy(Good, only=["resum"])
    with pytest.raises(UsageError, match="There is no strategy 'slac'"):
        examine_strategy("slac")
    assert not [name for name in registry.strategies if "Good" in name], "the class was registered for the check only"


# One strategy of each kind at every run; the others share code with one of them and are slow tests.
ONE_OF_EACH = ("simplecil", "joint", "slca", "ewc", "momentum", "dualprompt", "norga", "ranpac", "mos", "wsn", "kvb")


@parametrize_with_checks(ONE_OF_EACH)
def test_built_in_strategies_keep_the_contract(check: Callable[[], None]) -> None:
    check()


@pytest.mark.slow
@parametrize_with_checks(sorted(set(registry.strategies) - set(ONE_OF_EACH)))
def test_all_other_built_in_strategies_keep_the_contract(check: Callable[[], None]) -> None:
    check()


def test_foreach_operators_are_seen_while_flops_are_counted() -> None:
    """PyTorch leaves version counters alone there; a changed backbone would pass for unchanged."""
    from cl.testing import tiny_backbone
    from cl.training.cost import count_flops

    backbone = tiny_backbone()
    parameters: list[Tensor] = list(backbone.model.parameters())

    def change() -> None:
        with torch.no_grad():
            torch._foreach_mul_(parameters, 1.01)

    count_flops(change)
    assert not backbone.is_pristine and set(backbone.get_state()) == {n for n, _ in backbone.model.named_parameters()}


def test_what_compute_and_validate_do_is_counted() -> None:
    class Validates(Good):
        def train_head(self, view: View, lr: float) -> None:
            features = self.encode(view.train)

            def validate() -> float:
                return float(self.head(features).detach().mean())

            def loss(batch: Any) -> Tensor:
                return F.cross_entropy(self.head(batch.x), batch.y)

            data, params = self.encoded_batches(view.train, 16), self.head.parameters()
            self.fit("head", data, loss, params, epochs=2, optimizer=sgd(lr), validate=validate, select="best")
            self.compute("gram", lambda: (features.T @ features).trace())

    assert not examine_strategy(Validates, only=["costs"]).failures


def test_state_differences_are_found() -> None:
    from cl.testing.reachable import differences

    one: Mapping[str, Any] = {"a": [torch.zeros(2), 1], "b": "x"}
    assert not list(differences(one, state.clone(dict(one))))
    two = {"a": [torch.tensor([0.0, 0.5]), 2], "c": "x"}
    assert list(differences(one, two)) == [
        "state.a[0] differs by up to 0.5", "state.a[1] is 1 in one and 2 in the other",
        "state.b is in one only", "state.c is in one only",
    ]  # fmt: skip
