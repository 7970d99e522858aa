"""ER-ACE: two softmaxes, and when they begin."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.strategies.er_ace import ErAce
from cl.testing import check_strategy, tiny_backbone
from cl.training.batches import Batch
from tests.conftest import tiny_stream
from tests.help.exemplars import DECAY, MOMENTUM, Learn, learner, stepped
from tests.help.plain_loops import Tensors, close, descend, logits, weights


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("er-ace", options={"memory_size": 20})


@pytest.mark.parametrize("task_free", [False, True])
def test_two_tasks_end_like_a_plain_loop(task_free: bool, learn: Learn) -> None:
    model, method = tiny_backbone().model, learner(ErAce, memory_size=20, task_free=task_free)
    for task, ours in enumerate(learn(method, tiny_stream(), 2, lambda s, view: weights(s))):
        batches, start = (of[task, "train"] for of in (method.trainer.batches, method.trainer.starts))
        replays = [(task > 0 or task_free) and not (task == 0 and step == 0) for step in range(len(batches))]
        number = {id(batch): step for step, batch in enumerate(batches)}

        def loss(
            held: Tensors,
            batch: Batch,
            replays: list[bool] = replays,
            number: dict[int, int] = number,
            task: int = task,
        ) -> Tensor:
            z, new = logits(model, held, batch.x), len(batch)
            value = torch.zeros(())
            if replays[number[id(batch)]]:
                new = len(batch) // 2
                value = F.cross_entropy(z[new:], batch.y[new:])
            z, y = z[:new], batch.y[:new]
            if task > 0 or task_free:
                present = sorted(set(y.tolist()))
                z, y = z[:, present], torch.tensor([present.index(label) for label in y.tolist()])
            return value + F.cross_entropy(z, y)

        assert [len(batch) for batch in batches] == [
            size * (1 + twice) for size, twice in zip((16, 8, 16, 8), replays, strict=True)
        ]
        plain = descend(start, batches, loss, stepped(batches), momentum=MOMENTUM, decay=lambda name: DECAY)
        close(ours, plain)


def test_new_images_give_old_rows_no_gradient(learn: Learn) -> None:
    method = learner(ErAce, memory_size=20)
    learn(method, tiny_stream(), 1)
    method.head.grow_to(4, torch.Generator().manual_seed(0))
    method._replays = True
    view = tiny_stream().view(1)
    batch = Batch(method.backbone.transform(view.train.pixels([0, 23])), view.train.labels[[0, 23]], torch.arange(2))
    method.memory.labels = method.memory.labels[:0]  # none to replay
    method.head.requires_grad_(True)
    method.objective(batch, view.classes).backward()
    old, new = (block.weight.grad for block in method.head.blocks)
    assert old is not None and not old.any() and new is not None and new.any()
