"""A head whose gradients are projected: the map is applied to every step, and nothing else moves the head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases.projected import Projected
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.testing import tiny_backbone
from tests.conftest import make, tiny_stream
from tests.help.closed_forms import STREAMS, drawn, learned
from tests.help.plain_loops import Kept

FAST: dict[str, Any] = {"epochs": 3, "batch_size": 8, "lr": 0.3, "momentum": 0.9}
MAP = drawn(16, 16).float() / 4


class Mapped(Projected):
    """Gradients are multiplied by a matrix."""

    def project(self, gradient: Tensor) -> Tensor:
        return gradient @ MAP


class Plain(Projected):
    """Gradients stay."""

    def project(self, gradient: Tensor) -> Tensor:
        return gradient


def looped(method: type[Projected], matrix: Tensor) -> None:
    """SGD with momentum in a plain loop on the batches of a training of two tasks ends in the same weights."""
    learner, seen, held = make(method, **FAST), [], torch.zeros(0, 16)
    ends: list[Tensor] = []
    data = learner._data
    batches: list[list[Any]] = []

    def kept(images: Any) -> Any:
        batches.append([])
        return Kept(data(images), batches[-1])

    learner._data = kept  # type: ignore[method-assign]

    def after(learner: Any, view: Any) -> None:
        seen.append(len(view.seen))
        ends.append(torch.cat([block.weight.detach() for block in learner.head.blocks]))

    learned(learner, tiny_stream(tasks=2), after)
    for own, classes, end in zip(batches, seen, ends, strict=True):
        held = F.pad(held, (0, 0, 0, classes - len(held)))
        speed = torch.zeros_like(held)
        assert len(own) == 3 * 8, "60 images in batches of 8, three times"
        for batch in own:
            probability = (batch.x @ held.T).softmax(1) - F.one_hot(batch.y, classes)
            speed = 0.9 * speed + probability.T @ batch.x / len(batch) @ matrix
            held = held - 0.3 * speed
        torch.testing.assert_close(end, held, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("method", "matrix"), [(Mapped, MAP), (Plain, torch.eye(16))])
def test_a_training_equals_a_plain_loop(method: type[Projected], matrix: Tensor) -> None:
    looped(method, matrix)


def test_only_the_head_is_trained_and_it_has_no_bias() -> None:
    learner = learned(make(Mapped, **FAST), STREAMS["class-incremental"]())
    assert learner.backbone.is_pristine and all(block.bias is None for block in learner.head.blocks)
    assert learner.stored()["parameters"] == 4 * 16 * 10
    assert tiny_backbone().dim == 16


def test_steps_that_are_not_projected_are_refused() -> None:
    for bad in ({"weight_decay": 0.1}, {"optimizer": "adam"}, {"trains": "all"}):
        with pytest.raises(UsageError, match=next(iter(bad))):
            make_plan("owm", "split-digits", options=bad)
