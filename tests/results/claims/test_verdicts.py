"""Each kind of a claim's part on runs whose difference is known, and how parts make a claim."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cl.errors import UsageError
from cl.records.record import config_hash
from cl.results.claims import Attempt, Compared, Evidence, JudgedAttempt, JudgedPart, Row, by_chance, judge, verdicts
from cl.results.leaderboard.differences import Difference
from cl.results.leaderboard.entries import Run
from tests.help.claims import BOARD, a_part, declared, judged_part
from tests.help.pairs import answers, pair

MakeRun = Callable[..., Run]
MakeRecord = Callable[..., dict[str, Any]]
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
    assert mixed.verdict == "cannot be told" and len(mixed.compared) == 2
    assert [each.p for each in mixed.compared] == pytest.approx([2 * (found.compared[0].p or 0), 1.0])
    worse = judged_part(a_part("best-of", first="two", second="", others=("one",)), one=one, two=two)
    assert worse.verdict == "does not hold here"


def test_exact_needs_every_seed(make_run: MakeRun) -> None:
    one, two = pair(make_run, lost=30, won=6)
    part = a_part("exact", second="", value=0.6)
    assert judged_part(part, one=one).verdict == "holds"
    odd = [*one[:2], make_run(answers(2, lost=1), seed=2, strategy="slca")]
    assert judged_part(part, one=odd).verdict == "does not hold here"
    assert judged_part(a_part("exact", relation="above"), one=one, two=two).verdict == "holds"
    assert judged_part(a_part("exact", relation="below"), one=one, two=two).verdict == "does not hold here"
    doubled = judged_part(a_part("exact", relation="below", factor=2.0), one=one, two=two)
    assert doubled.verdict == "holds" and "(2 times)" in doubled.values
    assert judged_part(a_part("exact", quantity="trained-parameters"), one=one, two=two).values == "100 and 100"


def test_steady_is_a_range_over_seeds(make_run: MakeRun) -> None:
    runs = [make_run(answers(seed, lost=lost), seed=seed, strategy="slca") for seed, lost in ((0, 0), (1, 3), (2, 9))]
    values = [100 * run.result["metrics"]["cil_seen"]["A_last_sample"] for run in runs]
    spread = max(values) - min(values)
    assert spread == pytest.approx(3.0)
    for tolerance, verdict in ((2.9, "does not hold here"), (3.0, "holds")):
        found = judged_part(a_part("steady", second="", tolerance=tolerance), one=runs)
        assert found.verdict == verdict and found.values.endswith("a range of 3.00 over 3 seeds")
    assert judged_part(a_part("steady", second="", tolerance=1.0), one=runs[:1]).verdict == "cannot be told"


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

    def values(side: Any, quantity: str, rule: str) -> dict[int, float]:
        place = numbers[side.row.strategy]
        return {0: place if quantity == "A_last_sample" else 3 * place + 1}

    monkeypatch.setattr(verdicts, "values_of", values)
    part = a_part("correlation", first="", second="", rows=tuple(rows), with_quantity="BWT")
    found = judged_part(part, **rows)
    assert found.verdict == "holds" and found.values.startswith("Spearman 1.00")
    assert "over 8 rows, 1 seed, p 5e-05" in found.values, "2 of 8! orders"
    below = a_part("correlation", first="", second="", rows=tuple(rows), with_quantity="BWT", relation="below")
    assert judged_part(below, **rows).verdict == "does not hold here"


def test_correlation_with_published_values(make_run: MakeRun) -> None:
    rows = {
        f"row{number}": [make_run(answers(0, lost=2 * number), seed=0, strategy=f"s{number}")] for number in range(6)
    }
    part = a_part("correlation", first="", second="", rows=tuple(rows), published=(9.0, 8.5, 7.0, 6.0, 2.0, 1.0))
    found = judged_part(part, **rows)
    assert found.verdict == "holds" and found.values.startswith("Spearman 1.00 over 6 rows, 1 seed")
    other = a_part("correlation", first="", second="", rows=tuple(rows), published=(1.0, 2.0, 6.0, 7.0, 8.5, 9.0))
    assert judged_part(other, **rows).verdict == "does not hold here"


def test_four_rows_in_perfect_order_may_be_chance(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one seed 2 of 24 orders are perfect; with two seeds 2 of 576, and levels of seeds do not count."""
    seeds = {1: [0], 2: [0, 1]}
    for number, verdict in ((1, "cannot be told"), (2, "holds")):
        rows = {f"row{n}": [make_run(answers(0), seed=s, strategy=f"s{n}") for s in seeds[number]] for n in range(4)}
        places = {f"s{n}": float(n) for n in range(4)}

        def values(side: Any, quantity: str, rule: str, places: dict[str, float] = places) -> dict[int, float]:
            place = places[side.row.strategy]
            return {seed: place - 10 * seed if quantity == "A_last_sample" else place for seed in side.seeds}

        monkeypatch.setattr(verdicts, "values_of", values)
        part = a_part("correlation", first="", second="", rows=tuple(rows), with_quantity="BWT")
        found = judged_part(part, **rows)
        assert found.verdict == verdict and found.values.startswith("Spearman 1.00 over 4 rows"), number


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
    assert by_chance([attempt("holds", "holds")]) == pytest.approx(0.025), "parts need not be independent"
    assert by_chance([attempt("holds", kind="correlation")]) == pytest.approx(0.025)
    assert by_chance([attempt("running"), attempt("holds", kind="not-worse"), attempt("holds", kind="exact")]) == 0


