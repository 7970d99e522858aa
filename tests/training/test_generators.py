"""Random streams are named: draws depend on their name alone."""

from __future__ import annotations

import random

import numpy as np
import torch

from cl.random import derive, numpy_generator
from cl.training.generators import generator, global_state, seed_globals, set_global_state


def test_streams_differ_by_every_part_of_their_name() -> None:
    keys: list[tuple[str | int, ...]] = [(0,), (1,), ("0",), ("a", 1), ("a", "1"), ("a1",), (1, "a")]
    assert len({derive(7, *key) for key in keys} | {derive(8, 0)}) == len(keys) + 1


def test_a_stream_is_the_same_wherever_it_is_asked_for() -> None:
    first = torch.rand(3, generator=generator(5, "x", 2))
    torch.manual_seed(1)
    assert torch.equal(first, torch.rand(3, generator=generator(5, "x", 2)))
    assert np.array_equal(numpy_generator(5, "x").random(3), numpy_generator(5, "x").random(3))


def test_known_value_so_that_records_stay_comparable_between_versions() -> None:
    assert derive(1993, "fit", 0, "train", 1, 0, "order") == 701290888441308345


def test_global_generators_travel_in_a_checkpoint() -> None:
    seed_globals(3, "somewhere")
    torch.rand(5), np.random.rand(5), random.random(), np.random.randn()
    saved = global_state()
    expected = (torch.rand(2).tolist(), np.random.randn(3).tolist(), random.random())
    seed_globals(4, "elsewhere")
    set_global_state(saved)
    assert (torch.rand(2).tolist(), np.random.randn(3).tolist(), random.random()) == expected
