"""Wrappers: a strategy around another one sees every step of it, and its own state is journaled with the base's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.bases.wrapper import Wrapper
from cl.cli.app import call
from cl.errors import UsageError
from cl.options import option
from cl.parts.heads.growing import GrowingHead
from cl.parts.losses import local_cross_entropy
from cl.plan.plan import make_plan
from cl.registry import strategies
from cl.strategies.finetune import Finetune
from cl.strategy import Strategy
from cl.stream import StreamInfo, View
from cl.testing import named
from cl.training import state
from cl.training.optim import When, sgd
from tests.conftest import make, run, tiny_stream

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


class Busy(Strategy):
    """A base that uses all it is given: hooks of its own, `compute` in setup and between two fits, random streams."""

    def setup(self, info: StreamInfo) -> None:
        self.head = GrowingHead(self.backbone.dim)
        self.centre = self.compute("centre", lambda: torch.randn(self.backbone.dim))
        self.drawn: list[float] = []
        self.hooks = 0

    def learn(self, view: View) -> None:
        self.head.grow_to(len(view.seen), self.init_rng("head"))
        for parameters in (self.backbone.parameters(), self.head.parameters()):
            self.compute("draw", self._draw)
            self.fit(
                "train", self.batches(view.train, 16, "crop-flip"),
                lambda b: local_cross_entropy(self.head(self.backbone(b.x) + self.centre), b.y, view.classes),
                parameters, epochs=1, optimizer=sgd(0.05), before_step=self._count, after_step=self._count,
            )  # fmt: skip

    def predict(self, inputs: Any, task: int | None = None) -> Tensor:
        return self.head(inputs.encode(self.backbone) + self.centre)

    def _draw(self) -> None:
        self.drawn = [*self.drawn, float(torch.rand((), generator=self.rng("draw")))]

    def _count(self, when: When) -> None:
        self.hooks += 1


class Bare(Wrapper):
    """A wrapper without an idea."""


class Log(Wrapper):
    """Keeps a trace of what it is told, and a running sum that depends on every step."""

    @dataclass(frozen=True)
    class Options(Wrapper.Options):
        rate: float = option(0.5, "share of the new value")

    def setup(self, info: StreamInfo) -> None:
        self.trace = torch.zeros(self.backbone.dim)
        self.counts = {"fits": 0, "before": 0, "after": 0}
        super().setup(info)

    def before_fit(self, trained: list[nn.Parameter]) -> None:
        assert all(isinstance(parameter, nn.Parameter) for parameter in trained) and trained
        self.counts["fits"] = max(self.counts["fits"], len(trained))  # it may be called again after a kill

    def before_step(self, when: When) -> None:
        assert getattr(self.base, "hooks", 1) % 2 == 1, "the base's own hook comes first"
        self.counts["before"] += 1

    def after_step(self, when: When) -> None:
        self.counts["after"] += 1
        self.trace.lerp_(self.backbone.model.get_parameter("norm.bias").detach(), self.options.rate)


@pytest.fixture(autouse=True)
def _names() -> Iterator[None]:
    strategies.register("busy", Busy)
    strategies.register("log", Log)
    yield
    strategies.unregister("busy")
    strategies.unregister("log")


def weights(learner: Strategy) -> Tensor:
    return torch.cat([p.detach().flatten() for p in {id(p): p for p in state.parameters_of(learner)}.values()])


@pytest.mark.parametrize("base", ["finetune", "busy"])
def test_without_an_idea_it_is_its_base(tmp_path: Path, base: str) -> None:
    options = FAST if base == "finetune" else {}
    alone = make(strategies.get(base), **options)
    wrapped = make(Bare, base=base, base_options=options)
    stream = tiny_stream(tasks=2)
    one, two = run(alone, stream, tmp_path / "alone"), run(wrapped, stream, tmp_path / "wrapped")
    assert one["result"]["predictions_sha256"] == two["result"]["predictions_sha256"]
    assert one["result"]["accuracy"] == two["result"]["accuracy"]
    for key in ("stored", "parameters", "flops"):
        assert one["measurement"][key] == two["measurement"][key], "nothing is counted twice"
    assert set(wrapped.get_state()) == {"base"}


def test_hooks_come_after_those_of_the_base_at_every_step(learn: Callable[..., Any]) -> None:
    alone, wrapped = make(Busy), make(Log, base="busy")
    for learner in (alone, wrapped):
        learn(learner, tiny_stream(), 2)
    assert torch.equal(weights(alone), weights(wrapped))
    steps = alone.hooks // 2
    assert steps == 8
    assert wrapped.counts["before"] == wrapped.counts["after"] == steps
    assert wrapped.counts["fits"] == len(list(wrapped.backbone.parameters()))
    assert wrapped.base.get_state()["drawn"] == alone.drawn


def test_a_wrapper_around_a_wrapper(learn: Callable[..., Any]) -> None:
    nested = make(Log, rate=0.25, base="log", base_options={"base": "busy"})
    single = make(Log, rate=0.25, base="busy")
    for learner in (nested, single):
        learn(learner, tiny_stream(), 2)
    assert torch.equal(nested.trace, single.trace) and nested.counts == single.counts
    inner = nested.base
    assert isinstance(inner, Log) and inner.counts == single.counts and not torch.equal(inner.trace, nested.trace)


@pytest.mark.parametrize(("base", "fatal"), [("busy", 3), ("busy", 14), ("log", 6)])
def test_it_resumes_like_any_other(tmp_path: Path, base: str, fatal: int) -> None:
    """Killed in the first fit, in the second, and in the next task; the state of both comes back."""

    class Stop(BaseException):
        pass

    inside = {"base": "busy"} if base == "log" else {}
    stream, folder = tiny_stream(tasks=2), tmp_path / "cut"
    intact = make(Log, base=base, base_options=inside)
    whole = run(intact, stream, tmp_path / "whole")
    follow = Log.after_step

    def stop(self: Log, when: When) -> None:
        if self.counts["before"] == fatal:
            raise Stop
        follow(self, when)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Log, "after_step", stop)
        run(make(Log, folder=folder, base=base, base_options=inside), stream, folder)
    entries = [state.load(path) for path in (folder / "checkpoint").glob("entry-*.safetensors")]
    assert entries and all({"base", "trace"} <= set(entry["strategy"]) for entry in entries), "the wrapper's own state"
    resumed = make(Log, folder=folder, base=base, base_options=inside)
    again = run(resumed, stream, folder)
    assert again["measurement"]["resumed_from"] and again["result"] == whole["result"]
    assert resumed.counts == intact.counts and torch.equal(resumed.trace, intact.trace)


def test_a_base_that_it_cannot_hold_is_refused_before_anything_is_built() -> None:
    with named(Bare) as name:
        with pytest.raises(UsageError, match="base=joint needs earlier training images"):
            make_plan(name, "split-digits", options={"base": "joint"})
        with pytest.raises(UsageError, match=r"'finetun'.*finetune"):
            make_plan(name, "split-digits", options={"base": "finetun"})
        assert make_plan(name, "split-digits", options={"base.lr": 0.5}).options.base_options["lr"] == 0.5
        assert call(["run", "-s", name, "--stream", "split-digits", "--set", "base=joint", "--dry-run"]) == 2


def test_a_base_reads_present_data_only(learn: Callable[..., Any]) -> None:
    assert Finetune.interpolates and not Busy.interpolates and Bare.access == "present"
    with pytest.raises(UsageError, match="earlier training images"):
        learn(make(Bare, base="joint"), tiny_stream(), 1)
