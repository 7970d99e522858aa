"""Independent: nothing passes from task to task."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from cl.strategies.finetune_previous import FinetunePrevious
from cl.strategies.independent import Independent
from cl.stream import Stream
from tests.help.compare import same
from tests.help.network_per_task import learner, network, starts, stream

Learn = Callable[..., list[Any]]


def swapped(first: Stream) -> Stream:
    """The same stream with the images of the first task's classes exchanged for those of other digits."""
    other = stream(order_seed=7)
    assert set(other.class_order[:4]) != set(first.class_order[:4])
    experiences = (other.experiences[0], *first.experiences[1:])
    return dataclasses.replace(first, experiences=experiences)


def test_a_network_does_not_depend_on_earlier_tasks(learn: Learn) -> None:
    """Another first task, and nothing changes in the second; the second starts from weights of its own."""
    networks = []
    for held in (stream(), swapped(stream())):
        strategy = learner(Independent)
        look = starts(strategy)
        networks.append(learn(strategy, held, 2, lambda s, v: network(s)))
    assert not same(networks[0][0], networks[1][0]) and same(networks[0][1], networks[1][1])
    assert same(look[2], look[3]) and not same(look[0], look[2])
    previous = [
        learn(learner(FinetunePrevious), held, 2, lambda s, v: network(s)) for held in (stream(), swapped(stream()))
    ]
    assert not same(previous[0][1], previous[1][1]), "the test must see what passes on"
