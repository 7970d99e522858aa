"""What the tests of distillation share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from cl.bases.regularized import Regularized
from cl.strategies.pred_kd import PredKD
from cl.training.batches import Batch
from tests.conftest import make, tiny_stream

FAST: dict[str, Any] = {"epochs": 2, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}
Learn = Callable[..., list[Any]]


def second_task(learn: Learn, cls: type[Regularized] = PredKD, **options: Any) -> tuple[Any, Batch, tuple[int, ...]]:
    """A learner at the first step of task 2 (in evaluation mode), a batch of that task, and its classes."""
    learner, stream = make(cls, **{**FAST, **options}), tiny_stream()
    learn(learner, stream, 1)
    view = stream.view(1)
    learner.head.grow_to(len(view.seen), torch.Generator().manual_seed(0))
    learner.head.requires_grad_(True)
    for parameter in learner.tuned().values():
        parameter.requires_grad_(True)
    index = torch.arange(0, len(view.train), 3)
    return learner, Batch(learner.backbone.transform(view.train.pixels(index)), view.train.labels[index]), view.classes


def with_options(learner: Any, **options: Any) -> Any:
    learner.options = type(learner.options)(**{**vars(learner.options), **options})
    return learner
