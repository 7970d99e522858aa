"""Optimisers and schedules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cl.errors import UsageError
from cl.training.optim import (
    Constant,
    Cosine,
    MultiStep,
    QuarterCosine,
    Schedule,
    When,
    optimizer,
    schedule,
)


def test_schedules_match_pytorch() -> None:
    parameter = nn.Parameter(torch.zeros(1))
    optim = torch.optim.SGD([parameter], lr=1.0)
    pairs: list[tuple[Schedule, Any]] = [
        (Cosine(), torch.optim.lr_scheduler.CosineAnnealingLR(optim, 5)),
        (MultiStep((2, 4)), torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD([parameter], lr=1.0), [2, 4])),
    ]
    for ours, theirs in pairs:
        for epoch in range(5):
            assert ours(When(epoch, 0, 5, 10)) == pytest.approx(theirs.get_last_lr()[0])
            theirs.optimizer.step()
            theirs.step()
    assert Cosine(per_step=True)(When(2, 5, 5, 10)) == pytest.approx(0.5)
    quarter = QuarterCosine()
    assert quarter(When(0, 0, 20, 1)) == 1 and quarter(When(19, 0, 20, 1)) == pytest.approx(0.0157, abs=1e-3)
    assert Constant()(When(3, 1, 5, 10)) == 1
    with pytest.raises(UsageError, match="unknown schedule"):
        schedule("linear")
    with pytest.raises(UsageError, match="unknown optimizer"):
        optimizer("lamb", 0.1)
