"""Wrappers that scale how a task changed the backbone: anchors, untouched heads, refusals, restart after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from cl.backbone import Backbone
from cl.bases.rescaled import Rescaled
from cl.cli.app import call
from cl.errors import UsageError
from cl.options import option
from cl.plan.plan import make_plan
from cl.registry import strategies
from cl.strategies.finetune import Finetune
from cl.strategy import View
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.trainer import Trainer
from tests.conftest import make, run, tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


class Half(Rescaled):
    """The same factor everywhere."""

    @dataclass(frozen=True)
    class Options(Rescaled.Options):
        factor: float = option(0.5, "factor of the change")

    def factors(self, view: View, anchor: Mapping[str, Tensor]) -> dict[str, float]:
        return dict.fromkeys(self._names, self.options.factor)


@pytest.fixture(autouse=True)
def _name() -> Iterator[None]:
    strategies.register("half", Half)
    yield
    strategies.unregister("half")


def half(**options: Any) -> Half:
    return make(Half, **{"base_options": FAST, **options})


def body(learner: Any) -> dict[str, Tensor]:
    copied: dict[str, Tensor] = state.clone(dict(learner.backbone.model.state_dict()))
    return copied


def test_a_factor_of_1_is_the_base_and_a_factor_of_0_the_anchor(learn: Learn) -> None:
    alone, whole, none = make(Finetune, **FAST), half(factor=1.0), half(factor=0.0)
    start = body(alone)
    for learner in (alone, whole, none):
        learn(learner, tiny_stream(), 2)
    assert same(body(alone), body(whole)) and not same(body(alone), start)
    assert same(body(none), start)
    assert isinstance(whole.base, Finetune) and isinstance(none.base, Finetune)
    assert same(whole.base.head.get_state(), alone.head.get_state())
    assert bool(none.base.head.blocks[0].weight.any()), "the head stays as trained"


@pytest.mark.parametrize("anchor", ["previous", "pretrained"])
def test_changes_are_measured_from_their_anchor(learn: Learn, anchor: str) -> None:
    learner = half(anchor=anchor)
    pristine, trained = body(learner), []
    load = Rescaled.load

    def traced(self: Rescaled, values: Mapping[str, Tensor]) -> None:
        trained.append(body(self))
        load(self, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rescaled, "load", traced)
        ends = learn(learner, tiny_stream(), 2, lambda strategy, view: body(strategy))
    for task, end in enumerate(ends):
        origin = ends[task - 1] if task and anchor == "previous" else pristine
        assert all(torch.equal(end[name], torch.lerp(origin[name], trained[task][name], 0.5)) for name in end)


def test_a_killed_run_ends_in_the_same_result(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    intact = half()
    whole = run(intact, tiny_stream(tasks=2), tmp_path / "whole")
    load = Rescaled.load
    calls: list[int] = []
    for fatal in (1, 2):
        folder = tmp_path / f"cut{fatal}"
        calls.clear()

        def stop(self: Rescaled, values: Mapping[str, Tensor], fatal: int = fatal) -> None:
            calls.append(1)
            if len(calls) == fatal:
                raise Stop
            load(self, values)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
            patch.setattr(Rescaled, "load", stop)
            run(make(Half, folder=folder, base_options=FAST), tiny_stream(tasks=2), folder)
        resumed = make(Half, folder=folder, base_options=FAST)
        again = run(resumed, tiny_stream(tasks=2), folder)
        assert again["measurement"]["resumed_from"] and again["result"] == whole["result"], fatal
        assert same(body(resumed), body(intact)), fatal


def test_running_statistics_are_scaled_with_their_block(learn: Learn) -> None:
    torch.manual_seed(0)
    tiny = tiny_backbone()
    model = timm.create_model("test_resnet", num_classes=0)
    backbone = Backbone(model, tiny.transform, {**tiny.identity, "name": "resnet"})
    learner = Half(Half.Options(factor=0.0, base_options=FAST), backbone, Trainer())
    start = body(learner)
    learn(learner, tiny_stream(), 1)
    end = body(learner)
    counted = {name for name in start if name.endswith("num_batches_tracked")}
    assert counted and all(torch.equal(end[name], start[name]) for name in start if name not in counted)
    assert all(int(end[name]) > int(start[name]) for name in counted)


@pytest.mark.parametrize("base", ["slca", "simplecil", "momentum", "joint"])
def test_bases_that_cannot_be_interpolated_are_refused(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=rf"^base={base} "):
        make_plan("half", "split-digits", options={"base": base})
    assert call(["run", "-s", "half", "--stream", "split-digits", "--set", f"base={base}", "--dry-run"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_base_that_trains_its_head_alone_and_a_network_without_blocks_are_refused() -> None:
    with pytest.raises(UsageError, match=r"base=finetune trains nothing of the backbone.*base\.trains=all"):
        half(base_options={**FAST, "trains": "head"}).setup(tiny_stream().info)
    learner = Half(Half.Options(base_options=FAST), conv_backbone(), Trainer())
    with pytest.raises(UsageError, match="no numbered blocks to scale by depth"):
        learner.setup(tiny_stream().info)
