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
