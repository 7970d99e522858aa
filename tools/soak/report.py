"""The tally while the soak runs, and its table at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from tools.soak.outcome import VERDICTS, Outcome

EVERY = 30.0
"""Seconds between lines of the tally where the output is not a terminal."""


class Tally:
    """One line with the number of tries and of verdicts, written again after each try."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total, self.stream = total, stream or sys.stderr
        self.start = self.shown = time.monotonic()
        self.verdicts: Counter[str] = Counter()

    def __enter__(self) -> Tally:
        return self

    def __exit__(self, *_: object) -> None:
        self._show("\n")

    def add(self, outcome: Outcome) -> None:
        """Count an outcome, and print a failure at once."""
        self.verdicts[outcome.verdict] += 1
        terminal = self.stream.isatty()
        if outcome.failed:
            self.stream.write(("\r" if terminal else "") + line(outcome) + "\n")
        if terminal or time.monotonic() - self.shown > EVERY:
            self._show("" if terminal else "\n")

    def _show(self, end: str) -> None:
        self.shown = time.monotonic()
        counts = "  ".join(f"{verdict} {self.verdicts[verdict]}" for verdict in VERDICTS)
        start = "\r" if self.stream.isatty() else ""
        done = sum(self.verdicts.values())
        self.stream.write(f"{start}{self.shown - self.start:5.0f} s  {done}/{self.total}  {counts}{end}")
        self.stream.flush()


def line(outcome: Outcome) -> str:
    """One outcome in words."""
    return f"{outcome.verdict}: {outcome.name} ({outcome.kind}): {outcome.why}"


def table(found: Iterable[Outcome]) -> list[tuple[str, str, Counter[str], int]]:
    """Part, kind, verdicts and disturbances of every kind, sorted."""
    rows: dict[tuple[str, str], tuple[Counter[str], list[int]]] = {}
    for outcome in found:
        key = (outcome.name.partition(":")[0], outcome.kind)
        counts, struck = rows.setdefault(key, (Counter(), []))
        counts[outcome.verdict] += 1
        struck.append(outcome.count)
    order = ["kill", "shared", "damage", "fuzz"]
    ranked = sorted(rows.items(), key=lambda row: (order.index(row[0][0]), row[0][1]))
    return [(part, kind, counts, sum(struck)) for (part, kind), (counts, struck) in ranked]


def markdown(found: Sequence[Outcome], seed: int) -> str:
    """The block for docs/reliability.md."""
    lines = [
        f"Seed {seed}: {len(found):,} tries, {sum(outcome.count for outcome in found):,} disturbances.",
        "",
        f"| part | what | tries | disturbances | {' | '.join(VERDICTS)} |",
        f"|---|---|{'---:|' * (2 + len(VERDICTS))}",
    ]
    for part, kind, counts, struck in table(found):
        numbers = [sum(counts.values()), struck, *(counts[verdict] for verdict in VERDICTS)]
        lines.append(f"| {part} | {kind} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def as_json(found: Sequence[Outcome], seed: int, seconds: float) -> dict[str, Any]:
    """Everything as plain values: the table, and each outcome that is not equal."""
    rows = [
        {"part": part, "what": kind, "disturbances": struck, **{verdict: counts[verdict] for verdict in VERDICTS}}
        for part, kind, counts, struck in table(found)
    ]
    told = [vars(outcome) for outcome in found if outcome.verdict != "equal"]
    return {"seed": seed, "seconds": round(seconds, 1), "table": rows, "outcomes": told}


def failures(found: Iterable[Outcome], seed: int) -> list[str]:
    """Every failure with the command that repeats it."""
    bad = [outcome for outcome in found if outcome.failed]
    return [f"{line(outcome)}\n  python -m tools.soak --only {outcome.name} --seed {seed}" for outcome in bad]
