"""What the oracles of prompting methods share: learners with given parameters, and the initial rows of their heads."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

from cl.strategy import Strategy, StreamInfo
from cl.training.trainer import Trainer
from tests.help.oracles import Oracle

S = TypeVar("S", bound=Strategy)


def learner_of(method: type[S], oracle: Oracle, *, tasks: int = 1, classes: int = 1, **options: Any) -> S:
    """A learner of `tasks` tasks after `setup`, on the network of the file."""
    names = tuple(f"class{position}" for position in range(tasks * classes))
    learner = method(method.Options(**options), oracle.backbone(), Trainer())
    learner.info = StreamInfo(oracle.name, tasks, tasks * classes, (classes,) * tasks, names, (3, 8, 8))
    learner.setup(learner.info)
    return learner


def set_rows(head: Any, weight: Tensor, bias: Tensor | None = None) -> None:
    """Set the newest block of a head to the rows of its classes; the bias is 0 unless it is given."""
    rows = slice(sum(head.widths[:-1]), sum(head.widths))
    with torch.no_grad():
        head.blocks[-1].weight.copy_(weight[rows])
        head.blocks[-1].bias.copy_(torch.zeros(head.widths[-1]) if bias is None else bias[rows])


def head_of(head: Any) -> tuple[Tensor, Tensor]:
    """The weights and biases of all blocks, one after another."""
    weights = torch.cat([block.weight.detach() for block in head.blocks])
    return weights, torch.cat([block.bias.detach() for block in head.blocks])


def compare_head(oracle: Oracle, head: Any, task: int) -> None:
    """Compare a head with the file's after a task; some files hold no biases."""
    weight, bias = head_of(head)
    oracle.compare("training", weight, oracle.tensor(f"final/{task}/head_weight"))
    if f"final/{task}/head_bias" in oracle.arrays:
        oracle.compare("training", bias, oracle.tensor(f"final/{task}/head_bias"))
