"""Methods that are told the task of a test image: who answers, and what is said of tasks not learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.bases.told_task import ToldTask
from cl.errors import UsageError
from cl.parts.heads import TaskHeads
from cl.strategy import StreamInfo, View
from tests.conftest import make, tiny_stream


class Untrained(ToldTask):
    """A fresh head per task on the same network."""

    def setup(self, info: StreamInfo) -> None:
        self.head = TaskHeads(self.backbone.dim)

    def learn(self, view: View) -> None:
        self.head.add(view.classes, self.init_rng("head"))

    def network(self, task: int) -> Any:
        return self.backbone


def test_a_given_task_is_answered_by_its_head_and_others_not_at_all(learn: Callable[..., Any]) -> None:
    method, stream = make(Untrained), tiny_stream()
    learn(method, stream, 2)
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert method.ready and method.rules == ("til_oracle",)
    features = method.backbone(method.backbone.transform(pixels))
    assert torch.equal(method.predict_images(pixels, 1), method.head.scores(1, features))
    assert torch.equal(method.predict_images(pixels, 2), torch.zeros(5, 4)), "a task not learned: no opinion"
    with pytest.raises(UsageError, match=r"Untrained has parts of its own for every task .* say which task: task=0"):
        method.predict_images(pixels)
