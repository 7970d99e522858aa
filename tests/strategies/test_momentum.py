"""Momentum interpolation: the invariants of the paper; prediction with slow weights leaves the learner unchanged."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from cl.backbone import Backbone
from cl.cli.app import call
from cl.errors import ContractError, UsageError
from cl.parts.weights.slow_weights import SlowWeights, places
from cl.plan.plan import make_plan
from cl.registry import strategies
from cl.strategies.finetune import Finetune
from cl.strategies.momentum import Momentum
from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs, Step, StoredImages, Strategy
from cl.testing.reachable import differences
from cl.training import state
from tests.conftest import make, run, tiny_backbone, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
STEP = Step(0, 0, 1, 1, torch.optim.SGD([torch.zeros(1)]))
STEPS = 4  # a task of the tiny stream: two epochs of 24 images in batches of 16


def momentum(folder: Path | None = None, **options: Any) -> Momentum:
    return make(Momentum, folder=folder, **{"base_options": FAST, **options})


def fast(learner: Strategy) -> dict[str, Tensor]:
    """Copies of the floating-point tensors of a learner, or of a wrapper's base."""
    found = places(getattr(learner, "base", learner))
    return {name: getattr(*place).detach().clone() for name, place in found.items()}


def slow(learner: Momentum) -> dict[str, Tensor]:
    return state.clone(learner.slow.get_state())


def scores(learner: Strategy, classes: int | None = None) -> Tensor:
    """Scores of the test images of the tiny stream, memoised as in a run."""
    stream = tiny_stream()
    rows = stream.test_rows(range(5))[0]
    source = StoredImages(learner.trainer.encodings, stream.store("test"), rows)
    with torch.no_grad():
        return learner.predict(Inputs(None, "cpu", source))[:, :classes]


# ------------------------------------------------------------------------------------------------------ invariants


@pytest.mark.parametrize("base", ["finetune", "l2", "replay"])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
def test_the_fast_trajectory_is_that_of_the_base(learn: Learn, base: str, tau: float) -> None:
    if base not in strategies:
        pytest.skip(f"{base} is not there")
    alone, wrapped = make(strategies.get(base), **FAST), momentum(base=base, tau=tau)
    start = fast(alone)
    learn(alone, tiny_stream(), 3)
    learn(wrapped, tiny_stream(), 3)
    assert same(fast(alone), fast(wrapped))
    body = {name: tensor for name, tensor in slow(wrapped).items() if name.startswith("backbone.")}
    assert body.keys() == start.keys()
    assert same(slow(wrapped), fast(wrapped)) == (tau == 0)
    assert same(body, start) == (tau == 1)


def test_tau_0_predicts_as_the_base_in_every_row(tmp_path: Path) -> None:
    alone = run(make(Finetune, **FAST), tiny_stream(), tmp_path / "alone")["result"]
    wrapped = run(momentum(tau=0.0), tiny_stream(), tmp_path / "wrapped")["result"]
    other = run(momentum(tau=0.5), tiny_stream(), tmp_path / "other")["result"]
    assert alone["predictions_sha256"] == wrapped["predictions_sha256"] != other["predictions_sha256"]


def test_tau_1_stays_the_initial_model(tmp_path: Path, learn: Learn) -> None:
    """The backbone stays what was loaded and each row of the head what was drawn: scores of a class never change."""
    learner = momentum(tau=1.0)
    pristine = learner.backbone.key
    rows = learn(learner, tiny_stream(), 5, lambda strategy, view: (scores(strategy), len(view.seen)))
    for found, classes in rows:
        assert torch.equal(found, rows[-1][0][:, :classes])
    assert learner.backbone.key != pristine, "the fast weights did train"
    record = run(momentum(tau=1.0), tiny_stream(), tmp_path)["result"]
    correct = record["accuracy"]["til_masked"]["correct"]
    for task in range(5):
        assert len({row[task] for row in correct[task:]}) == 1, "accuracy within a task is constant"


@pytest.mark.parametrize("tau", [0.0, 0.3, 0.9, 0.9999])
def test_with_constant_fast_weights_the_slow_ones_have_a_closed_form(learn: Learn, tau: float) -> None:
    learner = momentum(tau=tau)
    learn(learner, tiny_stream(), 1)
    start, steps = slow(learner), 10
    with torch.no_grad():
        for place in places(learner.base).values():
            getattr(*place).add_(0.5)
    for _ in range(steps):
        learner.after_step(STEP)
    for name, found in slow(learner).items():
        expected = tau**steps * start[name].double() + (1 - tau**steps) * fast(learner)[name].double()
        assert torch.allclose(found.double(), expected, rtol=0, atol=2e-6), name


def test_new_head_rows_enter_as_copies(learn: Learn) -> None:
    learner = momentum(tau=1.0)
    drawn = make(Finetune, **FAST)
    learn(learner, tiny_stream(), 2)
    drawn.setup(tiny_stream().info)
    for task, classes in ((0, 2), (1, 4)):
        drawn.trainer.journal.begin(task)
        drawn.head.grow_to(classes, drawn.init_rng("head"))
    for name, tensor in fast(drawn).items():
        if name.startswith("head."):
            assert torch.equal(slow(learner)[name], tensor)


