"""The temperature of a learner's scores: the maximum of the likelihood, and what it changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from cl.running.calibration import Calibration, of_scores, temperature_of


def drawn(images: int = 4000, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Scores whose softmax at temperature `scale` are the probabilities of the labels."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (images, 5))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in shares])
    return logits * scale, labels


def loss(scores: np.ndarray, labels: np.ndarray, log_temperature: float) -> float:
    log = torch.from_numpy(scores / np.exp(log_temperature)).log_softmax(1).numpy()
    return -float(log[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("scale", [0.02, 1.0, 30.0])
def test_the_temperature_is_the_one_that_the_labels_were_drawn_with(scale: float) -> None:
    scores, labels = drawn(scale=scale)
    found = temperature_of(scores, labels)
    best = minimize_scalar(lambda value: loss(scores, labels, value), bounds=(-6, 6), method="bounded")
    assert found == pytest.approx(np.exp(best.x), rel=1e-3) and found == pytest.approx(scale, rel=0.1)


def test_the_error_falls_and_is_measured_with_the_temperature_of_the_other_half() -> None:
    scores, labels = drawn(scale=0.1)
    found = of_scores(scores, labels)
    assert found.ece is not None and found.ece_after is not None and found.nll is not None
    assert found.ece > 0.2 and found.ece_after < 0.04 and found.nll_after is not None and found.nll_after < found.nll
    assert found.temperature is not None and found.nll_after >= loss(scores, labels, np.log(found.temperature))
    assert found.images == 4000 and "temperature 0.09" in found.sentence and "before and" in found.sentence
    assert Calibration(**found.as_state()) == found


def test_classes_that_are_no_choice_count_as_impossible() -> None:
    scores, labels = drawn()
    wide = np.concatenate([scores, np.full((len(scores), 2), -np.inf)], 1)
    assert temperature_of(wide, labels) == pytest.approx(temperature_of(scores, labels))


def test_without_a_mistake_there_is_no_temperature() -> None:
    found = of_scores(np.eye(30), np.arange(30))
    assert found.temperature is None and "all 30 held-out images are answered correctly" in found.sentence
