"""Long-tailed streams: an exponential tail, never more than there is."""

from __future__ import annotations

import pytest

from cl.settings.long_tailed import long_tailed
from tests.help.toy_streams import counts, rows, toy


@pytest.mark.parametrize("imbalance", [1, 10, 100])
def test_the_long_tail_is_exponential(imbalance: float) -> None:
    base = toy((500,) * 10)
    stream = long_tailed(base, imbalance, shuffled=False, seed=0)
    per_class = counts(stream).sum(0).tolist()
    assert per_class == [int(500 * imbalance ** (-k / 9)) for k in range(10)]
    assert set(rows(stream)) <= set(rows(base)) and not stream.classes_return
    mixed = counts(long_tailed(base, imbalance, shuffled=True, seed=0)).sum(0).tolist()
    assert sorted(mixed, reverse=True) == per_class and (imbalance == 1 or mixed != per_class)


def test_a_long_tail_takes_no_more_than_there_is_and_keeps_one() -> None:
    per_class = counts(long_tailed(toy((9, 3, 9, 9), tasks=2), 100, shuffled=False, seed=0)).sum(0)
    assert per_class.min() == 1 and per_class[0] in (3, 9)
