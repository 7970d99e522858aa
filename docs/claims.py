"""docs/claims.md: every claim with its verdict, from claims.toml and the records in results.

`python docs/claims.py` rewrites the page between its marks; a test checks that it is current.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from _generate.markdown import fenced, table, text
from figures import with_table

from cl.results import load_results
from cl.results.claims import Evidence, Judged, JudgedAttempt, judge, read_claims
from cl.results.claims.show import chance_text, first_verdict, measured, mixed_text, part_verdict
from cl.results.leaderboard.entries import Run

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "claims.md"
RECORDS = (ROOT / "results" / "reference", ROOT / "results" / "earlier")
MARKS = ("<!-- made by: python docs/claims.py -->", "<!-- end -->")


def verdicts(folders: Iterable[Path] = RECORDS) -> list[Judged]:
    """The verdict on every shipped claim from the shipped records."""
    results = load_results([folder for folder in folders if folder.is_dir()])
    runs = [Run(record, file.parent) for record, file in zip(results.records, results.files, strict=True)]
    claims = read_claims()
    evidence = Evidence(claims, runs)
    return [judge(claim, evidence) for claim in claims.claims]


def page(judged: Sequence[Judged]) -> str:
    """The generated part of the page."""
    rows = [
        [
            f"[{each.claim.id}](#{_anchor(each)})",
            text(each.claim.paper),
            text(each.claim.claim),
            f"**{each.last.text}**",
        ]
        for each in judged
    ]
    counts = Counter(each.last.verdict for each in judged)
    tally = ", ".join(f"{verdict}: {number}" for verdict, number in counts.most_common())
    parts = [table(["claim", "paper", "in our words", "verdict"], rows), f"{tally}. {chance_text(judged)}\n"]
    return "\n".join([*parts, *(_section(each) for each in judged)])


def _anchor(judged: Judged) -> str:
    return judged.claim.id.lower().replace(".", "")


def _section(judged: Judged) -> str:
    claim = judged.claim
    first = first_verdict(judged)
    lines = [
        f"## {claim.id}\n",
        f"{text(claim.claim)} Verdict: **{judged.last.text}**.\n",
        f"* Paper: {text(claim.paper)}; {text(claim.source)}.",
        f"* Unlike the paper: {text(claim.unlike)}.",
        *([f"* First verdict: {text(first)}."] if first else []),
    ]
    return "\n".join([*lines, "", *(_attempt(each, number) for number, each in enumerate(judged.attempts, 1))])


def _attempt(judged: JudgedAttempt, number: int) -> str:
    attempt = judged.attempt
    why = f": {text(attempt.why)}" if attempt.why else ""
    lines = [f"**Attempt {number}**, declared {attempt.declared}{why}. Verdict: {judged.text}.\n"]
    lines += [f"Budget: {text(attempt.budget)}. Trials: {text(attempt.trials)}."]
    if judged.older:
        lines.append(f"{judged.older} of {judged.done} records were made before the declaration.")
    if judged.mixed:
        lines.append(text(f"{mixed_text(judged)}."))
    rows = [
        [text(p.part.name), text(p.part.board), p.part.kind, part_verdict(p), text(measured(p))] for p in judged.parts
    ]
    lines += ["", table(["part", "board", "kind", "verdict", "measured, in points"], rows)]
    if attempt.note:
        lines.append(f"{text(attempt.note)}\n")
    commands = [*judged.missing, *(part.part.command for part in judged.parts if part.part.command)]
    if judged.missing:
        lines.append(f"{sum(judged.missing.values())} runs are missing, about {judged.minutes:.0f} CPU-minutes:\n")
    if commands:
        lines.append(fenced("\n".join(commands), "bash"))
    return "\n".join(lines)


def boards() -> str:
    """The boards of the claims as a table."""
    found = read_claims().boards.values()
    return table(["board", "what it is"], [[each.name, text(each.about)] for each in found])


def main() -> None:
    """Rewrite the page."""
    content = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_table(content, generated(), MARKS), encoding="utf-8")


def generated() -> str:
    """Everything between the marks."""
    return f"{page(verdicts())}\n## Boards\n\n{boards()}"


if __name__ == "__main__":
    main()
