"""Model Stock: two fine-tunings per task, and their merge with the anchor."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.bases.merged import Merging
from cl.parts.merging import added, average, model_stock, task_arithmetic
from cl.strategies.model_stock import ModelStock
from cl.training import state
from tests.conftest import tiny_stream
from tests.help.merging import Vector, close, fine_tuned, merged, task_vectors, watched, watching

Learn = Callable[..., list[Any]]


def pairs_of(monkeypatch: pytest.MonkeyPatch) -> list[list[Vector]]:
    """The vectors of both fine-tunings of every task."""
    found: list[list[Vector]] = []
    combined = ModelStock.combined

    def keep(self: Any, vectors: Any) -> Mapping[str, Tensor]:
        found.append([{name: tensor.clone() for name, tensor in vector.items()} for vector in vectors])
        return combined(self, vectors)

    monkeypatch.setattr(ModelStock, "combined", keep)
    return found


@pytest.mark.parametrize("anchor", ["previous", "pretrained"])
def test_both_fine_tunings_start_from_the_anchor_in_other_orders(
    learn: Learn, monkeypatch: pytest.MonkeyPatch, anchor: str
) -> None:
    pairs, learner = pairs_of(monkeypatch), watched(ModelStock, anchor=anchor)
    pretrained = state.clone(dict(learner.backbone.model.state_dict()))
    before: list[Vector] = [{}]

    def check(strategy: ModelStock, view: Any) -> None:
        start = added(pretrained, before[-1]) if anchor == "previous" else pretrained
        head = strategy.head.blocks[-1]
        for number in range(2):
            weights = added(start, pairs[-1][number])
            plain = fine_tuned(strategy, view.task, f"fine-tuning {number}", start, head)
            close({name: weights[name] for name in plain}, plain, atol=1e-5)
        before.append(merged(strategy))

    learn(learner, tiny_stream(), 3, check)
    batches = watching(learner).batches
    assert not torch.equal(batches[0, "fine-tuning 0"][0].x, batches[0, "fine-tuning 1"][0].x)


def test_the_vectors_of_a_task_are_merged_by_their_angle(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs, found = pairs_of(monkeypatch), task_vectors(monkeypatch, ModelStock)
    learn(watched(ModelStock), tiny_stream(), 2)
    assert len(pairs) == len(found) == 2
    for both, vector in zip(pairs, found, strict=True):
        close(vector, model_stock(both), atol=1e-6)


@pytest.mark.parametrize("how", ["angle", "average"])
def test_a_task_has_as_many_fine_tunings_as_wanted(learn: Learn, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    sets, found = pairs_of(monkeypatch), task_vectors(monkeypatch, ModelStock)
    learner = watched(ModelStock, models=3, how=how)
    learn(learner, tiny_stream(), 2)
    first = [watching(learner).batches[0, f"fine-tuning {number}"][0].x for number in range(3)]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(first, 2)), "each has its own order"
    for three, vector in zip(sets, found, strict=True):
        assert len(three) == 3
        close(vector, model_stock(three) if how == "angle" else average(three), atol=1e-6)
    assert len(learner.fresh) == 0, "vectors of fine-tunings are forgotten after the task"


def test_a_soup_of_every_task_is_the_mean_of_all_fine_tunings(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = pairs_of(monkeypatch)
    learner = watched(ModelStock, anchor="pretrained", how="average", models=3)
    learn(learner, tiny_stream(), 3)
    close(merged(learner), average([vector for task in sets for vector in task]), atol=1e-6)


def test_from_the_previous_network_vectors_add_up(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, ModelStock)
    after = learn(watched(ModelStock), tiny_stream(), 3, lambda s, v: merged(s))
    for number, vector in enumerate(after, 1):
        close(vector, task_arithmetic(found[:number], 1.0), atol=1e-6)


def test_from_the_pretrained_network_tasks_are_averaged(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = task_vectors(monkeypatch, ModelStock)
    after = learn(watched(ModelStock, anchor="pretrained"), tiny_stream(), 3, lambda s, v: merged(s))
    for number, vector in enumerate(after, 1):
        close(vector, average(found[:number]), atol=1e-6)


def test_equal_fine_tunings_are_that_fine_tuning(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    tune = Merging._fine_tune
    monkeypatch.setattr(Merging, "_fine_tune", lambda self, view, number: tune(self, view, 0))
    # the second call of a phase has its own random numbers, so one batch and no augmentation make both alike
    learner = watched(ModelStock, epochs=3, batch_size=64, augment="none")
    pairs = pairs_of(monkeypatch)
    learn(learner, tiny_stream(), 1)
    close(pairs[0][0], pairs[0][1], atol=1e-5)
    close(merged(learner), pairs[0][0], atol=1e-4)
