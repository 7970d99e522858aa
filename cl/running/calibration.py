"""The temperature that makes scores probabilities: how it is chosen, and what it is worth."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cl.random import numpy_generator
from cl.records.answers import calibration_error

_NARROWEST = 1e-6
"""Relative width of the interval that holds the temperature in the end."""


@dataclass(frozen=True)
class Calibration:
    """How the probabilities of a learner were calibrated; `temperature` is None, and `why` says why, if they were not.

    `images` were held out of training. `ece` and `nll` are the expected calibration error (a fraction) and the mean
    negative log-likelihood (nats) on them without a temperature, `ece_after` and `nll_after` with the temperature that
    the other half of them gives, so that no image judges the temperature that it was used for.
    """

    temperature: float | None = None
    images: int = 0
    ece: float | None = None
    ece_after: float | None = None
    nll: float | None = None
    nll_after: float | None = None
    why: str = ""

    @property
    def sentence(self) -> str:
        """One sentence for users."""
        if self.temperature is None or self.ece is None or self.ece_after is None:
            return f"Probabilities are not calibrated: {self.why}."
        return (
            f"Probabilities are calibrated on {self.images:,} held-out training images: temperature "
            f"{self.temperature:.4g}, calibration error {100 * self.ece:.2f} % before and {100 * self.ece_after:.2f} % "
            "after."
        )

    def as_state(self) -> dict[str, Any]:
        """JSON values, from which `Calibration(**values)` is made."""
        return asdict(self)


def of_scores(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Calibration:
    """The calibration from scores [N, K] of held-out images, -inf for classes that were no choice, and labels [N]."""
    right = scores.argmax(1) == labels
    if right.all():  # the likelihood grows without end as the temperature falls
        return Calibration(images=len(labels), why=f"all {len(labels)} held-out images are answered correctly")
    half = numpy_generator(0, "calibration").permutation(len(labels)) % 2 == 0
    after = np.empty_like(scores)
    for part in (half, ~half):
        other = ~part
        found = temperature_of(scores[other], labels[other]) if not right[other].all() else 1.0
        after[part] = scores[part] / found
    ece, nll = _measured(scores, labels)
    ece_after, nll_after = _measured(after, labels)
    return Calibration(temperature_of(scores, labels), len(labels), ece, ece_after, nll, nll_after)


def temperature_of(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature with the largest likelihood of the labels [N] under softmax(scores / temperature).

    The likelihood has one maximum over the inverse of the temperature, where the slope changes its sign.
    """
    own = scores[np.arange(len(labels)), labels]
    centred = scores - scores.max(1, keepdims=True)
    low, high = 1e-9, 1e9  # of the inverse; scores of any scale that float32 holds well

    def slope(inverse: float) -> float:
        """Derivative of the log-likelihood by the inverse of the temperature: mean of own score - expected score."""
        weights = np.exp(centred * inverse)
        weights /= weights.sum(1, keepdims=True)
        expected = np.where(weights > 0, weights * np.where(np.isfinite(scores), scores, 0), 0).sum(1)
        return float((own - expected).mean())

    while high / low > 1 + _NARROWEST:
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return 1 / float(np.sqrt(low * high))


def _measured(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Calibration error and mean negative log-likelihood of softmax(scores)."""
    log = torch.from_numpy(scores).log_softmax(1).numpy()
    nll = -float(log[np.arange(len(labels)), labels].mean())
    return calibration_error(np.exp(log.max(1)), scores.argmax(1) == labels), nll
