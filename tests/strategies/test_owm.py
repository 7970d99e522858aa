"""OWM: the projector of the paper, and which answers stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl.strategies.owm import OWM
from cl.testing import check_strategy
from tests.conftest import make, tiny_stream
from tests.help.closed_forms import STREAMS, drawn, learned, trained_on

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 3, "batch_size": 8, "lr": 0.3}


@pytest.mark.slow
def test_steps_that_change_the_projector_keep_the_contract() -> None:
    check_strategy("owm", options={"update": "step", "momentum": 0.9}, only=["resume", "state-round-trip", "memory"])


@pytest.mark.parametrize("setting", STREAMS)
def test_the_projector_is_the_papers_of_all_images(setting: str) -> None:
    """P = I - A (A^T A + alpha I)^-1 A^T, with the images as columns of A; with a constant alpha."""
    stream = STREAMS[setting]()
    learner = learned(make(OWM, **FAST, inputs="images", alpha=0.3, alpha_decay=1.0), stream)
    a = trained_on(learner, stream)[0].T
    expected = np.eye(16) - a @ np.linalg.inv(a.T @ a + 0.3 * np.eye(a.shape[1])) @ a.T
    assert np.allclose(learner.projector, expected, rtol=0, atol=1e-8)


def test_the_inputs_of_steps_on_augmented_images_are_features(learn: Learn) -> None:
    """The projector is that of the features of each batch as it was augmented, not of its pixels."""
    seen: list[Tensor] = []

    class Kept(OWM):
        def _add(self, x: Tensor, done: float) -> None:
            seen.append(x.double())
            super()._add(x, done)

    learner = make(
        Kept, epochs=1, batch_size=8, lr=0.3, update="step", inputs="images", alpha_decay=1.0, augment="flip"
    )
    learn(learner, tiny_stream(), 1)
    x = torch.cat(seen)
    assert x.shape[1] == learner.backbone.dim
    expected = torch.linalg.inv(torch.eye(x.shape[1], dtype=x.dtype) + x.T @ x)
    torch.testing.assert_close(learner.projector, expected, rtol=0, atol=1e-9)


def test_the_constant_falls_over_a_task(learn: Learn) -> None:
    """P^-1 = I + sum of x x^T / alpha of the mean x of a batch, with alpha 2, 2 / 5^(1/3), 2 / 5^(2/3)."""
    means = []

    class Kept(OWM):
        def _add(self, x: Tensor, done: float) -> None:
            means.append(x.double().mean(0))
            super()._add(x, done)

    learner = make(Kept, **FAST, alpha=2.0, alpha_decay=0.2)
    learn(learner, tiny_stream(tasks=5), 1)
    assert len(means) == 3, "24 images in batches of 8, once"
    information = torch.eye(16, dtype=torch.float64)
    for number, mean in enumerate(means):
        information += torch.outer(mean, mean) / (2.0 * 0.2 ** (number / 3))
    assert torch.allclose(learner.projector, torch.linalg.inv(information), rtol=0, atol=1e-10)


def test_answers_to_protected_images_stay_and_new_rows_are_silent_on_them() -> None:
    """With alpha near 0, P projects on the complement of the images; the first task has 2 x 3 of 16 dimensions."""
    stream, kept = tiny_stream(train_per_class=3), []
    exact = make(OWM, **FAST, inputs="images", alpha=1e-9, alpha_decay=1.0)
    free = make(OWM, **FAST, inputs="images", alpha=1e9, alpha_decay=1.0)
    for learner in (exact, free):
        outputs: list[Tensor] = []
        images = stream.view(0).train

        def after(learner: Any, view: Any, images: Any = images, outputs: list[Tensor] = outputs) -> None:
            outputs.append(learner.head(learner.encode(images)).detach())

        learned(learner, stream, after)
        kept.append(float((outputs[-1][:, :2] - outputs[0]).abs().max()))
        assert float(outputs[0].abs().max()) > 1e-2, "the first task was learned"
        if learner is exact:
            assert float(outputs[1][:, 2:].abs().max()) < 1e-5
    assert kept[0] < 1e-5 < 1e-2 < kept[1]


def test_gradients_are_clipped_after_the_projection() -> None:
    learner, gradient = make(OWM, clip=0.5), drawn(3, 16).float()
    learner.setup(tiny_stream().info)
    learner.projector /= 2
    assert torch.allclose(learner.project(gradient), gradient * 0.5 / gradient.norm())
    assert torch.allclose(learner.project(gradient * 1e-3), gradient * 5e-4)
    free = make(OWM)
    free.setup(tiny_stream().info)
    assert torch.allclose(free.project(gradient), gradient)


def test_it_stores_the_projector_and_the_head() -> None:
    for images in (3, 12):
        stored = learned(make(OWM, **FAST), tiny_stream(train_per_class=images)).stored()
        assert stored == {"samples": 0, "parameters": 4 * 160, "statistics": 8 * 16 * 16}
