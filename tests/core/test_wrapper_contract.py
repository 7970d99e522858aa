"""The contract carries a wrapper: slow weights around any base strategy, as in momentum interpolation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.config import option
from cl.features import Inputs
from cl.fitting import FitSpec
from cl.optim import When
from cl.strategies.finetune import Finetune
from cl.strategy import Strategy
from cl.stream import StreamInfo, View
from tests.conftest import make, run, tiny_stream

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


class Slow(Strategy):
    """Finetune, deployed with slow weights: slow <- tau slow + (1 - tau) fast after every step."""

    @dataclass(frozen=True)
    class Options:
        tau: float = option(0.5, "share of the slow weights that stays", ge=0, le=1)

    def setup(self, info: StreamInfo) -> None:
        self.base = Finetune(Finetune.Options(**FAST), self.backbone, _Hooked(self))
        self.base.info = info
        self.base.setup(info)
        self.slow = {name: p.detach().clone() for name, p in self.backbone.model.named_parameters()}

    def follow(self, when: When) -> None:
        for name, fast in self.backbone.model.named_parameters():
            self.slow[name].mul_(self.options.tau).add_(fast.detach(), alpha=1 - self.options.tau)

    def learn(self, view: View) -> None:
        self.base.learn(view)

    def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
        images = inputs.images(self.backbone.transform)
        return self.base.head(torch.func.functional_call(self.backbone.model, self.slow, (images,)))


class _Hooked:
    """The trainer that a wrapper hands to its base: the same one, with a hook, journaling the wrapper's state."""

    def __init__(self, outer: Slow) -> None:
        self._outer, self._trainer = outer, outer._trainer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def fit(self, strategy: Strategy, phase: str, spec: FitSpec) -> dict[str, Any]:
        return self._trainer.fit(self._outer, phase, replace(spec, after_step=self._outer.follow))


def fast_weights(learner: Strategy) -> Tensor:
    return torch.cat([p.detach().flatten() for p in learner.backbone.model.parameters()])


def slow_weights(learner: Slow) -> Tensor:
    return torch.cat([value.flatten() for value in learner.slow.values()])


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_the_fast_trajectory_is_that_of_the_base(learn: Callable[..., Any], tau: float) -> None:
    base, wrapped = make(Finetune, **FAST), make(Slow, tau=tau)
    start = fast_weights(base).clone()
    learn(base, tiny_stream(), 2)
    learn(wrapped, tiny_stream(), 2)
    assert isinstance(wrapped, Slow)
    assert torch.equal(fast_weights(base), fast_weights(wrapped))
    assert torch.equal(slow_weights(wrapped), fast_weights(wrapped)) == (tau == 0)
    assert torch.equal(slow_weights(wrapped), start) == (tau == 1)


def test_a_wrapper_resumes_like_any_other(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    stream = tiny_stream(tasks=2)
    whole = run(make(Slow), stream, tmp_path / "whole")
    learner = make(Slow, folder=tmp_path / "cut")
    follow, steps = learner.follow, []

    def stop(when: When) -> None:
        steps.append(when)
        if len(steps) == 6:
            raise Stop
        follow(when)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(Slow, "follow", lambda self, when: stop(when))
        run(learner, stream, tmp_path / "cut")
    again = run(make(Slow, folder=tmp_path / "cut"), stream, tmp_path / "cut")
    assert again["result"] == whole["result"] and again["measurement"]["resumed_from"]
