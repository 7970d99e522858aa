"""Masks per task: what is kept, and what a prediction is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.bases.subnetworks import Subnetworks
from cl.errors import UsageError
from cl.random import Seeds
from cl.stream import View
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.backbones import conv_backbone
from tests.help.compare import same


class Halves(Subnetworks):
    """Each task uses the weights in every third place and shifts the biases and averages."""

    @dataclass(frozen=True)
    class Options(Subnetworks.Options):
        """No options of its own."""

    @torch.no_grad()
    def find(self, view: View) -> list[Tensor]:
        for value in self._small(buffers=True).values():
            value.add_(0.5)
        places = [torch.arange(weight.numel()).view_as(weight) for weight in self._weights]
        return [place % 3 == view.task for place in places]


def learner() -> Halves:
    return Halves(Halves.Options(), conv_backbone(), Trainer(seeds=Seeds()))


def test_a_task_predicts_with_its_mask_and_its_small_tensors(learn: Any) -> None:
    method = learner()
    pixels = torch.randint(256, (5, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    scores = learn(method, tiny_stream(), 3, lambda s, v: s.predict_images(pixels, 0)[:, s.head.tasks[0]])
    assert same([scores[0]] * 2, scores[1:]), "later tasks do not change the answers of the first"
    for task in range(3):
        found = method.tensors(task)
        weight = method.backbone.model.get_parameter("conv2.weight")
        assert torch.equal(found["conv2.weight"], weight * method.masks[task][1])
        shared = method.backbone.model.get_parameter("conv2.bias")
        assert torch.allclose(found["conv2.bias"], shared - 0.5 * (2 - task))
        assert {"bn1.running_mean", "bn2.running_var"} < set(found)
    assert method.report()["density"] == pytest.approx(1.0) and method.report()["task0.density"] < 0.34
    assert torch.equal(method.predict_images(pixels, 4), torch.zeros(5, 6))
    with pytest.raises(UsageError, match="Halves has parts of its own for every task and cannot"):
        method.predict_images(pixels)