@pytest.mark.parametrize(("seeds", "chance"), [(1, 1 / 2), (2, 1 / 4), (3, 1 / 8), (9, 0.025)])
def test_few_seeds_agree_by_chance(seeds: int, chance: float) -> None:
    """All differences of n seeds have the claimed sign in one of 2^n cases; no interval makes that less."""
    compared = (Compared("one - two", 1.0, (0.5, 1.5), None, seeds, "seeds", 0.01),)
    part = JudgedPart(a_part("greater"), "holds", compared=compared)
    judged = JudgedAttempt(Attempt("2025-06-01", "", "", ()), (part,), 0, 0, 0, {})
    assert by_chance([judged]) == pytest.approx(chance)


LOWER: list[list[int | None]] = [[90, None, None], [70, 70, None], [40, 55, 50]]


def recorded(make: MakeRecord, table: list[list[int | None]] | None = None, **changes: Any) -> list[Run]:
    """Three runs without predictions."""
    return [Run(make(table, seed=seed, **changes)) for seed in range(3)]


def test_a_row_without_the_metric_is_not_left_out_of_the_comparisons(make_record: MakeRecord) -> None:
    """BWT needs two steps; a run of one step has none, and a verdict on the other rows would be another claim."""
    one, two = recorded(make_record), recorded(make_record, LOWER, strategy="ewc")
    gone = recorded(make_record, [[90, None, None]], strategy="l2")
    part = a_part("best-of", second="", others=("two", "gone"), quantity="BWT")
    found = judged_part(part, one=one, two=two, gone=gone)
    assert found.verdict == "cannot be told"
    assert found.values == "BWT is undefined in 3 of 3 runs of gone on toy"
    assert judged_part(a_part("best-of", second="", others=("two",), quantity="BWT"), one=one, two=two).text == "holds"


def test_a_metric_that_some_runs_lack_gives_no_verdict(make_record: MakeRecord) -> None:
    runs = [
        Run(make_record(seed=seed, measurement__report={"capacity": 1.0} if seed else {"other": 2.0}))
        for seed in range(3)
    ]
    found = judged_part(a_part("exact", second="", quantity="report.capacity", value=1.0), one=runs)
    assert found.verdict == "cannot be told" and "undefined in 1 of 3 runs of one" in found.values


@pytest.mark.parametrize("kind", ["greater", "not-worse", "equal"])
def test_complete_runs_without_a_value_are_not_running(make_record: MakeRecord, kind: str) -> None:
    one, two = recorded(make_record), recorded(make_record, LOWER, strategy="ewc")
    found = judged_part(a_part(kind, quantity="FWT"), one=one, two=two)
    assert found.text == "cannot be told" and found.values == "FWT is undefined in 3 of 3 runs of one on toy"
    single = judged_part(a_part(kind), one=one[:1], two=two[:1])
    assert single.text == "cannot be told" and single.values.startswith("no interval: too few runs share a seed")


def test_rows_of_earlier_options_need_their_records(make_record: MakeRecord) -> None:
    row = Row("old", "slca", config="0" * 8)
    claims = declared(a_part("greater", first="old", second="old"), rows=[row])
    judged = judge(claims.claims[0], Evidence(claims, recorded(make_record))).last
    assert judged.text == "needs the stored records of old (00000000)"


def test_the_time_left_is_that_of_the_row_or_of_its_board() -> None:
    rows = [Row("one", "simplecil"), Row("two", "slca", minutes=25.0)]
    claims = declared(a_part("greater"), rows=rows)
    judged = judge(claims.claims[0], Evidence(claims, [])).last
    assert judged.minutes == 3 * BOARD.minutes + 3 * 25.0 and sum(judged.missing.values()) == 6


def test_the_runs_of_a_row_count_whatever_their_preset_is_called(make_record: MakeRecord) -> None:
    """Options typed by hand and the preset that holds them have one config hash."""
    one, two = recorded(make_record), recorded(make_record, LOWER, strategy="ewc")
    wanted = config_hash(one[0].record)
    named = Run(make_record(seed=1, result__strategy__preset="small", config_hash=wanted))
    found = judged_part(a_part("greater"), one=[one[0], named, one[2]], two=two)
    assert found.compared[0].seeds == 3 and found.verdict == "holds"


