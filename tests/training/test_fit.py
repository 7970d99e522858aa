"""fit and compute: the inner loop, selection, and the journal that makes learn resumable."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.errors import ContractError, NonFiniteLoss, UsageError
from cl.random import Seeds
from cl.strategy import Strategy
from cl.training.batches import Batch, TensorBatches
from cl.training.checkpoint import Checkpoint, Key
from cl.training.optim import (
    Constant,
    Cosine,
    MultiStep,
    Plateau,
    QuarterCosine,
    Schedule,
    When,
    adam,
    optimizer,
    schedule,
    sgd,
)
from cl.training.trainer import Trainer
from tests.conftest import tiny_backbone

X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


class Probe(Strategy):
    """A learner with one linear layer and a counter."""

    shift: Tensor

    def setup(self, info: Any = None) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layer = nn.Sequential(nn.Dropout(0.3), nn.Linear(3, 2))
        self.spare = nn.Linear(2, 2)
        self.calls = 0

    def loss(self, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(self.layer(batch.x), batch.y)

    def train(self, phase: str = "a", epochs: int = 2, **more: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {"optimizer": sgd(0.1), "loss": self.loss, "params": self.layer.parameters()}
        return self.fit(phase, TensorBatches(X, Y, 8), epochs=epochs, **{**usual, **more})


def probe(folder: Path | None = None) -> Probe:
    learner = Probe(None, tiny_backbone(), Trainer(checkpoint=Checkpoint(folder, 0) if folder else None))
    learner.setup()
    learner.trainer.journal.begin(0)
    return learner


def weights(learner: Probe) -> Tensor:
    return torch.cat([p.detach().flatten().clone() for p in learner.layer.parameters()])


def test_fit_equals_a_bare_loop_with_the_same_draws() -> None:
    learner, bare = probe(), probe()
    learner.train(epochs=3, optimizer=adam(0.01), schedule=MultiStep((2,), 0.5))
    trainer = bare.trainer
    from cl.training.generators import generator, seed_globals

    seed_globals(trainer.seeds.data, "fit", 0, "a", 1)
    optim = torch.optim.Adam(bare.layer.parameters(), lr=0.01, foreach=True)
    bare.layer.train()
    for epoch in range(3):
        optim.param_groups[0]["lr"] = 0.01 * (0.5 if epoch >= 2 else 1)
        order = torch.randperm(40, generator=generator(trainer.seeds.data, "fit", 0, "a", 1, epoch, "order"))
        for start in range(0, 40, 8):
            index = order[start : start + 8]
            optim.zero_grad()
            bare.loss(Batch(X[index], Y[index])).backward()
            optim.step()
    assert torch.equal(weights(learner), weights(bare))


def test_an_extra_phase_leaves_the_draws_of_the_others_alone() -> None:
    one, two = probe(), probe()
    one.train("main")
    two.fit("extra", TensorBatches(X, Y, 8), lambda b: two.spare(two.layer(b.x)).sum() * 0, two.spare.parameters(),
            epochs=1, optimizer=sgd(0.1))  # fmt: skip
    torch.rand(7)
    two.rng("something").initial_seed()
    two.train("main")
    assert torch.equal(weights(one), weights(two))


def test_repeated_phases_of_one_name_draw_anew() -> None:
    learner, orders = probe(), []
    for _ in range(2):
        seen: list[Tensor] = []
        learner.train("same", 1, loss=lambda b, seen=seen: (seen.append(b.y), learner.loss(b))[1])
        orders.append(torch.cat(seen))
    assert not torch.equal(*orders)


def test_only_the_given_parameters_move_and_all_are_frozen_afterwards() -> None:
    learner = probe()
    spare = learner.spare.weight.detach().clone()
    modes: set[tuple[bool, bool]] = set()

    def loss(batch: Batch) -> Tensor:
        modes.add((learner.layer.training, learner.spare.training))
        return learner.loss(batch)

    learner.train(loss=loss)
    assert modes == {(True, False)}, "modules that train are in training mode, frozen ones are not"
    assert torch.equal(spare, learner.spare.weight)
    assert not any(p.requires_grad for m in (learner.layer, learner.spare) for p in m.parameters())
    assert not learner.layer.training


def test_parameters_outside_the_state_are_refused() -> None:
    learner, stranger = probe(), nn.Linear(3, 2)
    with pytest.raises(ContractError, match=r"would train a parameter of shape \(2, 3\) that the strategy's state"):
        learner.train(params=stranger.parameters())
    with pytest.raises(ContractError, match="no parameters"):
        learner.train(params=[])


def test_best_state_and_patience_belong_to_fit() -> None:
    learner, seen = probe(), []
    scores = iter([0.1, 0.9, 0.3, 0.2])

    def validate() -> float:
        seen.append((weights(learner), learner.layer.training))
        return next(scores)

    result = learner.train(epochs=4, validate=validate, select="best")
    assert result["best_epoch"] == 1 and torch.equal(weights(learner), seen[1][0])
    assert not any(training for _, training in seen), "validation runs in evaluation mode"


def test_plateau_scales_the_rate_and_stops() -> None:
    learner, rates = probe(), []
    build = sgd(0.1)

    def watched(groups: Any) -> torch.optim.Optimizer:
        optim = build(groups)
        rates.append(optim)
        return optim

    result = learner.train(epochs=50, optimizer=watched, validate=lambda: 0.0, plateau=Plateau(0.5, 2, 0.04))
    # improves at epoch 0; 3 stale epochs halve 0.1 to 0.05, 3 more to 0.025 < 0.04
    assert result["epochs"] == 7 and rates[0].param_groups[0]["lr"] == pytest.approx(0.05)


def test_best_without_validation_is_refused() -> None:
    with pytest.raises(UsageError, match="needs validate"):
        probe().train(select="best")


def test_nan_names_the_place_and_the_fix() -> None:
    learner = probe()
    with pytest.raises(NonFiniteLoss, match=r"the loss became nan in task 0, fit 'a', epoch 0, step 0; lower"):
        learner.train(loss=lambda b: learner.loss(b) * math.nan)
    fresh = probe()
    with pytest.raises(NonFiniteLoss, match=r"the weights became nan or infinite in task 0, fit 'b', last step; lower"):
        fresh.fit("b", TensorBatches(X, Y, 40), fresh.loss, fresh.layer.parameters(), epochs=1, optimizer=sgd(math.inf))


def test_a_validation_score_that_is_no_number_ends_the_fit() -> None:
    with pytest.raises(NonFiniteLoss, match="the validation score became nan in task 0, fit 'a', epoch 0"):
        probe().train(validate=lambda: math.nan, select="best")


def test_gradient_clipping_and_hooks_run_in_order() -> None:
    learner, calls = probe(), []
    learner.train(
        epochs=1,
        optimizer=sgd(1.0, momentum=0),
        clip=1e-3,
        before_step=lambda when: calls.append(("before", when.step, weights(learner))),
        after_step=lambda when: calls.append(("after", when.step, weights(learner))),
    )
    assert [(name, step) for name, step, _ in calls[:4]] == [("before", 0), ("after", 0), ("before", 1), ("after", 1)]
    assert (calls[1][2] - calls[0][2]).norm() == pytest.approx(1e-3, rel=1e-3)


class Killed(BaseException):
    """Stands for SIGKILL inside one process."""


def interrupted(learner: Probe, at: int) -> None:
    """Run two phases with a compute between them, dying at the given step."""
    steps = iter(range(10**6))

    def tick(when: When) -> None:
        if next(steps) == at:
            raise Killed

    noise = learner.rng("noise")
    learner.calls += 1
    learner.train("a", 2, after_step=tick)
    learner.shift = torch.rand(2, generator=noise)
    value = learner.compute("statistics", lambda: {"mean": X.mean(0), "n": 40})
    assert torch.equal(value["mean"], X.mean(0))
    learner.train("a", 2, validate=lambda: float(torch.rand(())), select="best", after_step=tick)
    learner.shift = learner.shift + torch.rand(2, generator=noise) + torch.rand(2)


@pytest.mark.parametrize("at", [0, 3, 4, 5, 9, 10, 12, 19])
def test_resumed_learning_equals_uninterrupted_learning(tmp_path: Path, at: int) -> None:
    whole = probe()
    interrupted(whole, -1)
    with pytest.raises(Killed):
        interrupted(probe(tmp_path), at)
    again = probe(tmp_path)
    interrupted(again, -1)
    assert torch.equal(weights(whole), weights(again)) and torch.equal(whole.shift, again.shift)
    assert again.calls == 1 and again.trainer.cost.flops == whole.trainer.cost.flops
    assert bool(again.trainer.journal.resumed_from) == (at > 0)


def test_computes_are_not_repeated(tmp_path: Path) -> None:
    for expected in (1, 0):
        calls: list[int] = []
        probe(tmp_path).compute("once", partial(calls.append, 1))
        assert len(calls) == expected


def test_entries_that_were_not_due_are_done_again(tmp_path: Path) -> None:
    learner = probe(tmp_path)
    learner.trainer.journal.checkpoint = Checkpoint(tmp_path, every=1e9)
    learner.train("a")
    assert not list(tmp_path.glob("*"))


def test_changed_code_is_told_apart(tmp_path: Path) -> None:
    probe(tmp_path).train("a")
    with pytest.raises(ContractError, match=r"holds fit 'a' \(call 1 of task 0\) where learn\(\) now asks for fit 'b'"):
        probe(tmp_path).train("b")


def test_checkpoints_are_limited_to_a_share_of_the_time(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, every=0.001)
    checkpoint._duration = 1000.0  # a very slow disk
    assert not checkpoint.due()
    checkpoint.every = 0
    assert checkpoint.due()
    assert str(Key(1, 2, "fit", "x")) == "fit 'x' (call 2 of task 1)"


def test_schedules_match_pytorch() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optim = torch.optim.SGD([parameter], lr=1.0)
    pairs: list[tuple[Schedule, Any]] = [
        (Cosine(), torch.optim.lr_scheduler.CosineAnnealingLR(optim, 5)),
        (MultiStep((2, 4)), torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD([parameter], lr=1.0), [2, 4])),
    ]
    for ours, theirs in pairs:
        for epoch in range(5):
            assert ours(When(epoch, 0, 5, 10)) == pytest.approx(theirs.get_last_lr()[0])
            theirs.optimizer.step()
            theirs.step()
    assert Cosine(per_step=True)(When(2, 5, 5, 10)) == pytest.approx(0.5)
    quarter = QuarterCosine()
    assert quarter(When(0, 0, 20, 1)) == 1 and quarter(When(19, 0, 20, 1)) == pytest.approx(0.0157, abs=1e-3)
    assert Constant()(When(3, 1, 5, 10)) == 1
    with pytest.raises(UsageError, match="unknown schedule"):
        schedule("linear")
    with pytest.raises(UsageError, match="unknown optimizer"):
        optimizer("lamb", 0.1)


def test_batches_resume_anywhere_and_cover_every_item() -> None:
    from cl.training.generators import generator

    def rng(*key: Any) -> torch.Generator:
        return generator(1, *key)

    source = TensorBatches(X, Y, 7)

    def labels(start: int) -> Iterator[list[float]]:
        return (batch.x[:, 0].tolist() for batch in source.epoch(0, rng, start))

    whole = list(labels(0))
    assert source.steps == len(whole) == 6 and sorted(chain(*whole)) == sorted(X[:, 0].tolist())
    assert list(labels(4)) == whole[4:]
    assert TensorBatches(X, Y, 7, drop_last=True).steps == 5 and TensorBatches(X, Y, 100, drop_last=True).steps == 1


def test_seeds_are_separate() -> None:
    def drawn(seeds: Seeds) -> tuple[Tensor, Tensor]:
        trainer = Trainer(seeds=seeds)
        return torch.rand(2, generator=trainer.init_rng("head")), torch.rand(2, generator=trainer.journal.rng("x"))

    base, other = drawn(Seeds(0, 0, 0)), drawn(Seeds(9, 0, 5))
    assert torch.equal(base[0], other[0]) and not torch.equal(base[1], other[1])
