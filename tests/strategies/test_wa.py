"""WA: its loss with the share of old classes, and the alignment of the head's new rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.strategies.wa import WA
from cl.testing import check_strategy, tiny_backbone
from cl.training.batches import Batch
from tests.conftest import make, tiny_stream
from tests.help.exemplars import BYTES, FAST, Learn, distilled, ends_like_a_plain_loop, learner
from tests.help.plain_loops import Tensors, logits


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("wa", options={"memory_size": 12})


def test_three_tasks_end_like_a_plain_loop(learn: Learn) -> None:
    model = tiny_backbone().model

    def loss(task: int, teacher: Tensors | None, old: int) -> Any:
        def value(held: Tensors, batch: Batch) -> Tensor:
            z = logits(model, held, batch.x)
            if teacher is None:
                return F.cross_entropy(z, batch.y)
            share = old / z.shape[1]
            taught = logits(model, teacher, batch.x).detach()
            return (1 - share) * F.cross_entropy(z, batch.y) + share * distilled(z, taught)

        return value

    def aligned(held: Tensors, old: int) -> Tensors:
        if old:
            norms = held["head_weight"].norm(dim=1)
            held["head_weight"][old:] *= norms[:old].mean() / norms[old:].mean()
        return held

    ends_like_a_plain_loop(learner(WA, memory_size=14), learn, loss, end=aligned)


def test_rows_of_a_later_task_have_the_mean_length_of_old_rows(learn: Learn) -> None:
    def lengths(learner: WA, view: Any) -> tuple[Tensor, list[Tensor]]:
        return learner.teacher.head.blocks[-1].weight.clone(), [b.weight.norm(dim=1) for b in learner.head.blocks]

    method = make(WA, **FAST, memory_per_class=3)
    for task, (taught, norms) in enumerate(learn(method, tiny_stream(), 3, lengths)):
        if task:
            assert float(norms[-1].mean()) == pytest.approx(float(torch.cat(norms[:-1]).mean()))
        assert torch.equal(taught.norm(dim=1), norms[-1]), "the teacher of the next task is aligned"
    assert method.stored()["samples"] == 6 * 3 * BYTES and method.memory.labels.bincount().tolist() == [3] * 6
