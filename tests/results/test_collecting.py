"""The garbage collector is as it was after a pause."""

from __future__ import annotations

import gc

import pytest

from cl.results.collecting import without_collecting


def test_the_collector_pauses_and_goes_on_also_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError, match="inside"), without_collecting():
        assert not gc.isenabled()
        raise ValueError("inside")
    assert gc.isenabled()


def test_a_pause_within_a_pause_does_not_end_it() -> None:
    with without_collecting():
        with without_collecting():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
