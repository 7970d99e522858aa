"""Options that a record shows only where they were chosen."""

from __future__ import annotations

from dataclasses import dataclass

from cl.options import listed, option


def test_unlisted_options_stand_in_records_only_where_they_were_chosen() -> None:
    @dataclass(frozen=True)
    class Options:
        old: int = option(1, "old")
        new: int = option(2, "new", unlisted=True)

    assert listed(Options()) == {"old": 1} and listed(Options(new=3)) == {"old": 1, "new": 3}
