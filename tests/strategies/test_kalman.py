"""Kalman filter and smoother: the posterior of all states given all labels, and recursive least squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.strategies.kalman import Kalman
from cl.strategies.rls import RLS
from tests.conftest import make, run, tiny_stream
from tests.help.closed_forms import STREAMS, Array, asked, learned, trained_on

MOVING: dict[str, Any] = {"prior": 2.0, "noise": 0.5, "decay": 0.8, "drift": 0.3}


def posterior(x: Array, y: Array, sizes: list[int], *, prior: float, noise: float, decay: float, drift: float) -> Array:
    """The most probable weights [T, d, C] of all tasks at once: least squares on a chain of states."""
    tasks, dim, targets = len(sizes), x.shape[1], np.eye(y.max() + 1)[y]
    rows, right = [np.eye(dim, tasks * dim) / prior**0.5], [np.zeros((dim, targets.shape[1]))]
    for task in range(1, tasks):
        step = np.zeros((dim, tasks * dim))
        step[:, task * dim : (task + 1) * dim] = np.eye(dim) / drift**0.5
        step[:, (task - 1) * dim : task * dim] = -decay * np.eye(dim) / drift**0.5
        rows, right = [*rows, step], [*right, np.zeros((dim, targets.shape[1]))]
    start = 0
    for task, size in enumerate(sizes):
        measured = np.zeros((size, tasks * dim))
        measured[:, task * dim : (task + 1) * dim] = x[start : start + size] / noise**0.5
        rows, right = [*rows, measured], [*right, targets[start : start + size] / noise**0.5]
        start += size
    found: Array = np.linalg.lstsq(np.concatenate(rows), np.concatenate(right), rcond=None)[0]
    return found.reshape(tasks, dim, -1)


@pytest.mark.parametrize("setting", ["class-incremental", "domain-incremental", "blurry"])
def test_filter_and_smoother_are_the_posterior_of_all_states(setting: str) -> None:
    stream, sizes, kept = STREAMS[setting](), [], []

    def after(learner: Kalman, view: Any) -> None:
        sizes.append(len(view.train))
        kept.append(learner.weights.clone())

    learner = learned(make(Kalman, smooth=True, **MOVING), stream, after)
    x, y = trained_on(learner, stream)
    for task in range(len(sizes)):
        seen = sum(sizes[: task + 1])
        own = posterior(x[:seen], y[:seen], sizes[: task + 1], **MOVING)[-1]
        assert np.allclose(kept[task], own, rtol=0, atol=1e-8), "the filter's state after each task"
    for states, expected in zip(learner.states, posterior(x, y, sizes, **MOVING), strict=True):
        assert np.allclose(states["smoothed"], expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("setting", STREAMS)
def test_without_motion_it_is_recursive_least_squares(setting: str) -> None:
    stream = STREAMS[setting]()
    filtered, recursive = learned(make(Kalman, prior=4.0, noise=2.0), stream), learned(make(RLS, ridge=0.5), stream)
    assert torch.allclose(filtered.weights, recursive.regression.weights, rtol=0, atol=1e-9)
    assert torch.allclose(filtered.covariance, 2.0 * recursive.regression.inverse, rtol=0, atol=1e-9)


def test_a_given_task_is_answered_by_its_smoothed_state() -> None:
    stream = tiny_stream()
    learner, plain = learned(make(Kalman, smooth=True, **MOVING), stream), learned(make(Kalman, **MOVING), stream)
    test = asked(stream)
    x = test.encode(learner.backbone).double()
    for task in range(5):
        assert torch.equal(learner.predict(test, task), x @ learner.states[task]["smoothed"])
        assert torch.equal(plain.predict(test, task), plain.predict(test))
    assert torch.equal(learner.predict(test), plain.predict(test)), "smoothing does not change the filter"
    assert torch.equal(learner.predict(test, 4), learner.predict(test)), "nothing came after the last task"


def test_later_tasks_help_earlier_ones_only_by_smoothing(tmp_path: Path) -> None:
    """Backward transfer: the told task's state changes when later tasks are learned."""
    kept: list[torch.Tensor] = []
    learned(
        make(Kalman, smooth=True, **MOVING), tiny_stream(), lambda s, view: kept.append(s.states[0]["smoothed"].clone())
    )
    assert kept[0].shape[1] == 2 and kept[-1].shape[1] == 10
    assert not torch.allclose(kept[-1][:, :2], kept[0])
    record = run(make(Kalman, smooth=True, **MOVING), tiny_stream(tasks=2), tmp_path)
    assert set(record["result"]["accuracy"]) == {"cil_seen", "til_masked", "til_oracle"}


def test_what_it_stores() -> None:
    plain, smooth = learned(make(Kalman), tiny_stream()), learned(make(Kalman, smooth=True), tiny_stream())
    state = 8 * (16 * 16 + 16 * 10)
    assert plain.stored()["statistics"] == state
    per_task = sum(8 * (16 * 16 + 16 * 2 * (task + 1) + 16 * 10) for task in range(5))
    assert smooth.stored()["statistics"] == state + per_task
