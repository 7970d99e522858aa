"""Pretrained: every task starts from the weights as loaded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cl.strategies.finetune_previous import FinetunePrevious
from cl.strategies.pretrained import Pretrained
from tests.conftest import tiny_backbone
from tests.help.compare import same
from tests.help.network_per_task import learned

Learn = Callable[..., list[Any]]


def test_pretrained_starts_every_task_as_loaded(learn: Learn) -> None:
    _, look = learned(Pretrained, learn, 2)
    fresh = dict(tiny_backbone().model.state_dict())
    assert all(same(start, fresh) for start in look) and len(look) == 4
    _, look = learned(FinetunePrevious, learn, 2, start="pretrained")
    assert same(look[0], fresh) and not same(look[2], fresh)
