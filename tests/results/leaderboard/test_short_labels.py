"""Labels without what rows share."""

from __future__ import annotations

from cl.results.leaderboard.short_labels import short_labels


def test_options_that_all_rows_of_a_strategy_share_are_left_out() -> None:
    labels = ["der-pp a=1 b=2", "der-pp a=1 b=3", "der-pp a=1", "joint a=1 c=4"]
    assert list(short_labels(labels, named=False).values()) == ["der-pp b=2", "der-pp b=3", "der-pp", "joint"]
    assert list(short_labels(labels, named=True).values()) == ["DER++ b=2", "DER++ b=3", "DER++", "Joint training"]
