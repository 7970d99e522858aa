"""Conformance: does a strategy or a stream keep the contract? For `clbench check` and for the tests of plugin authors.

from cl.testing import check_strategy

def test_it_keeps_the_contract():
    check_strategy("my-method")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cl.errors import UsageError, did_you_mean
from cl.strategy import Strategy
from cl.stream import Stream
from cl.testing import run_checks, strategy_checks, stream_checks
from cl.testing.report import Check, CheckFailure, Outcome, Report, examine
from cl.testing.workbench import Workbench, named, record_header, tiny_backbone

__all__ = [
    "CHECKS",
    "STREAM_CHECKS",
    "Check",
    "CheckFailure",
    "Outcome",
    "Report",
    "check_strategy",
    "check_stream",
    "examine_strategy",
    "examine_stream",
    "record_header",
    "tiny_backbone",
]


def _checks(*calls: Callable[[Any], None]) -> dict[str, Check]:
    names = [call.__name__.replace("_", "-") for call in calls]
    summaries = [(call.__doc__ or "").partition("\n")[0].strip() for call in calls]
    return {n: Check(n, s, c) for n, s, c in zip(names, summaries, calls, strict=True)}


CHECKS: dict[str, Check] = _checks(
    strategy_checks.documented,
    strategy_checks.runs,
    strategy_checks.declarations,
    strategy_checks.pure,
    strategy_checks.batch_independent,
    run_checks.test_blind,
    strategy_checks.frozen,
    run_checks.state_round_trip,
    run_checks.resume,
    run_checks.seeded,
    run_checks.costs,
    run_checks.memory,
)
"""The checks of a strategy by name, in the order in which they run."""

STREAM_CHECKS: dict[str, Check] = _checks(*stream_checks.ALL)
"""The checks of a stream by name, in the order in which they run."""


def check_strategy(strategy: str | type[Strategy], **arguments: Any) -> None:
    """Raise one `AssertionError` that lists every check a strategy fails, with values and how to mend it.

    Takes what `examine_strategy` takes.
    """
    examine_strategy(strategy, **arguments).raise_failures()


def examine_strategy(
    strategy: str | type[Strategy],
    *,
    settings: Mapping[str, Any] | None = None,
    stream: str | None = None,
    backbone: str | None = None,
    only: Sequence[str] = (),
    tell: Callable[[Outcome], None] | None = None,
) -> Report:
    """Check a strategy, a registered name or a class, and report.

    It learns three tasks of the embedded digits (12 images per class) on a tiny Vision Transformer; `stream` and
    `backbone` choose others. `settings` are keys of `--set`; without them `epochs` are capped at 2 and `batch_size` at
    16. `only` names checks to run; `tell` is called with each outcome. Raises `UsageError` for an unknown name.
    """
    chosen = _chosen(CHECKS, only)
    with named(strategy) as name:
        bench = Workbench(name, settings=settings, stream=stream, backbone=backbone)
        return examine(name, "strategy", chosen, bench, tell)


def check_stream(stream: str | Stream, **arguments: Any) -> None:
    """Raise one `AssertionError` that lists every check a stream fails, with values and how to mend it.

    Takes what `examine_stream` takes.
    """
    examine_stream(stream, **arguments).raise_failures()


def examine_stream(
    stream: str | Stream,
    *,
    settings: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    tell: Callable[[Outcome], None] | None = None,
) -> Report:
    """Check a stream, a registered name (`folder:/images`) or one that is built, and report.

    `settings` are keys of `--set` such as `stream.tasks`. Raises `UsageError` for an unknown name, `DataError` where
    its data is missing.
    """
    chosen = _chosen(STREAM_CHECKS, only)
    subject = stream_checks.Subject(stream, settings or {})
    return examine(subject.name, "stream", chosen, subject, tell)


def _chosen(checks: Mapping[str, Check], only: Sequence[str]) -> list[Check]:
    for name in only:
        if name not in checks:
            raise UsageError(
                f"There is no check '{name}'.{did_you_mean(name, list(checks))} Known: {', '.join(checks)}."
            )
    return [check for name, check in checks.items() if not only or name in only]
