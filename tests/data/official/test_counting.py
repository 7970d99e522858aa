"""Classes of counts: their edges, names and labels."""

from __future__ import annotations

import numpy as np
import pytest

from cl.data.official.counting import Bins, equal_bins
from cl.errors import DataError


def test_images_are_shared_equally() -> None:
    bins = equal_bins([3, 4, 5, 10, 11, 12, 20, 21, 22, 23], 3, "here")
    assert bins.lowest == (0, 10, 20)
    assert bins.labels([0, 9, 10, 19, 20, 500]).tolist() == [0, 0, 1, 1, 2, 2]


def test_the_count_that_reaches_a_share_begins_the_next_class() -> None:
    assert equal_bins([1, 2, 3, 4], 2, "here").lowest == (0, 2)


def test_a_class_has_at_least_one_count() -> None:
    bins = equal_bins([2, *[5] * 10, 6, 7, 9], 4, "here")
    assert bins.lowest == (0, 5, 6, 7)
    assert bins.names == ("0-4", "5", "6", "7 or more")


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_edges_are_those_of_a_walk_over_all_counts(classes: int) -> None:
    """The rule of NEVIS'22, count by count."""
    counts = np.random.default_rng(classes).poisson(30, 1244).tolist()
    cumulated = np.cumsum(np.bincount(counts, minlength=200))
    ends = [int(np.where(cumulated < len(counts) / classes * part)[0][-1]) for part in range(1, classes)]
    label, expected = 0, []
    for count in range(200):
        if label < len(ends) and count > ends[label]:
            label += 1
        expected.append(label)
    assert equal_bins(counts, classes, "here").labels(range(200)).tolist() == expected


def test_too_many_equal_counts_are_one_sentence() -> None:
    for counts in ([0, 0, 0, 1], []):
        with pytest.raises(DataError, match="The counts of here do not make 2 classes; get the whole dataset"):
            equal_bins(counts, 2, "here")


def test_names() -> None:
    assert Bins((0, 1, 4)).names == ("0", "1-3", "4 or more")
