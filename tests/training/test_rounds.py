"""Rounds of steps: a source's own epochs, cut at other places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cl.training.batches import Batch, Rng, TensorBatches, without_single
from cl.training.generators import generator
from cl.training.rounds import Rounds


def named(*purpose: str | int, epoch: int) -> torch.Generator:
    return generator(0, epoch, *purpose)


def rounds_of(rounds: Rounds, epoch: int, start: int = 0) -> list[list[int]]:
    def rng(*purpose: str | int, epoch: int = epoch) -> torch.Generator:
        return named(*purpose, epoch=epoch)

    return [batch.y.tolist() for batch in rounds.epoch(epoch, rng, start)]


def source(count: int = 10, size: int = 4) -> TensorBatches:
    return TensorBatches(torch.zeros(count, 1), torch.arange(count), size)


def plain(total: int) -> Iterator[list[int]]:
    """Batches of the source's own epochs."""
    for step in range(total):
        epoch, within = divmod(step, 3)

        def rng(*purpose: str | int, epoch: int = epoch) -> torch.Generator:
            return named(*purpose, epoch=epoch)

        yield next(iter(source().epoch(epoch, rng, within))).y.tolist()


@pytest.mark.parametrize(("total", "size"), [(7, 2), (7, 3), (7, 7), (7, 100), (2, 1), (1, 1), (6, 4)])
def test_rounds_are_the_sources_own_epochs_however_they_are_cut(total: int, size: int) -> None:
    rounds = Rounds(source(), total, size)
    found = [rounds_of(rounds, epoch) for epoch in range(rounds.count)]
    assert [batch for each in found for batch in each] == list(plain(total))
    assert [len(each) for each in found[:-1]] == [min(size, total)] * (rounds.count - 1) and found[-1]
    assert rounds.steps == min(size, total)
    for epoch, each in enumerate(found):
        for start in range(len(each) + 1):
            assert rounds_of(rounds, epoch, start) == each[start:], "resumed at any step"


def test_no_batch_is_drawn_that_is_not_used() -> None:
    class Endless:
        steps = 5
        given = 0

        def epoch(self, epoch: int, rng: Rng, start: int = 0) -> Iterator[Batch]:
            for step in range(start, self.steps):
                self.given += 1
                yield Batch(torch.zeros(1), torch.tensor([step]))

    endless = Endless()
    assert rounds_of(Rounds(endless, 3, 3), 0) == [[0], [1], [2]] and endless.given == 3


def test_a_batch_of_one_joins_the_batch_before_within_its_epoch() -> None:
    rounds = without_single(Rounds(source(count=9), 5, 3))
    assert isinstance(rounds, Rounds) and rounds.count == 2
    found = [rounds_of(rounds, turn) for turn in range(2)]
    assert [[len(batch) for batch in each] for each in found] == [[4, 5, 4], [5, 4]]
    assert sorted(found[0][0] + found[0][1]) == list(range(9))
