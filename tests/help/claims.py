"""A declaration of claims over runs of tests; rows are found by the config hash of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from cl.records.record import config_hash
from cl.results.claims import Attempt, Board, Claim, Claims, Evidence, JudgedPart, Part, Row, judge
from cl.results.leaderboard.entries import Run

BOARD = Board("toy", "a toy", "split-digits", (0, 1, 2), "results/toy")


def declared(*parts: Part, rows: Iterable[Row] = ()) -> Claims:
    """One claim "T1" with one attempt of the given parts on one board."""
    attempt = Attempt("2025-06-01", "a second", "none", tuple(parts))
    claim = Claim("T1", "a paper", "One is better.", "a table", "everything", (attempt,))
    return Claims({BOARD.name: BOARD}, {row.name: row for row in rows}, (claim,))


def judged_part(part: Part, **sides: Sequence[Run]) -> JudgedPart:
    """The verdict on one part whose rows are the given runs, by name."""
    rows = [
        Row(name, runs[0].result["strategy"]["name"], config=config_hash(runs[0].record))
        for name, runs in sides.items()
    ]
    claims = declared(part, rows=rows)
    evidence = Evidence(claims, [run for runs in sides.values() for run in runs])
    return judge(claims.claims[0], evidence).last.parts[0]


def a_part(kind: str, first: str = "one", second: str = "two", **values: Any) -> Part:
    """A part on the board of the tests."""
    return Part(f"{kind} part", kind, BOARD.name, first=first, second=second, **values)
