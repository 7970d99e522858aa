"""Optimisers and schedules."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import nn

from cl.errors import UsageError
from cl.training.optim import (
    OPTIMIZERS,
    SCHEDULES,
    Constant,
    Cosine,
    MultiStep,
    QuarterCosine,
    Schedule,
    When,
    adamw,
    optimizer,
    schedule,
    sgd,
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


def test_a_late_cosine_is_timms() -> None:
    optim = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.02)
    theirs = CosineLRScheduler(optim, t_initial=7, lr_min=1e-5)
    for epoch in range(7):
        ours = 0.02 * Cosine(minimum=1e-5 / 0.02, late=1)(When(epoch, 0, 7, 10))
        assert ours == pytest.approx(optim.param_groups[0]["lr"])
        theirs.step(epoch)  # after the epoch, as in the authors' code


def test_other_schedules() -> None:
    quarter = QuarterCosine()
    assert quarter(When(0, 0, 20, 1)) == 1 and quarter(When(19, 0, 20, 1)) == pytest.approx(0.0157, abs=1e-3)
    assert Constant()(When(3, 1, 5, 10)) == 1
    with pytest.raises(UsageError, match="unknown schedule"):
        schedule("linear")
    with pytest.raises(UsageError, match="unknown optimizer"):
        optimizer("lamb", 0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimisers_by_name_have_the_rate_and_the_decay(name: str) -> None:
    group = optimizer(name, 0.3, 0.01)([nn.Parameter(torch.zeros(1))]).param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.3, 0.01)
    assert group.get("momentum", 0.9) == 0.9


def test_a_group_of_parameters_keeps_its_own_rate() -> None:
    slow, fast = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    groups = sgd(0.1)([{"params": [slow], "lr": 0.001}, {"params": [fast]}]).param_groups
    assert [group["lr"] for group in groups] == [0.001, 0.1]
    assert isinstance(adamw(0.1)([slow]), torch.optim.AdamW)


def test_schedules_by_name() -> None:
    when = When(2, 3, 4, 10)
    found = {name: schedule(name, (1, 2), 0.5)(when) for name in SCHEDULES}
    assert found["constant"] == 1 and found["multistep"] == 0.25 and found["cosine"] == pytest.approx(0.5)
    assert found["cosine-step"] == pytest.approx((1 + math.cos(math.pi * 23 / 40)) / 2)
    assert found["quarter-cosine"] == pytest.approx(math.cos(99 * math.pi * 2 / 600))
