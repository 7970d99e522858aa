"""Heads before their first training, for forward transfer.

A head of shared labels, or of a task that is told, exists before its task in the papers that define forward transfer
(GEM). Here heads grow when a task is learned, so an evaluation of later tasks grows them for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cl.bases.fine_tuning import FineTuning
from cl.random import Seeds
from cl.strategy import Strategy
from cl.stream import Stream
from cl.training.generators import generator

RULES = ("dil", "til_masked", "til_oracle")
"""Prediction rules under which a head can answer before its task."""


def can_grow(strategy: Strategy) -> bool:
    """Whether the method's scores are those of one growing linear head, which an untrained head can extend."""
    return isinstance(strategy, FineTuning) and type(strategy).predict is FineTuning.predict and strategy.ready


@contextmanager
def grown(strategy: Strategy, stream: Stream, seeds: Seeds) -> Iterator[None]:
    """Extend the head to all classes of the stream, with the weights that later tasks will draw; undone at the end."""
    assert isinstance(strategy, FineTuning)
    head, before = strategy.head, len(strategy.head.blocks)
    for task in range(len(stream.experiences)):
        seen = len(stream.view(task).seen)
        if seen > head.classes:
            head.grow_to(seen, generator(seeds.init, "init", task, "head"))
    try:
        yield
    finally:
        del head.blocks[before:]
