"""The verdict on a claim: a pure function of its declaration and of records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cl.records.metrics import METRICS
from cl.results.claims.correlation import rank_correlation
from cl.results.claims.declared import Attempt, Claim, Part
from cl.results.claims.evidence import Evidence, Side, paired, rules_of, unlike, values_of
from cl.results.leaderboard.differences import Difference
from cl.results.leaderboard.statistics import LEVEL, holm, mean_interval, smallest_difference

HOLDS, DIRECTION, UNTOLD, NOT = "holds", "holds in direction", "cannot be told", "does not hold here"
NEEDS, RUNNING, NOTHING = "needs", "running", ""
"""Verdicts; `NOTHING` if no pair of runs is there yet."""

_WORST = (NOT, RUNNING, NEEDS, UNTOLD, DIRECTION, HOLDS)
"""A claim is as good as its worst part, in this order."""

_EQUAL = 1e-9
"""Largest difference between two exact values that are equal; accuracies are ratios of integers."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Compared:
    """One comparison inside a part, first minus second: points (fractions times 100), or the metric's own unit."""

    name: str
    difference: float
    interval: Interval | None
    smallest: float | None
    seeds: int
    drawn: str
    p: float | None = None


@dataclass(frozen=True)
class JudgedPart:
    """A part with its verdict, and what it was computed from.

    `so_far` is the verdict on the runs that are there, if not all are. `values` are those of an exact part, in words,
    or why there is nothing to compare. `needs`: what is not at hand.
    """

    part: Part
    verdict: str
    so_far: str = NOTHING
    compared: tuple[Compared, ...] = ()
    values: str = ""
    done: int = 0
    wanted: int = 0
    needs: str = ""
    seeds: int = 0
    """Seeds of a share of a gap; for other kinds see `compared`."""

    @property
    def text(self) -> str:
        return _text(self.verdict, self.needs, self.done, self.wanted)


@dataclass(frozen=True)
class JudgedAttempt:
    """An attempt with the verdicts of its parts; `older`: how many of its `done` records precede the declaration.

    missing: the commands that make the missing runs, and the number of runs of each. mixed: rows whose runs were not
    all made by the same code of the strategy.
    """

    attempt: Attempt
    parts: tuple[JudgedPart, ...]
    done: int
    wanted: int
    older: int
    missing: Mapping[str, int]
    minutes: float = 0.0
    """CPU-minutes of the missing runs, by the typical run of their boards."""
    mixed: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        return next(verdict for verdict in _WORST if any(part.verdict == verdict for part in self.parts))

    @property
    def text(self) -> str:
        needs = ", ".join(part.needs for part in self.parts if part.verdict == NEEDS)
        return _text(self.verdict, needs, self.done, self.wanted)


@dataclass(frozen=True)
class Judged:
    """A claim with all attempts; the last one decides, and the first stays visible."""

    claim: Claim
    attempts: tuple[JudgedAttempt, ...]

    @property
    def last(self) -> JudgedAttempt:
        return self.attempts[-1]


def _text(verdict: str, needs: str, done: int, wanted: int) -> str:
    if verdict == NEEDS:
        return f"needs {needs}"
    return f"running {done} of {wanted}" if verdict == RUNNING else verdict


def judge(claim: Claim, evidence: Evidence) -> Judged:
    """Compute the verdict of every attempt of a claim."""
    return Judged(claim, tuple(_attempt(attempt, evidence) for attempt in claim.attempt))


def _attempt(attempt: Attempt, evidence: Evidence) -> JudgedAttempt:
    sides = evidence.of_attempt(attempt)
    created = [str(run.record["measurement"]["created"])[:10] for side in sides for run in side.runs]
    unfinished = [side for side in sides if side.missing]
    return JudgedAttempt(
        attempt,
        tuple(_part(part, evidence) for part in attempt.part),
        done=sum(len(side.runs) for side in sides),
        wanted=sum(side.wanted for side in sides),
        older=sum(day < attempt.declared for day in created),
        missing={evidence.claims.command(each.row, each.board, each.missing): len(each.missing) for each in unfinished},
        minutes=sum((each.row.minutes or each.board.minutes) * len(each.missing) for each in unfinished),
        mixed=tuple(f"{side.row.name} on {side.board.name}" for side in sides if len(side.codes) > 1),
    )


