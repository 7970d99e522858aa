"""Verdicts as text and JSON: numbers, commands, attempts and chance."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from cl.records.record import config_hash
from cl.results.claims import Evidence, Row, judge
from cl.results.claims.show import claims_json, details, overview
from cl.results.leaderboard.entries import Run
from tests.help.claims import BOARD, a_part, declared
from tests.help.pairs import pair

MakeRun = Callable[..., Run]


def test_everything_about_a_claim_is_shown(make_run: MakeRun) -> None:
    one, two = pair(make_run, lost=30, won=6)
    rows = [
        Row("one", "slca", config=config_hash(one[0].record)),
        Row("two", two[0].result["strategy"]["name"], config=config_hash(two[0].record)),
        Row("new", "simplecil"),
    ]
    claims = declared(a_part("greater"), a_part("greater", first="new"), rows=rows)
    claim = claims.claims[0]
    again = replace(claim.attempt[0], declared="2025-07-01", why="a reason", part=claim.attempt[0].part[:1])
    claims = replace(claims, claims=(replace(claim, attempt=(*claim.attempt, again)),))
    judged = judge(claims.claims[0], Evidence(claims, [*one, *two]))
    runs = len(one) + len(two)
    text = details(judged)
    assert text.startswith("T1: holds\n") and "declared 2025-06-01: running" in text and "a reason" in text
    assert "one - two: +8.00" in text and f"records {runs} of {runs} were made before the declaration" in text
    assert "clbench run -s simplecil --stream split-digits --threads 1 --seed 0,1,2 --results results/toy" in text
    line = overview([judged]).splitlines()[2]
    assert "| T1 " in line and "holds" in line and "running" in line and "2025-06-01" in line
    found = json.loads(json.dumps(claims_json([judged])))["claims"][0]
    first, second = found["attempts"]
    assert found["verdict"] == second["verdict"] == "holds" and first["cpu_minutes_left"] == 3 * BOARD.minutes
    assert second["parts"][0]["compared"][0]["seeds"] == len(one)


def test_runs_of_one_row_that_were_made_by_different_code_are_named(make_run: MakeRun) -> None:
    one, two = pair(make_run, lost=30, won=6)
    rows = [Row(name, runs[0].result["strategy"]["name"], config=config_hash(runs[0].record))
            for name, runs in (("one", one), ("two", two))]  # fmt: skip
    claims = declared(a_part("greater"), rows=rows)
    assert "code " not in details(judge(claims.claims[0], Evidence(claims, [*one, *two])))
    one[1].result["strategy"]["source_sha256"] = "f" * 64
    judged = judge(claims.claims[0], Evidence(claims, [*one, *two]))
    says = f"the code of the strategy changed between the runs of one on {BOARD.name}; run the older ones again"
    assert says in " ".join(details(judged).split())
    found = claims_json([judged])["claims"][0]["attempts"][0]
    assert found["mixed_code"] == [f"one on {BOARD.name}"] and found["verdict"] == "holds"
