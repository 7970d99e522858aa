"""Counts whose classes are known."""

from __future__ import annotations

import pytest

from cl.data.official.counting import equal_bins
from tools.miniatures.counting import NAMES, count_of


@pytest.mark.parametrize("each", [1, 4, 30])
def test_the_classes_are_those_of_the_counts(each: int) -> None:
    made = [(label, count_of(label, turn)) for turn in range(each) for label in range(10)] + [(9, count_of(9, each))]
    bins = equal_bins([count for _, count in made], 10, "here")
    assert bins.names == NAMES
    assert bins.labels([count for _, count in made]).tolist() == [label for label, _ in made]
