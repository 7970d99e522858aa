"""Verdicts as text and JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from cl.errors import counted
from cl.results.claims.declared import Part
from cl.results.claims.verdicts import RUNNING, Compared, Judged, JudgedAttempt, JudgedPart, by_chance
from cl.results.fitted import fitted

_WIDTH = 100


def overview(judged: Sequence[Judged], width: int | None = None) -> str:
    """One line per claim, then what is left to run and what chance would give; the table fits `width`."""
    rows = [[each.claim.id, each.claim.paper, each.last.text, first_verdict(each)] for each in judged]
    head = ["claim", "paper", "verdict", "first verdict"]
    lines = fitted(head, rows, width, left=head)
    missing = [each.last for each in judged if each.last.missing]
    if missing:
        runs, minutes = sum(sum(each.missing.values()) for each in missing), sum(each.minutes for each in missing)
        lines += [
            "",
            f"{counted(runs, 'run')} {'is' if runs == 1 else 'are'} missing, about {minutes:.0f} CPU-minutes; "
            "`clbench claims FOLDER ID` prints them.",
        ]
    return "\n".join([*lines, "", chance_text(judged)])


def first_verdict(judged: Judged) -> str:
    """The verdict of the first attempt, if there is a later one."""
    return f"{judged.attempts[0].text} ({judged.attempts[0].attempt.declared})" if len(judged.attempts) > 1 else ""


def chance_text(judged: Sequence[Judged]) -> str:
    """How many of the verdicts would be "holds" by chance."""
    expected = by_chance([each.last for each in judged])
    return f"If no row differed from another, {expected:.2f} of these claims would hold by chance, at most."


def details(judged: Judged, width: int | None = None) -> str:
    """Everything about a claim: source, boards, every attempt with its parts, and the commands that are left.

    Tables and text have at most `width` characters; commands stay whole, so that they can be copied.
    """
    claim = judged.claim
    lines = [
        f"{claim.id}: {judged.last.text}",
        *_filled(claim.claim, width),
        *_filled(f"paper   {claim.paper}; {claim.source}", width),
        *_filled(f"unlike  {claim.unlike}", width),
    ]
    for attempt in judged.attempts:
        lines += ["", *_attempt(attempt, width)]
    return "\n".join(lines)


def _filled(text: str, width: int | None) -> list[str]:
    return textwrap.wrap(text, min(width or _WIDTH, _WIDTH), initial_indent="    ", subsequent_indent="            ")


def _attempt(judged: JudgedAttempt, width: int | None) -> list[str]:
    attempt = judged.attempt
    lines = [f"  declared {attempt.declared}: {judged.text}"]
    for name, text in (("why", attempt.why), ("budget", attempt.budget), ("trials", attempt.trials)):
        lines += _filled(f"{name:<7} {text}", width) if text else []
    if judged.older:
        lines += _filled(f"records {judged.older} of {judged.done} were made before the declaration", width)
    lines += _filled(f"code    {mixed_text(judged)}", width) if judged.mixed else []
    head = ["part", "board", "verdict", "measured"]
    rows = [[part.part.name, part.part.board, part_verdict(part), measured(part)] for part in judged.parts]
    lines += [f"    {line}" for line in fitted(head, rows, width and width - 4, left=head)]
    lines += _filled(f"note    {attempt.note}", width) if attempt.note else []
    if judged.missing:
        lines += [
            f"    missing runs, about {judged.minutes:.0f} CPU-minutes:",
            *(f"      {line}" for line in judged.missing),
        ]
    lines += [f"      {part.part.command}" for part in judged.parts if part.part.command]
    return lines


def mixed_text(judged: JudgedAttempt) -> str:
    """The rows whose runs were made by different code."""
    return f"the code of the strategy changed between the runs of {', '.join(judged.mixed)}; run the older ones again"


def part_verdict(judged: JudgedPart) -> str:
    """The verdict of a part, with the verdict so far if runs are missing."""
    so_far = f" (so far: {judged.so_far})" if judged.verdict == RUNNING and judged.so_far else ""
    return f"{judged.text}{so_far}"


def measured(judged: JudgedPart) -> str:
    """What a part was decided on, in points."""
    if judged.values:
        return judged.values
    return "; ".join(_compared(each, judged.part) for each in judged.compared)


def _compared(found: Compared, part: Part) -> str:
    words = f"{found.name}: {found.difference:+.2f}"
    if found.interval is not None:
        words += f" ({found.interval[0]:+.2f} to {found.interval[1]:+.2f})"
    words += f", {found.seeds} seed{'s' if found.seeds != 1 else ''}"
    if part.kind == "best-of" and found.p is not None:
        words += f", p {found.p:.3f}"
    if found.interval is not None and found.interval[0] <= 0 <= found.interval[1] and found.smallest is not None:
        words += f", resolves {found.smallest:.2f}"
    return words


def claims_json(judged: Sequence[Judged]) -> dict[str, Any]:
    """All claims as plain JSON."""
    return {
        "claims": [
            {
                **{key: value for key, value in asdict(each.claim).items() if key != "attempt"},
                "verdict": each.last.text,
                "attempts": [_attempt_json(attempt) for attempt in each.attempts],
            }
            for each in judged
        ],
        "by_chance": by_chance([each.last for each in judged]),
    }


def _attempt_json(judged: JudgedAttempt) -> dict[str, Any]:
    about = {key: value for key, value in asdict(judged.attempt).items() if key != "part"}
    return {
        **about,
        "verdict": judged.text,
        "done": judged.done,
        "wanted": judged.wanted,
        "older_records": judged.older,
        "mixed_code": list(judged.mixed),
        "missing": dict(judged.missing),
        "cpu_minutes_left": judged.minutes,
        "parts": [
            {
                **asdict(part.part),
                "verdict": part.text,
                "so_far": part.so_far,
                "compared": [asdict(each) for each in part.compared],
                "values": part.values,
                "done": part.done,
                "wanted": part.wanted,
            }
            for part in judged.parts
        ],
    }