def _part(part: Part, evidence: Evidence) -> JudgedPart:
    if part.needs:
        return JudgedPart(part, NEEDS, needs=part.needs)
    sides = evidence.sides(part)
    if lost := [f"{side.row.name} ({side.row.config})" for side in sides if side.row.config and not side.runs]:
        return JudgedPart(part, NEEDS, needs=f"the stored records of {', '.join(lost)}")
    done, wanted = sum(len(side.runs) for side in sides), sum(side.wanted for side in sides)
    differs = unlike(sides)
    found = JudgedPart(part, UNTOLD, values=differs) if differs else _KINDS[part.kind](part, evidence)
    judged = replace(found, done=done, wanted=wanted)
    if done < wanted:
        return replace(judged, verdict=RUNNING, so_far=judged.verdict)
    if unknown := differs or _unknown(part, sides, evidence.rule(part)):
        return replace(judged, verdict=UNTOLD, values=unknown)
    if judged.verdict == NOTHING:
        return replace(judged, verdict=UNTOLD, values="no interval: too few runs share a seed, or none has predictions")
    return judged


def _unknown(part: Part, sides: Sequence[Side], rule: str) -> str:
    """The runs that lack a quantity of the part; empty if none does. A verdict on the others would be a choice."""
    for quantity in filter(None, (part.quantity, part.with_quantity)):
        for side in sides:
            known = min(len(values_of(side, quantity, each)) for each in rules_of(part, side, rule))
            if known < len(side.runs):
                missing, runs = len(side.runs) - known, len(side.runs)
                return f"{quantity} is undefined in {missing} of {runs} runs of {side.row.name} on {side.board.name}"
    return ""


# -------------------------------------------------------------------------------------------------------------- kinds


def _greater(part: Part, evidence: Evidence) -> JudgedPart:
    found = _compared(part, evidence, part.first, part.second)
    if found is None or found.interval is None:
        return JudgedPart(part, NOTHING)
    verdict = _by_sign(_claimed_side(part, found.interval), reached=abs(found.difference) >= part.size - _EQUAL)
    return JudgedPart(part, verdict, compared=(found,))


def _not_worse(part: Part, evidence: Evidence) -> JudgedPart:
    found = _compared(part, evidence, part.first, part.second)
    if found is None or found.interval is None:
        return JudgedPart(part, NOTHING)
    low, high = _claimed_side(part, found.interval)
    verdict = HOLDS if low > -part.margin else NOT if high < -part.margin else UNTOLD
    return JudgedPart(part, verdict, compared=(found,))


def _equal(part: Part, evidence: Evidence) -> JudgedPart:
    found = _compared(part, evidence, part.first, part.second)
    if found is None or found.interval is None:
        return JudgedPart(part, NOTHING)
    low, high = found.interval
    inside, outside = -part.tolerance < low and high < part.tolerance, low > part.tolerance or high < -part.tolerance
    return JudgedPart(part, HOLDS if inside else NOT if outside else UNTOLD, compared=(found,))


def _best_of(part: Part, evidence: Evidence) -> JudgedPart:
    """Greater than each of the others; the p-values are adjusted for the number of others by Holm's method."""
    found = [_compared(part, evidence, part.first, other) for other in part.others]
    known = tuple(each for each in found if each is not None)
    if not known or any(each.p is None for each in known):
        return JudgedPart(part, NOTHING, compared=known)
    adjusted = holm([each.p or 0.0 for each in known])
    sign = _sign(part)
    tells = [p <= 1 - LEVEL for p in adjusted]
    better = [told and sign * each.difference > 0 for told, each in zip(tells, known, strict=True)]
    worse = [told and sign * each.difference < 0 for told, each in zip(tells, known, strict=True)]
    whole = len(known) == len(found)  # else a row shares no seed with the first
    verdict = NOT if any(worse) else NOTHING if not whole else HOLDS if all(better) else UNTOLD
    return JudgedPart(
        part, verdict, compared=tuple(replace(each, p=p) for each, p in zip(known, adjusted, strict=True))
    )


