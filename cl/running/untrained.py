"""Heads before their first training, for forward transfer.

A head of shared labels, or of a task that is told, exists before its task in the papers that define forward transfer
(GEM). Here heads grow when a task is learned, so an evaluation of later tasks grows them for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cl.bases.fine_tuning import FineTuning
from cl.parts.heads import TaskHeads
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
def with_heads(strategy: Strategy, stream: Stream, tasks: Iterable[int], seeds: Seeds) -> Iterator[None]:
    """Give a method with a head per task those of tasks not learned yet, as they will be drawn; undone at the end.

    Only a method that says `answers_early` has a network for such tasks, and only if `tasks` has one of them.
    """
    head = getattr(strategy, "head", None)
    before = len(head) if isinstance(head, TaskHeads) and getattr(strategy, "answers_early", False) else None
    if before is None or not any(task >= before for task in tasks):
        yield
        return
    assert isinstance(head, TaskHeads)
    held = head.get_state()
    for task in range(before, len(stream.experiences)):
        head.add(stream.experiences[task].classes, generator(seeds.init, "init", task, "head"))
    try:
        yield
    finally:
        del head.blocks[before:]  # those of tasks not learned yet
        head.tasks = held["tasks"]


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
