"""Options that a record shows only where they were chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cl import registry
from cl.options import listed, option

NAMES = ("plain", "plain:", "mine")


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    for name in NAMES:
        registry.streams.unregister(name)


def test_unlisted_options_stand_in_records_only_where_they_were_chosen() -> None:
    @dataclass(frozen=True)
    class Options:
        old: int = option(1, "old")
        new: int = option(2, "new", unlisted=True)

    assert listed(Options()) == {"old": 1} and listed(Options(new=3)) == {"old": 1, "new": 3}
