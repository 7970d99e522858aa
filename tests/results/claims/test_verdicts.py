"""Each kind of a claim's part on runs whose difference is known, and how parts make a claim."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cl.results.claims import Attempt, JudgedAttempt, JudgedPart, by_chance, verdicts
from cl.results.leaderboard.entries import Run
from tests.help.claims import a_part, judged_part
from tests.help.pairs import answers, pair

MakeRun = Callable[..., Run]
# of 300 images per seed and three seeds: 30 lost and 6 won are 8 points, with an interval of about 4 to 12 points


@pytest.mark.parametrize(
    ("lost", "won", "size", "verdict"),
    [
        (30, 6, 0.0, "holds"),
        (30, 6, 7.9, "holds"),
        (30, 6, 8.1, "holds in direction"),
        (8, 6, 0.0, "cannot be told"),
        (6, 30, 0.0, "does not hold here"),
    ],
)
def test_greater(make_run: MakeRun, lost: int, won: int, size: float, verdict: str) -> None:
    one, two = pair(make_run, lost=lost, won=won)
    found = judged_part(a_part("greater", size=size), one=one, two=two)
    assert found.verdict == found.text == verdict
    assert found.compared[0].difference == pytest.approx((lost - won) / 3)
    assert found.compared[0].seeds == len(one) and found.done == found.wanted == len(one) + len(two)


@pytest.mark.parametrize(("margin", "verdict"), [(1.0, "does not hold here"), (8.0, "cannot be told"), (20.0, "holds")])
def test_not_worse_than_by_a_margin(make_run: MakeRun, margin: float, verdict: str) -> None:
    one, two = pair(make_run, lost=6, won=30)  # one is 8 points worse
    assert judged_part(a_part("not-worse", margin=margin), one=one, two=two).verdict == verdict


@pytest.mark.parametrize(
    ("tolerance", "verdict"), [(1.0, "does not hold here"), (8.0, "cannot be told"), (20.0, "holds")]
)
def test_equal_within_a_tolerance(make_run: MakeRun, tolerance: float, verdict: str) -> None:
    one, two = pair(make_run, lost=30, won=6)
    assert judged_part(a_part("equal", tolerance=tolerance), one=one, two=two).verdict == verdict


def test_a_lower_error_is_on_the_claimed_side(make_run: MakeRun) -> None:
    first, second = [], []
    for seed in range(3):
        right = answers(seed)
        spoilt = right.copy()
        spoilt[2, np.flatnonzero(right[2])[::3]] = False
        first.append(make_run(right, seed=seed, strategy="slca"))
        second.append(make_run(spoilt, seed=seed, strategy="ewc"))
    assert judged_part(a_part("greater", quantity="F_avalanche"), one=first, two=second).verdict == "holds"
    assert judged_part(a_part("greater", quantity="F_avalanche"), one=second, two=first).verdict == "does not hold here"


def test_best_of_needs_every_comparison_after_holm(make_run: MakeRun) -> None:
    one, two = pair(make_run, lost=30, won=6)
    found = judged_part(a_part("best-of", second="", others=("two",)), one=one, two=two)
    assert found.verdict == "holds" and found.compared[0].p == pytest.approx(2 / 2001, abs=2e-3)
    level = [make_run(answers(seed), seed=seed, strategy="l2") for seed in range(len(one))]
    part = a_part("best-of", second="", others=("two", "level"))
    mixed = judged_part(part, one=one, two=two, level=level)
    assert mixed.verdict in ("cannot be told", "holds") and len(mixed.compared) == 2
    worse = judged_part(a_part("best-of", first="two", second="", others=("one",)), one=one, two=two)
    assert worse.verdict == "does not hold here"


def test_exact_needs_every_seed(make_run: MakeRun) -> None:
    one, two = pair(make_run, lost=30, won=6)
    accuracies = [float(run.result["metrics"]["cil_seen"]["A_last_sample"]) for run in one]
    part = a_part("exact", second="", value=accuracies[0])
    wanted = "holds" if len(set(accuracies)) == 1 else "does not hold here"
    assert judged_part(part, one=one).verdict == wanted
    assert judged_part(a_part("exact", relation="above"), one=one, two=two).verdict == "holds"
    assert judged_part(a_part("exact", relation="below"), one=one, two=two).verdict == "does not hold here"
    doubled = judged_part(a_part("exact", relation="below", factor=2.0), one=one, two=two)
    assert doubled.verdict == "holds" and "(2 times)" in doubled.values
    assert judged_part(a_part("exact", quantity="trained-parameters"), one=one, two=two).values == "100 and 100"


def test_gap_is_a_share_of_what_the_bound_gains(make_run: MakeRun) -> None:
    one, two = pair(make_run, lost=30, won=6)
    bound = [make_run(np.ones_like(answers(seed)), seed=seed, strategy="joint") for seed in range(len(one))]
    part = a_part("gap", rows=("bound",), value=0.5)
    found = judged_part(part, one=one, two=two, bound=bound)
    share = 0.08 / (1 - 0.52)
    assert found.verdict == "holds in direction" and found.values.startswith(f"{share:.0%}")
    assert judged_part(a_part("gap", rows=("bound",), value=0.1), one=one, two=two, bound=bound).verdict == "holds"
    above = judged_part(part, one=two, two=bound, bound=one)
    assert above.verdict == "cannot be told" and "not above" in above.values


def test_correlation_of_two_quantities_over_rows(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {f"row{number}": [make_run(answers(0), seed=0, strategy=f"s{number}")] for number in range(8)}
    numbers = {f"s{number}": float(number) for number in range(8)}

    def values(side: Any, quantity: str, part: Any) -> dict[int, float]:
        place = numbers[side.row.strategy]
        return {0: place if quantity == "A_last_sample" else 3 * place + 1}

    monkeypatch.setattr(verdicts, "values_of", values)
    part = a_part("correlation", first="", second="", rows=tuple(rows), with_quantity="BWT")
    found = judged_part(part, **rows)
    assert found.verdict == "holds" and found.values.startswith("Spearman 1.00")
    below = a_part("correlation", first="", second="", rows=tuple(rows), with_quantity="BWT", relation="below")
    assert judged_part(below, **rows).verdict == "does not hold here"


def test_a_part_that_needs_something_says_what() -> None:
    found = judged_part(a_part("greater", needs="weights of CLIP"))
    assert found.text == "needs weights of CLIP"


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "holds in direction"], "holds in direction"),
        (["holds in direction", "cannot be told"], "cannot be told"),
        (["cannot be told", "needs"], "needs"),
        (["needs", "running"], "running"),
        (["running", "does not hold here"], "does not hold here"),
    ],
)
def test_a_claim_is_as_good_as_its_worst_part(parts: list[str], verdict: str) -> None:
    assert attempt(*parts).verdict == verdict


def attempt(*found: str, kind: str = "greater") -> JudgedAttempt:
    parts = tuple(JudgedPart(a_part(kind), each) for each in found)
    return JudgedAttempt(Attempt("2025-06-01", "", "", ()), parts, 0, 0, 0, {})


def test_chance_counts_decided_claims_that_claim_a_difference() -> None:
    assert by_chance([attempt("holds"), attempt("cannot be told")]) == pytest.approx(0.05)
    assert by_chance([attempt("holds", "holds")]) == pytest.approx(0.025**2)
    assert by_chance([attempt("running"), attempt("holds", kind="not-worse"), attempt("holds", kind="exact")]) == 0
