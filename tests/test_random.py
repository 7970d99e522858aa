"""Random streams are named: a seed depends on its name alone."""

from __future__ import annotations

from cl.random import derive


def test_seeds_differ_by_every_part_of_their_name() -> None:
    keys: list[tuple[str | int, ...]] = [(0,), (1,), ("0",), ("a", 1), ("a", "1"), ("a1",), (1, "a")]
    assert len({derive(7, *key) for key in keys} | {derive(8, 0)}) == len(keys) + 1


def test_a_known_value_keeps_records_comparable_between_versions() -> None:
    assert derive(1993, "fit", 0, "train", 1, 0, "order") == 701290888441308345
