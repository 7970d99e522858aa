"""Generators of named random streams, and the state of the global ones."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from cl.random import numpy_generator
from cl.training.generators import generator, generators_untouched, global_state, seed_globals, set_global_state


def test_a_named_stream_does_not_depend_on_global_state() -> None:
    first = torch.rand(3, generator=generator(5, "x", 2))
    torch.manual_seed(1)
    assert torch.equal(first, torch.rand(3, generator=generator(5, "x", 2)))
    assert np.array_equal(numpy_generator(5, "x").random(3), numpy_generator(5, "x").random(3))


def test_the_state_of_global_generators_is_restored() -> None:
    seed_globals(3, "somewhere")
    torch.rand(5), np.random.rand(5), random.random(), np.random.randn()
    saved = global_state()
    expected = (torch.rand(2).tolist(), np.random.randn(3).tolist(), random.random())
    seed_globals(4, "elsewhere")
    set_global_state(saved)
    assert (torch.rand(2).tolist(), np.random.randn(3).tolist(), random.random()) == expected


def test_draws_inside_a_block_do_not_reach_those_after_it() -> None:
    seed_globals(3, "somewhere")
    expected = (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random())
    seed_globals(3, "somewhere")
    with pytest.raises(ZeroDivisionError), generators_untouched():
        torch.rand(9), np.random.rand(9), random.random()
        raise ZeroDivisionError
    assert (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()) == expected