def _gap(part: Part, evidence: Evidence) -> JudgedPart:
    """The share of the gap between a row and a bound that another row closes; the interval resamples seeds."""
    rule, rows = evidence.rule(part), (part.first, part.second, *part.rows)
    one, two, bound = (values_of(evidence.side(row, part.board), part.quantity, rule) for row in rows)
    seeds = sorted(one.keys() & two.keys() & bound.keys())
    if any(_sign(part) * (bound[seed] - two[seed]) <= 0 for seed in seeds):
        return JudgedPart(part, UNTOLD, values="the bound is not above the row")
    shares = np.array([(one[seed] - two[seed]) / (bound[seed] - two[seed]) for seed in seeds])
    interval = mean_interval(shares)
    if interval is None:
        return JudgedPart(part, NOTHING)
    low, high = interval
    verdict = _by_sign(interval, reached=float(shares.mean()) >= (part.value or 0.0) - _EQUAL)
    words = f"{shares.mean():.0%} of the gap ({low:.0%} to {high:.0%}), {len(seeds)} seed{'s' * (len(seeds) != 1)}"
    return JudgedPart(part, verdict, values=words, seeds=len(seeds))


def _correlation(part: Part, evidence: Evidence) -> JudgedPart:
    """Spearman's rank correlation over rows within each seed that all rows have; its chance is that of all orders."""
    rule, sides = evidence.rule(part), [evidence.side(row, part.board) for row in part.rows]
    one = [values_of(side, part.quantity, rule) for side in sides]
    if part.published:
        two = [dict.fromkeys(mine, value) for mine, value in zip(one, part.published, strict=True)]
    else:
        two = [values_of(side, part.with_quantity, rule) for side in sides]
    seeds = sorted(set.intersection(*map(set, [*one, *two])))
    if not seeds:
        return JudgedPart(part, NOTHING)
    rho, p = rank_correlation(
        [[(mine[seed], other[seed]) for mine, other in zip(one, two, strict=True)] for seed in seeds]
    )
    claimed = rho < 0 if part.relation == "below" else rho > 0
    verdict = UNTOLD if p > 1 - LEVEL else HOLDS if claimed else NOT
    words = f"Spearman {rho:.2f} over {len(part.rows)} rows, {len(seeds)} seed{'s' * (len(seeds) != 1)}, p {p:.2g}"
    return JudgedPart(part, verdict, values=words)


def _exact(part: Part, evidence: Evidence) -> JudgedPart:
    """Every seed must fulfil the relation."""
    rule = evidence.rule(part)
    mine = values_of(evidence.side(part.first, part.board), part.quantity, rule)
    if part.second:
        other = values_of(evidence.side(part.second, part.second_board or part.board), part.quantity, rule)
        pairs = {seed: (mine[seed], part.factor * other[seed]) for seed in mine if seed in other}
        words = f"{{:g}} and {{:g}}{'' if part.factor == 1 else f' ({part.factor:g} times)'}"
    else:
        pairs = {seed: (value, float(part.value or 0.0)) for seed, value in mine.items()}
        words = "{:g}"
    if not pairs:
        return JudgedPart(part, NOTHING)
    fulfilled = {
        "equals": lambda one, two: abs(one - two) <= _EQUAL,
        "below": lambda one, two: one < two,
        "above": lambda one, two: one > two,
    }[part.relation]
    shown = "; ".join(dict.fromkeys(words.format(*pair) for pair in pairs.values()))
    return JudgedPart(part, HOLDS if all(fulfilled(*pair) for pair in pairs.values()) else NOT, values=shown)