def test_slow_weights_get_no_gradients_and_are_float32(learn: Learn) -> None:
    learner = momentum(tau=0.9999)
    learner.backbone.precision = torch.bfloat16
    learn(learner, tiny_stream(), 2)
    for tensor in learner.slow._tensors.values():
        assert not tensor.requires_grad and tensor.grad is None and tensor.dtype == torch.float32
    assert scores(learner).dtype == torch.float32
    half = nn.Linear(3, 1).bfloat16()
    part = SlowWeights(torch.device("cpu"))
    holder = type("Holder", (), {})()
    holder.head = half
    part.enter(places(holder), half.parameters())
    part.follow(places(holder), 0.9999)
    assert {tensor.dtype for tensor in part.get_state().values()} == {torch.float32}
    with part.standing_in(places(holder)):
        assert half(torch.ones(1, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16


# ----------------------------------------------------------------------------------------------- modes and restart


def test_every_mode_interpolates_at_its_steps(learn: Learn) -> None:
    never = [momentum(mode="per_k", every=10**9, tau=tau) for tau in (0.0, 0.7)]
    first, each = momentum(tau=1.0), momentum(tau=0.5)
    every_third, merged = momentum(tau=0.5, mode="per_k", every=3), momentum(tau=0.5, mode="per_task")
    for learner in (*never, first, each):
        learn(learner, tiny_stream(), 2)
    assert same(slow(never[0]), slow(never[1])), "with r = inf, tau is irrelevant"
    assert same(slow(never[0]), slow(first)) and not same(slow(each), slow(first))

    trace: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    after_step = Momentum.after_step

    def traced(self: Momentum, when: Step) -> None:
        after_step(self, when)
        trace.append((slow(self), fast(self)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Momentum, "after_step", traced)
        learn(every_third, tiny_stream(), 2)
        changed = [not same(trace[i][0], trace[i - 1][0]) for i in range(1, STEPS)]
        assert changed == [False, True, False], "after the third step of four; the count goes on over tasks"
        assert every_third.steps == 2 * STEPS
        assert not torch.equal(*(pair[0]["backbone.model.norm.bias"] for pair in trace[STEPS : STEPS + 2]))
        trace.clear()
        start = fast(merged)
        ends = learn(merged, tiny_stream(), 2, lambda strategy, view: (slow(strategy), fast(strategy)))
    body = [name for name in start if name.startswith("backbone.")]
    assert all(torch.equal(pair[0][name], start[name]) for pair in trace[:STEPS] for name in body)
    assert all(torch.equal(ends[0][0][name], start[name].lerp(ends[0][1][name], 0.5)) for name in body)
    assert all(torch.equal(ends[1][0][name], ends[0][0][name].lerp(ends[1][1][name], 0.5)) for name in body)


def test_fast_weights_restart_from_the_slow_weights_if_asked(learn: Learn) -> None:
    learner, kept = momentum(tau=0.9, restart="from_slow"), momentum(tau=0.9)
    seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    before_fit = Momentum.before_fit

    def traced(self: Momentum, trained: list[nn.Parameter]) -> None:
        seen.append((slow(self), fast(self)))
        before_fit(self, trained)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Momentum, "before_fit", traced)
        for each in (learner, kept):
            learn(each, tiny_stream(), 2)
    for (slow_then, fast_then), alike in zip(seen[1::2], (True, False), strict=True):
        assert same(slow_then, {name: fast_then[name] for name in slow_then}) == alike


# ------------------------------------------------------------------------------------------- prediction and memory


def test_predicting_leaves_nothing_behind(learn: Learn) -> None:
    learner = momentum(tau=0.9)
    learn(learner, tiny_stream(), 2)
    before = state.clone(learner.get_state())
    objects = {name: id(getattr(*place)) for name, place in places(learner.base).items()}
    versions = [p._version for p in learner.backbone.parameters()]
    key = learner.backbone.key
    with pytest.raises(RuntimeError, match="in between"), learner.slow.standing_in(places(learner.base)):
        assert learner.backbone.key != key
        raise RuntimeError("in between")
    scores(learner)
    assert next(differences(before, learner.get_state()), None) is None
    assert objects == {name: id(getattr(*place)) for name, place in places(learner.base).items()}
    assert versions == [p._version for p in learner.backbone.parameters()] and learner.backbone.key == key


def test_encodings_of_slow_and_fast_weights_are_not_confused(learn: Learn) -> None:
    learner = momentum(tau=0.9)
    for task in range(3):
        if task == 0:
            learn(learner, tiny_stream(), 1)
        else:
            learner.trainer.journal.begin(task)
            learner.learn(tiny_stream().view(task))
        direct = make(Finetune, **FAST)
        direct.setup(tiny_stream().info)
        direct.set_state(state.clone(learner.base.get_state()))
        assert torch.equal(scores(learner.base), scores(direct))
        with torch.no_grad():
            for name, tensor in slow(learner).items():
                getattr(*places(direct)[name]).copy_(tensor)
        assert torch.equal(scores(learner), scores(direct))
        assert torch.equal(scores(learner), scores(learner)) and not torch.equal(scores(learner.base), scores(direct))


def test_state_round_trip_mid_way(learn: Learn) -> None:
    learner, other = momentum(tau=0.9), momentum(tau=0.9)
    learn(learner, tiny_stream(), 2)
    other.info = tiny_stream().info
    other.setup(other.info)
    other.set_state(state.clone(learner.get_state()))
    assert torch.equal(scores(learner), scores(other)) and learner.steps == other.steps == 2 * STEPS
    for each in (learner, other):
        each.trainer.journal.begin(2)
        each.learn(tiny_stream().view(2))
    assert next(differences(learner.get_state(), other.get_state()), None) is None


@pytest.mark.parametrize("options", [{}, {"mode": "per_task", "restart": "from_slow"}, {"mode": "per_k", "every": 3}])
def test_a_killed_run_ends_in_the_same_result(tmp_path: Path, options: dict[str, Any]) -> None:
    class Stop(BaseException):
        pass

    intact = momentum(tau=0.8, **options)
    whole = run(intact, tiny_stream(tasks=2), tmp_path / "whole")
    after_step = Momentum.after_step
    for fatal in (3, intact.steps - 1):

        def stop(self: Momentum, when: Step, fatal: int = fatal) -> None:
            after_step(self, when)
            if self.steps == fatal:
                raise Stop

        folder = tmp_path / f"cut{fatal}"
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
            patch.setattr(Momentum, "after_step", stop)
            run(momentum(folder=folder, tau=0.8, **options), tiny_stream(tasks=2), folder)
        resumed = momentum(folder=folder, tau=0.8, **options)
        again = run(resumed, tiny_stream(tasks=2), folder)
        assert again["measurement"]["resumed_from"] and again["result"] == whole["result"], fatal
        assert same(slow(resumed), slow(intact)), fatal


def test_batch_norm_statistics_are_interpolated_and_counters_are_not(learn: Learn) -> None:
    torch.manual_seed(0)
    tiny = tiny_backbone()
    model = timm.create_model("test_resnet", num_classes=0)
    backbone = Backbone(model, tiny.transform, {**tiny.identity, "name": "resnet"})
    options = Momentum.Options(tau=0.5, base_options={**FAST, "epochs": 1})
    learner = Momentum(options, backbone, momentum().trainer)
    start = {f"backbone.model.{k}": v.clone() for k, v in model.state_dict().items()}
    learn(learner, tiny_stream(), 1)
    counters = [name for name in start if name.endswith("num_batches_tracked")]
    means = [name for name in start if name.endswith("running_mean")]
    assert counters and means and not set(counters) & set(slow(learner))
    now = fast(learner)
    assert all(not torch.equal(slow(learner)[name], each[name]) for name in means for each in (start, now))
    with learner.slow.standing_in(places(learner.base)):
        assert torch.equal(model.get_buffer(means[0].removeprefix("backbone.model.")), slow(learner)[means[0]])
    assert same(fast(learner), now)


# -------------------------------------------------------------------------------------------------------- refusals


def test_only_what_is_trained_is_kept_twice(learn: Learn) -> None:
    learner = momentum(base_options={**FAST, "trains": "head", "augment": "none"})
    learn(learner, tiny_stream(), 2)
    assert {name.partition(".")[0] for name in slow(learner)} == {"head"}
    assert isinstance(learner.base, Finetune)
    assert learner.stored()["parameters"] == 2 * sum(p.nbytes for p in learner.base.head.parameters())
    with pytest.raises(ContractError, match="attributes of the base"):
        learner.slow.enter(places(learner.base), make(Finetune).backbone.parameters())


@pytest.mark.parametrize("base", ["slca", "simplecil", "momentum", "avalanche/naive", "joint"])
def test_bases_that_cannot_be_interpolated_are_refused(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=rf"^base={base} "):
        make_plan("momentum", "split-digits", options={"base": base})
    assert call(["run", "-s", "momentum", "--stream", "split-digits", "--set", f"base={base}", "--dry-run"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not SimpleCIL.interpolates


def test_options_without_effect_are_refused() -> None:
    with pytest.raises(UsageError, match="every=3 is for mode=per_k"):
        make_plan("momentum", "split-digits", options={"every": 3})
    plan = make_plan("momentum", "split-digits", options={"base": "finetune", "base.lr": "1e-5", "tau": 1})
    assert plan.options.base_options["lr"] == 1e-5 and plan.options.tau == 1.0


def test_the_small_preset_has_a_half_life_of_a_tenth_to_half_of_a_task() -> None:
    """The rule by which tau is chosen before a result is known."""
    plan = make_plan("momentum", "split-cifar100", preset="small")
    steps = math.ceil(100 * 10 / plan.options.base_options["batch_size"])
    assert (steps, plan.options.base_options["epochs"]) == (63, 1)
    assert 0.1 * steps <= math.log(0.5) / math.log(plan.options.tau) <= 0.5 * steps
