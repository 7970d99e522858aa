"""A source cut into rounds of equal length, for optimisations counted in steps instead of epochs."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from cl.training.batches import Batch, Rng, Source, without_single


class Rounds:
    """The first `total` batches of a source, epoch after epoch, in rounds of `size`; the last round may be shorter.

    A fit over `count` "epochs" of rounds takes `total` steps and validates after each round. The batches are those of
    the source's own epochs and do not depend on the length of rounds.
    """

    def __init__(self, source: Source, total: int, size: int) -> None:
        self.source, self.total, self.size = source, total, min(size, total)

    @property
    def count(self) -> int:
        """Number of rounds."""
        return -(-self.total // self.size)

    @property
    def steps(self) -> int:
        """Batches per round."""
        return self.size

    def without_single(self) -> Rounds:
        """The rounds of a source whose last batch of one item is part of the batch before."""
        return Rounds(without_single(self.source), self.total, self.size)

    def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
        """Batches `start`, `start + 1`, ... of a round."""
        step, end = epoch * self.size + start, min((epoch + 1) * self.size, self.total)
        while step < end:
            turn, within = divmod(step, self.source.steps)
            for batch in self.source.epoch(turn, functools.partial(rng, epoch=turn), within):
                yield batch
                step += 1
                if step == end:
                    return
