"""Differences between rows, paired over seeds and test images."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cl.results.leaderboard.entries import Entry
from cl.results.leaderboard.resamples import Asked, moves_of
from cl.results.leaderboard.statistics import Floats, mean_interval, resampled_means, two_sided_p


class Resamples:
    """Bootstrap resamples of the test images: the metric of every run of some entries, all with the same draws."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        asked = [Asked(run, run.rule_for(entry.rule), entry.metric) for entry in entries for run in entry.runs]
        found = zip(asked, moves_of(asked), strict=True)
        self._moves = {(id(each.run.record), each.rule): moves for each, moves in found if moves is not None}

    def of(self, entry: Entry) -> dict[Hashable, Floats]:
        """Change of the metric in each resample, by `Run.key`; runs without predictions are absent."""
        keys = {run.key: (id(run.record), run.rule_for(entry.rule)) for run in entry.runs}
        return {key: self._moves[own] for key, own in keys.items() if own in self._moves}


@dataclass(frozen=True)
class Difference:
    """One row minus another over common seeds; `interval` is None if nothing can be resampled.

    drawn: "seeds x images", "images" (one seed), "seeds" (no predictions) or "". p: of the hypothesis that the rows do
    not differ, two-sided, from the same resamples.
    """

    keys: tuple[Hashable, ...]
    values: tuple[float, ...]
    interval: tuple[float, float] | None
    drawn: str
    p: float | None = None

    @property
    def tells(self) -> bool:
        """Whether the interval excludes 0."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


def interval_of(
    values: Mapping[Hashable, float], moves: Mapping[Hashable, Floats]
) -> tuple[tuple[float, float] | None, str]:
    """The interval of the mean of values by run, and what was resampled; `moves` as from `Resamples.of`."""
    keys, each, moved = _arrays(values, moves)
    interval = mean_interval(each, moved)
    if interval is None:
        return None, ""
    return interval, "seeds" if moved is None else "images" if len(keys) == 1 else "seeds x images"


def _arrays(
    values: Mapping[Hashable, float], moves: Mapping[Hashable, Floats]
) -> tuple[list[Hashable], Floats, Floats | None]:
    """The runs in order, their values, and their moves unless one of them has none."""
    keys = sorted(values, key=repr)
    moved = np.stack([moves[key] for key in keys], axis=1) if keys and all(key in moves for key in keys) else None
    return keys, np.array([values[key] for key in keys]), moved


def difference(first: Entry, second: Entry, resamples: Resamples) -> Difference:
    """`first` minus `second`, paired over common seeds and, if both have predictions, over common images."""
    mine, theirs = first.values(first.metric), second.values(second.metric)
    keys = [run.key for run in first.runs if run.key in mine and run.key in theirs]
    values = {key: mine[key] - theirs[key] for key in keys}
    a, b = resamples.of(first), resamples.of(second)
    moves = {key: a[key] - b[key] for key in keys if key in a and key in b}
    interval, drawn = interval_of(values, moves)
    means = resampled_means(*_arrays(values, moves)[1:])
    p = None if means is None else two_sided_p(means)
    return Difference(tuple(keys), tuple(values.values()), interval, drawn, p)