def _steady(part: Part, evidence: Evidence) -> JudgedPart:
    """The range over seeds, such as class orders; no interval, because a few draws do not tell a spread."""
    found = list(values_of(evidence.side(part.first, part.board), part.quantity, evidence.rule(part)).values())
    if len(found) < 2:
        return JudgedPart(part, NOTHING)
    scale = 1.0 if METRICS[part.quantity].unit else 100.0
    low, high = scale * min(found), scale * max(found)
    verdict = HOLDS if high - low <= part.tolerance + _EQUAL else NOT
    words = f"{low:.2f} to {high:.2f}, a range of {high - low:.2f} over {len(found)} seeds"
    return JudgedPart(part, verdict, values=words)


_KINDS: Mapping[str, Callable[[Part, Evidence], JudgedPart]] = {
    "greater": _greater,
    "not-worse": _not_worse,
    "equal": _equal,
    "best-of": _best_of,
    "gap": _gap,
    "correlation": _correlation,
    "exact": _exact,
    "steady": _steady,
}


def _by_sign(interval: Interval, *, reached: bool) -> str:
    """The verdict on "above 0" from an interval; `reached`: whether the claimed size is reached."""
    low, high = interval
    if low > 0:
        return HOLDS if reached else DIRECTION
    return NOT if high < 0 else UNTOLD


def _sign(part: Part) -> int:
    return 1 if METRICS[part.quantity].higher_is_better else -1


def _claimed_side(part: Part, interval: Interval) -> Interval:
    """The interval with positive values on the claimed side: the first row is better."""
    low, high = interval
    return interval if _sign(part) > 0 else (-high, -low)


def _compared(part: Part, evidence: Evidence, first: str, second: str) -> Compared | None:
    one, two = evidence.side(first, part.board), evidence.side(second, part.second_board or part.board)
    rule = evidence.rule(part)
    found = paired(one, two, part.quantity, rule, part.second_rule)
    boards = ["", ""] if one.board is two.board else [f" on {side.board.name}" for side in (one, two)]
    if part.second_rule:
        boards = [f"{board} ({each})" for board, each in zip(boards, (rule, part.second_rule), strict=True)]
    scale = 1.0 if METRICS[part.quantity].unit else 100.0
    return None if found is None else _scaled(f"{first}{boards[0]} - {second}{boards[1]}", found, scale)


def _scaled(name: str, found: Difference, scale: float) -> Compared:
    smallest = smallest_difference(found.values)
    return Compared(
        name,
        scale * float(np.mean(found.values)),
        None if found.interval is None else (scale * found.interval[0], scale * found.interval[1]),
        None if smallest is None else scale * smallest,
        len(found.values),
        found.drawn,
        found.p,
    )


def by_chance(attempts: Sequence[JudgedAttempt]) -> float:
    """How many of the decided claims would hold by chance if no row differed from another: at most so many on average.

    All parts of a claim must hold, so the least likely part is a bound. Claims without a part that claims a difference
    hold without one, or are exact, and are not counted.
    """
    decided = (each for each in attempts if each.verdict in (HOLDS, DIRECTION, UNTOLD, NOT))
    return sum(min(map(_chance, each.parts), default=0.0) for each in map(_of_a_difference, decided))


def _of_a_difference(judged: JudgedAttempt) -> JudgedAttempt:
    parts = tuple(each for each in judged.parts if each.part.kind in ("greater", "best-of", "gap", "correlation"))
    return replace(judged, parts=parts)


def _chance(judged: JudgedPart) -> float:
    """Upper bound of the chance that a part holds if nothing differs.

    One of forty by the upper half of a test at 5 %. An interval over n seeds is on one side at the latest when all n
    differences are, which happens by chance in one of 2^n cases.
    """
    seeds = min((each.seeds for each in judged.compared), default=judged.seeds)
    return max((1 - LEVEL) / 2, 0.5**seeds if seeds else 0.0)
