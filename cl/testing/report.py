"""What a check found: passed, failed with values and a fix, or skipped with a reason."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl.errors import UsageError, did_you_mean
from cl.source import raised_at


class CheckFailure(AssertionError):
    """A check failed: what was found, with values, and the fix."""

    def __init__(self, found: str, fix: str) -> None:
        super().__init__(f"{found} Fix: {fix}")
        self.found, self.fix = found, fix


class CheckSkipped(Exception):
    """A check does not apply; the message says why."""


@dataclass(frozen=True)
class Check:
    """A named check; `call` raises `CheckFailure` or `CheckSkipped`."""

    name: str
    summary: str
    call: Callable[[Any], None]


def checks_named(checks: Mapping[str, Check], names: Sequence[str]) -> list[Check]:
    """The checks of these names in the order of `checks`, all without names; raises `UsageError` for an unknown one."""
    for name in names:
        if name not in checks:
            raise UsageError(
                f"There is no check '{name}'.{did_you_mean(name, list(checks))} Known: {', '.join(checks)}."
            )
    return [check for name, check in checks.items() if not names or name in names]


@dataclass(frozen=True)
class Outcome:
    """How one check ended: `status` is passed, failed or skipped."""

    check: str
    summary: str
    status: str
    found: str = ""
    fix: str = ""
    seconds: float = 0.0
    trace: str = ""


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one strategy, stream, metric or logger, and remarks on the images of a stream."""

    name: str
    kind: str
    outcomes: tuple[Outcome, ...]
    remarks: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    def raise_failures(self) -> None:
        """Raise one `AssertionError` that lists every failed check; does nothing if all passed."""
        if self.failures:
            lines = [f"{self.kind} '{self.name}' fails {len(self.failures)} of {len(self.outcomes)} checks:"]
            lines += [f"  {o.check}: {o.found} Fix: {o.fix}" for o in self.failures]
            raise AssertionError("\n".join(lines))


def examine(
    name: str,
    kind: str,
    checks: Iterable[Check],
    subject: Any,
    tell: Callable[[Outcome], None] | None = None,
    *,
    own: Path | None = None,
) -> Report:
    """Run checks one after the other. Any other exception is a failure of that check, reported with its traceback.

    `own` is the author's file: an error is reported with the last place in it.
    """
    outcomes = []
    for check in checks:
        clock = time.perf_counter()
        status, found, fix, trace = "passed", "", "", ""
        try:
            check.call(subject)
        except CheckFailure as failure:
            status, found, fix = "failed", failure.found, failure.fix
            if failure.__cause__ is not None:
                trace, found = traceback.format_exc(), f"{found} Raised at {raised_at(failure.__cause__, own)}."
        except CheckSkipped as reason:
            status, found = "skipped", str(reason)
        except Exception as error:  # the subject's own code runs here, so anything may come out of it
            status, trace = "failed", traceback.format_exc()
            found = f"{type(error).__name__}: {error}".rstrip(": ") + f", raised at {raised_at(error, own)}."
            fix = "correct the code at that place; `clbench check -v` prints the traceback."
        outcome = Outcome(check.name, check.summary, status, found, fix, time.perf_counter() - clock, trace)
        outcomes.append(outcome)
        if tell is not None:
            tell(outcome)
    return Report(name, kind, tuple(outcomes))
