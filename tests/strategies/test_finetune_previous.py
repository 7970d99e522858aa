"""Finetune-previous: a task starts from the network of the task before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cl.strategies.finetune_previous import FinetunePrevious
from tests.help.compare import same
from tests.help.network_per_task import learned

Learn = Callable[..., list[Any]]


def test_previous_starts_where_the_task_before_ended(learn: Learn) -> None:
    networks, look = learned(FinetunePrevious, learn, 2)
    before = {name: networks[0][name] for name in look[0]}
    assert same(look[2], before) and same(look[3], before)
