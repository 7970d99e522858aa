"""Claims of papers, and the verdict on each from stored records.

`claims.toml` declares a claim: its source, the rows that decide it, the metric, the direction and the size. A verdict
is a pure function of the declaration and of records; `clbench claims` prints it, and docs/claims.md lists all.
"""

from cl.results.claims.declared import FILE, Attempt, Board, Claim, Claims, Part, Row, read_claims
from cl.results.claims.evidence import Evidence
from cl.results.claims.verdicts import Compared, Judged, JudgedAttempt, JudgedPart, by_chance, judge

__all__ = [
    "FILE",
    "Attempt",
    "Board",
    "Claim",
    "Claims",
    "Compared",
    "Evidence",
    "Judged",
    "JudgedAttempt",
    "JudgedPart",
    "Part",
    "Row",
    "by_chance",
    "judge",
    "read_claims",
]