def test_a_gap_of_a_metric_where_lower_is_better(make_run: MakeRun, make_record: MakeRecord) -> None:
    """Forgetting 0.2 is half of the way from 0.4 to 0; the other way round the bound is no bound."""
    tables: dict[str, list[list[int | None]]] = {
        "bad": [[80, None, None], [80, 80, None], [40, 40, 80]],
        "good": [[80, None, None], [80, 80, None], [60, 60, 80]],
    }
    bad, good = (recorded(make_record, tables[name], strategy=name) for name in ("bad", "good"))
    none = recorded(make_record, [[80, None, None], [80, 80, None], [80, 80, 80]], strategy="joint")
    part = a_part("gap", first="good", second="bad", rows=("none",), value=0.5, quantity="F_avalanche")
    found = judged_part(part, good=good, bad=bad, none=none)
    assert found.verdict == "holds" and found.values == "50% of the gap (50% to 50%), 3 seeds"
    swapped = a_part("gap", first="good", second="none", rows=("bad",), value=0.5, quantity="F_avalanche")
    assert judged_part(swapped, good=good, bad=bad, none=none).verdict == "cannot be told"


def test_rows_on_two_boards_are_named_with_their_boards(make_record: MakeRecord) -> None:
    one, two = recorded(make_record), recorded(make_record, LOWER, strategy="ewc")
    rows = [Row("one", "slca", config=config_hash(one[0].record)), Row("two", "ewc", config=config_hash(two[0].record))]
    claims = declared(a_part("greater", second_board="other"), rows=rows)
    claims = replace(claims, boards={**claims.boards, "other": replace(BOARD, name="other")})
    part = judge(claims.claims[0], Evidence(claims, [*one, *two])).last.parts[0]
    assert [each.name for each in part.compared] == ["one on toy - two on other"]


def test_nats_are_not_points(make_record: MakeRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Difference((0,), (-0.25,), (-0.5, -0.1), "images", 0.01)
    monkeypatch.setattr(verdicts, "paired", lambda *_: found)
    monkeypatch.setattr(verdicts, "values_of", lambda *_: {0: 1.0})
    one, two = recorded(make_record)[:1], recorded(make_record, LOWER, strategy="ewc")[:1]
    judged = judged_part(a_part("greater", quantity="NLL", size=0.2), one=one, two=two)
    assert judged.verdict == "holds" and judged.compared[0].difference == -0.25
    assert judged.compared[0].interval == (-0.5, -0.1)


def test_a_row_of_other_seeds_is_not_left_out_of_the_comparisons(make_run: MakeRun) -> None:
    one, two = pair(make_run, lost=30, won=6)
    away = [make_run(answers(seed), seed=seed, strategy="l2") for seed in (1, 2)]
    found = judged_part(a_part("best-of", second="", others=("two", "away")), one=one[:1], two=two[:1], away=away)
    assert found.verdict == "cannot be told" and found.values.startswith("no interval: too few runs share a seed")


def test_runs_with_other_weights_give_no_verdict(make_record: MakeRecord) -> None:
    one, two = recorded(make_record), recorded(make_record, LOWER, strategy="ewc", result__backbone__weights_sha256="c")
    found = judged_part(a_part("greater"), one=one, two=two)
    assert found.verdict == "cannot be told" and "the runs of one and two differ in their weights" in found.values


def test_rows_that_answer_by_other_rules_are_compared_under_a_common_one(make_record: MakeRecord) -> None:
    """One row's strictest rule gives 20 %, the other answers with the task told alone; told both are equal."""
    low: list[list[int | None]] = [[20, None, None], [20, 20, None], [20, 20, 20]]
    strict = make_record(low)["result"]["accuracy"]["cil_seen"]
    told = make_record()["result"]["accuracy"]["cil_seen"]
    one = recorded(make_record, result__accuracy={"cil_seen": strict, "til_masked": told})
    two = recorded(make_record, result__accuracy={"til_oracle": told}, strategy="ewc")
    assert judged_part(a_part("exact"), one=one, two=two).verdict == "holds"


@pytest.mark.parametrize(
    ("kind", "verdict"), [("greater", "holds"), ("not-worse", "holds"), ("equal", "does not hold here")]
)
def test_two_answers_of_one_row_are_compared(make_record: MakeRecord, kind: str, verdict: str) -> None:
    low: list[list[int | None]] = [[20, None, None], [20, 20, None], [20, 20, 20]]
    best, worse = make_record()["result"]["accuracy"]["cil_seen"], make_record(low)["result"]["accuracy"]["cil_seen"]
    one = recorded(make_record, result__accuracy={"cil_seen": best, "cil_seen:student": worse})
    rules = {"rule": "cil_seen", "second_rule": "cil_seen:student"}
    more: dict[str, Any] = {"tolerance": 1.0} if kind == "equal" else {}
    found = judged_part(a_part(kind, second="one", **rules, **more), one=one)
    assert found.verdict == verdict
    assert found.compared[0].name.endswith("(cil_seen) - one (cil_seen:student)") and found.compared[0].difference > 5
    assert found.done == found.wanted == len(one), "a run with both answers counts once"
    swapped = {"rule": "cil_seen:student", "second_rule": "cil_seen"}
    assert judged_part(a_part("greater", second="one", **swapped), one=one).verdict == "does not hold here"


def test_an_answer_that_no_run_has_is_no_common_rule(make_record: MakeRecord) -> None:
    part = a_part("greater", second="one", rule="cil_seen", second_rule="cil_seen:student")
    with pytest.raises(UsageError, match="share no prediction rule"):
        judged_part(part, one=recorded(make_record))
