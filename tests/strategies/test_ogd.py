"""OGD: answers to stored images stay exactly, and the store has a limit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cl.errors import UsageError
from cl.strategies.ogd import OGD
from tests.conftest import make, tiny_stream
from tests.help.closed_forms import STREAMS, learned, trained_on

FAST: dict[str, Any] = {"epochs": 3, "batch_size": 8, "lr": 0.3, "momentum": 0.9}


def outputs(learner: Any, images: Any) -> Tensor:
    found: Tensor = learner.head(learner.encode(images)).detach()
    return found


@pytest.mark.parametrize("logits", ["truth", "all"])
def test_answers_to_stored_images_stay(logits: str) -> None:
    stream, kept = tiny_stream(train_per_class=3), []
    images = stream.view(0).train
    learned(make(OGD, **FAST, logits=logits), stream, lambda learner, view: kept.append(outputs(learner, images)))
    rows, first = torch.arange(6), kept[0]
    truth = first[rows, images.labels]
    assert float(truth.abs().min()) > 1e-3
    for later in kept[1:]:
        assert torch.allclose(later[rows, images.labels], truth, rtol=0, atol=1e-5)
        other = (later[:, :2] - first).abs().max()
        assert (float(other) < 1e-5) is (logits == "all"), "the logits of other classes"
        if logits == "all":
            assert float(later[:, 2:].abs().max()) < 1e-5, "of classes to come too"


def test_only_drawn_images_are_stored() -> None:
    learner = learned(make(OGD, **FAST, images_per_task=4), tiny_stream(tasks=2))
    assert len(learner.directions) == 8 and learner.stored()["samples"] == 8 * 16 * 8
    x, y = trained_on(learner, tiny_stream(tasks=2))
    for position, basis in enumerate(learner.directions.bases):
        own = x[y == position]
        residual = own - own @ basis.T.numpy() @ basis.numpy()
        assert int((np.abs(residual).max(1) < 1e-5).sum()) == len(basis), "of images of its class"


@pytest.mark.parametrize("setting", STREAMS)
def test_least_squares_steps_are_those_of_the_paper(setting: str) -> None:
    """A gradient e x^T of an image's square becomes e (P_c x)^T, with P_c = I - X_c (X_c^T X_c)^+ X_c^T of its row."""
    stream = STREAMS[setting]()
    learner = learned(make(OGD, **FAST), stream)
    x, y = trained_on(learner, stream)
    gradient = torch.ones(10, 1) @ torch.randn(1, 16, generator=torch.Generator().manual_seed(0))
    found = learner.project(gradient)
    for position in range(10):
        own = x[y == position].T
        projector = np.eye(16) - own @ np.linalg.pinv(own, rcond=1e-5)
        assert np.allclose(found[position], projector @ gradient[position].numpy(), rtol=0, atol=1e-4)


def test_the_limit_is_an_error_that_names_the_options() -> None:
    learned(make(OGD, **FAST, images_per_task=4, max_directions=20), tiny_stream(tasks=5))
    learner = make(OGD, **FAST, images_per_task=4, max_directions=15)
    with pytest.raises(UsageError) as caught:
        learned(learner, tiny_stream(tasks=5))
    assert learner.head.classes == 6, "before the task is trained"
    assert str(caught.value) == (
        "ogd would store 16 directions with task 4, and max_directions is 15; set max_directions=32 or more, or a "
        "smaller images_per_task."
    )


def test_a_full_basis_leaves_no_gradient() -> None:
    """Rank d ends plasticity: the row of a class with d independent images stays."""
    learner = learned(make(OGD, **FAST, logits="all"), tiny_stream(tasks=5, train_per_class=12))
    assert len(learner.directions) <= 16
    gradient = torch.randn(10, 16, generator=torch.Generator().manual_seed(0))
    rest = learner.project(gradient)
    basis = learner.directions.bases[0].numpy()
    assert np.linalg.matrix_rank(rest, tol=1e-4) <= 16 - len(basis)
