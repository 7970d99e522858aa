"""What the tests of methods with a network per task share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from cl.bases.network_per_task import NetworkPerTask
from cl.stream import Stream
from cl.training import state
from tests.conftest import make, tiny_stream

FAST: dict[str, Any] = {
    **{"trials": 2, "steps": 2, "validate_every": 2, "batch_size": 16, "batch_share": 0.0},
    **{"lr_min": 0.05, "augment": "none"},
}
Learn = Callable[..., list[Any]]


def learner(cls: type[NetworkPerTask], **options: Any) -> NetworkPerTask:
    return make(cls, **{**FAST, **options})


def stream(**options: Any) -> Stream:
    return tiny_stream(**{"val_fraction": 0.25, "tasks": 3, **options})


def network(strategy: NetworkPerTask) -> dict[str, Tensor]:
    """The last task's network and its block of the head."""
    held = {**strategy.backbone.model.state_dict(), **strategy.head.blocks[-1].state_dict()}
    copied: dict[str, Tensor] = state.clone(held)
    return copied


def starts(strategy: NetworkPerTask) -> list[dict[str, Tensor]]:
    """Will hold the backbone's tensors at the beginning of every trial."""
    found: list[dict[str, Tensor]] = []
    fit = strategy.fit

    def look(*arguments: Any, **options: Any) -> Any:
        found.append(state.clone(dict(strategy.backbone.model.state_dict())))
        return fit(*arguments, **options)

    vars(strategy)["fit"] = look
    return found


def learned(cls: type[NetworkPerTask], learn: Learn, tasks: int = 2, **options: Any) -> tuple[list[Any], list[Any]]:
    """Network after each task, and the weights that each trial started from."""
    strategy = learner(cls, **options)
    look = starts(strategy)
    return learn(strategy, stream(), tasks, lambda s, v: network(s)), look
