"""What tests of methods with exemplars share: learners whose batches are kept, and losses by the papers' formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.training.batches import Batch
from tests.conftest import tiny_backbone, tiny_stream
from tests.help.plain_loops import Keeping, Tensors, close, descend, weights

Learn = Callable[..., list[Any]]
LR, MOMENTUM, DECAY = 0.02, 0.9, 0.01
FAST: dict[str, Any] = {
    **{"epochs": 2, "batch_size": 16, "lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY, "augment": "crop-flip"},
    **{"optimizer": "sgd", "schedule": "multistep", "milestones": (1,), "gamma": 0.3},
}
FROZEN: dict[str, Any] = {**FAST, "trains": "head", "augment": "none"}
BYTES = 8 * 8 + 8
"""A grey image of the stream and its label."""

Loss = Callable[[Tensors, Batch], Tensor]


def learner(cls: type[Any], **options: Any) -> Any:
    """A learner on the tiny backbone without dropout, whose trainer keeps the batches of every fit."""
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return cls(cls.Options(**{**FAST, **options}), backbone, Keeping())


def stepped(batches: list[Batch]) -> Callable[[int], float]:
    """The rate of `FAST`: 0.3 of it in the second epoch."""
    return lambda step: LR * (1.0 if step < len(batches) // 2 else 0.3)


def ends_like_a_plain_loop(
    method: Any, learn: Learn, loss: Callable[[int, Tensors | None, int], Loss], tasks: int = 3,
    *, end: Callable[[Tensors, int], Tensors] = lambda held, old: held,
) -> None:  # fmt: skip
    """Learn tasks; a loop over the batches of a fit, by `loss(task, teacher, old classes)`, ends in the same weights.

    The teacher are the weights after the task before. `end(weights, old classes)` is what a task does after training.
    """
    found = learn(method, tiny_stream(), tasks, lambda s, view: (weights(s), len(view.seen)))
    teacher: Tensors | None = None
    old = 0
    for task, (ours, seen) in enumerate(found):
        batches, start = (of[task, "train"] for of in (method.trainer.batches, method.trainer.starts))
        if teacher is not None:
            for name, value in teacher.items():
                assert torch.equal(start[name][: len(value)], value), f"{name} goes on from the last task"
        plain = descend(
            start, batches, loss(task, teacher, old), stepped(batches), momentum=MOMENTUM, decay=lambda name: DECAY
        )
        close(ours, end(plain, old))
        teacher, old = ours, seen


def distilled(values: Tensor, taught: Tensor, temperature: float = 2.0) -> Tensor:
    """- sum_c softmax(g / T)_c log softmax(z / T)_c over the old columns, mean over images."""
    soft = torch.softmax(taught / temperature, 1)
    return -(soft * F.log_softmax(values[:, : taught.shape[1]] / temperature, 1)).sum(1).mean()
