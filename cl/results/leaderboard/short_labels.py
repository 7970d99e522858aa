"""Labels of rows without what they share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from cl.plan.references import display_name


def short_labels(labels: Iterable[str], *, named: bool) -> dict[str, str]:
    """The short form of each label, `strategy option=value ...`: without options that all rows of the strategy share.

    named: with the display name of the strategy.
    """
    rows: dict[str, list[list[str]]] = defaultdict(list)
    split = {label: label.split(" ") for label in labels}
    for strategy, *options in split.values():
        rows[strategy].append(options)
    short = {}
    for label, (strategy, *options) in split.items():
        shared = set.intersection(*map(set, rows[strategy]))
        short[label] = " ".join(
            [display_name(strategy) if named else strategy, *(word for word in options if word not in shared)]
        )
    return short
