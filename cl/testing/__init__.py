"""Conformance: does a strategy, a stream, a metric or a logger keep the contract?

For `clbench check` and for the tests of plugin authors:

from cl.testing import parametrize_with_checks

@parametrize_with_checks(["my-method"])
def test_contract(check):
    check()
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from cl import registry
from cl.data.duplicates import notes_on
from cl.errors import DataError, UsageError
from cl.loggers import Logger
from cl.plan.run_options import with_old_name
from cl.records.metrics import BUILT_IN
from cl.records.plugin_metrics import MetricPlugin
from cl.strategy import Strategy
from cl.stream import Stream
from cl.testing import logger_checks, metric_checks, run_checks, strategy_checks, stream_checks
from cl.testing.pytest_items import Expected, Shared, parametrize
from cl.testing.report import Check, CheckFailure, Outcome, Report, checks_named, examine
from cl.testing.small_runs import registered
from cl.testing.workbench import Workbench, named, record_header, tiny_backbone
from cl.values import shortened

if TYPE_CHECKING:
    import pytest

__all__ = [
    "CHECKS",
    "LOGGER_CHECKS",
    "METRIC_CHECKS",
    "STREAM_CHECKS",
    "Check",
    "CheckFailure",
    "Outcome",
    "Report",
    "check_logger",
    "check_metric",
    "check_strategy",
    "check_stream",
    "examine_logger",
    "examine_metric",
    "examine_strategy",
    "examine_stream",
    "parametrize_with_checks",
    "parametrize_with_logger_checks",
    "parametrize_with_metric_checks",
    "parametrize_with_stream_checks",
    "record_header",
    "tiny_backbone",
]

Call = TypeVar("Call", bound=Callable[..., Any])


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
    run_checks.several_classes,
    run_checks.seeded,
    run_checks.costs,
    run_checks.memory,
)
"""The checks of a strategy by name, in the order in which they run."""

STREAM_CHECKS: dict[str, Check] = _checks(*stream_checks.ALL)
"""The checks of a stream by name, in the order in which they run."""

METRIC_CHECKS: dict[str, Check] = _checks(*metric_checks.ALL)
"""The checks of a metric by name, in the order in which they run."""

LOGGER_CHECKS: dict[str, Check] = _checks(*logger_checks.ALL)
"""The checks of a logger by name, in the order in which they run."""


def _refuse_wrong_types(
    what: str, subject: Any, kinds: tuple[type, ...], *, options: Any, only: Any, tell: Any
) -> None:
    """Raise `UsageError` for an argument of another type than the functions below declare."""
    if not isinstance(subject, kinds):
        other = "a built stream" if what == "stream" else "a class"
        raise UsageError(f"Give the name of a {what} or {other}, not {shortened(subject)}.")
    if options is not None and not (isinstance(options, Mapping) and all(isinstance(key, str) for key in options)):
        raise UsageError(f"options must map names to values, such as {{'lr': 0.01}}, not {shortened(options)}.")
    if isinstance(only, str) or not (isinstance(only, Iterable) and all(isinstance(name, str) for name in only)):
        raise UsageError(f"only must be a list of names of checks, such as ['resume'], not {shortened(only)}.")
    if tell is not None and not callable(tell):
        raise UsageError(f"tell must be a function that takes an outcome, not {shortened(tell)}.")


def _takes_settings(call: Call) -> Call:
    """Accept `settings`, the former name of the argument `options`, with a warning."""

    @wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if "settings" in kwargs:
            kwargs["options"] = with_old_name(kwargs.get("options"), kwargs.pop("settings"))
        return call(*args, **kwargs)

    return wrapped  # type: ignore[return-value]


# ---------------------------------------------------------------------------------------------------------- strategies


def parametrize_with_checks(
    strategies: str | type[Strategy] | Iterable[str | type[Strategy]],
    *,
    options: Mapping[str, Any] | None = None,
    stream: str | None = None,
    backbone: str | None = None,
    only: Sequence[str] = (),
    expected_failed_checks: Expected | None = None,
) -> pytest.MarkDecorator:
    """Decorate `def test_contract(check): check()` to run it once per strategy and check.

    `strategies` are registered names or classes, looked up when a test runs. The tests are called
    `test_contract[slca-batch-independent]`, so `-k resume` selects a check. A check that does not apply is skipped.

    `expected_failed_checks` maps checks to reasons, or is a function from a strategy to such a mapping: these tests are
    marked as expected failures, and fail once the check passes. The other arguments are those of `examine_strategy`.
    The checks of one strategy share the runs that they compare, as long as no other strategy's check runs in between;
    with pytest-xdist, `--dist worksteal` keeps them in one process.

    Raises `UsageError` without pytest or for an unknown check.
    """

    def build(name: str) -> Workbench:
        return Workbench(name, options=options, stream=stream, backbone=backbone)

    given = [strategies] if isinstance(strategies, (str, type)) else list(strategies)
    labels = [each if isinstance(each, str) else each.__name__ for each in given]
    shared = [Shared(each, label, partial(named, each), build) for each, label in zip(given, labels, strict=True)]
    return parametrize(shared, CHECKS, only, expected_failed_checks or {})


@_takes_settings
def check_strategy(strategy: str | type[Strategy], **arguments: Any) -> None:
    """Raise one `AssertionError` that lists every check a strategy fails, with values and the fix.

    Takes the arguments of `examine_strategy`.
    """
    examine_strategy(strategy, **arguments).raise_failures()


@_takes_settings
def examine_strategy(
    strategy: str | type[Strategy],
    *,
    options: Mapping[str, Any] | None = None,
    stream: str | None = None,
    backbone: str | None = None,
    only: Sequence[str] = (),
    tell: Callable[[Outcome], None] | None = None,
) -> Report:
    """Check a strategy, a registered name or a class, and report.

    It learns three tasks of the embedded digits (12 images per class) on a tiny Vision Transformer; `stream` and
    `backbone` choose others. `options` maps keys of `--set` to values; without them `epochs` are capped at 2 and
    `batch_size` at 16. `only` names checks to run; `tell` is called with each outcome. Raises `UsageError` for an
    unknown name.
    """
    _refuse_wrong_types("strategy", strategy, (str, type), options=options, only=only, tell=tell)
    for name, value in (("stream", stream), ("backbone", backbone)):
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{name} must be a name, not {shortened(value)}.")
    chosen = checks_named(CHECKS, only)
    with named(strategy) as name:
        bench = Workbench(name, options=options, stream=stream, backbone=backbone)
        return examine(name, "strategy", chosen, bench, tell, own=registry.strategies.source(name))


# ------------------------------------------------------------------------------------------------------------- streams


def parametrize_with_stream_checks(
    streams: str | Stream | Iterable[str | Stream],
    *,
    options: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    expected_failed_checks: Expected | None = None,
) -> pytest.MarkDecorator:
    """Decorate `def test_contract(check): check()` to run it once per stream and check.

    `streams` are registered names (`folder:/images`), looked up when a test runs, or built streams. Otherwise as
    `parametrize_with_checks`.
    """

    def build(stream: str | Stream) -> stream_checks.Subject:
        return stream_checks.Subject(stream, options or {})

    given = [streams] if isinstance(streams, (str, Stream)) else list(streams)
    labels = [each if isinstance(each, str) else each.name for each in given]
    shared = [Shared(each, label, partial(nullcontext, each), build) for each, label in zip(given, labels, strict=True)]
    return parametrize(shared, STREAM_CHECKS, only, expected_failed_checks or {})


@_takes_settings
def check_stream(stream: str | Stream, **arguments: Any) -> None:
    """Raise one `AssertionError` that lists every check a stream fails, with values and the fix.

    Takes the arguments of `examine_stream`.
    """
    examine_stream(stream, **arguments).raise_failures()


@_takes_settings
def examine_stream(
    stream: str | Stream,
    *,
    options: Mapping[str, Any] | None = None,
    only: Sequence[str] = (),
    tell: Callable[[Outcome], None] | None = None,
) -> Report:
    """Check a stream, a registered name (`folder:/images`) or a built stream, and report.

    `options` maps keys of `--set` such as `stream.tasks` to values. Raises `UsageError` for an unknown name,
    `DataError` if the data is missing.
    """
    _refuse_wrong_types("stream", stream, (str, Stream), options=options, only=only, tell=tell)
    chosen = checks_named(STREAM_CHECKS, only)
    subject = stream_checks.Subject(stream, options or {})
    try:
        notes = tuple(notes_on(subject.stream.dataset))
    except (UsageError, DataError):  # its file or its data is missing: no check can tell more
        raise
    except Exception:  # a fault of the stream's code: the checks report it
        notes = ()
    own = registry.streams.source(subject.name) if isinstance(stream, str) else None
    return replace(examine(subject.name, "stream", chosen, subject, tell, own=own), remarks=notes)


# ------------------------------------------------------------------------------------------------- metrics and loggers


def parametrize_with_metric_checks(
    metrics: str | type[MetricPlugin] | Iterable[str | type[MetricPlugin]],
    *,
    only: Sequence[str] = (),
    expected_failed_checks: Expected | None = None,
) -> pytest.MarkDecorator:
    """Decorate `def test_contract(check): check()` to run it once per metric and check, as `parametrize_with_checks`.

    `metrics` are registered names or classes.
    """
    return _parametrized(
        metrics, _metric_named, metric_checks.MetricSubject, METRIC_CHECKS, only, expected_failed_checks
    )


def parametrize_with_logger_checks(
    loggers: str | type[Logger] | Iterable[str | type[Logger]],
    *,
    only: Sequence[str] = (),
    expected_failed_checks: Expected | None = None,
) -> pytest.MarkDecorator:
    """Decorate `def test_contract(check): check()` to run it once per logger and check, as `parametrize_with_checks`.

    `loggers` are registered names or classes.
    """
    return _parametrized(
        loggers, _logger_named, logger_checks.LoggerSubject, LOGGER_CHECKS, only, expected_failed_checks
    )


def _parametrized(
    given: Any,
    enter: Callable[[Any], AbstractContextManager[str]],
    build: Callable[[str], Any],
    checks: Mapping[str, Check],
    only: Sequence[str],
    expected: Expected | None,
) -> pytest.MarkDecorator:
    subjects = [given] if isinstance(given, (str, type)) else list(given)
    labels = [each if isinstance(each, str) else each.__name__ for each in subjects]
    pairs = zip(subjects, labels, strict=True)
    return parametrize(
        [Shared(each, label, partial(enter, each), build) for each, label in pairs], checks, only, expected or {}
    )


def _metric_named(metric: str | type[MetricPlugin]) -> AbstractContextManager[str]:
    return (
        nullcontext(metric) if isinstance(metric, str) and metric in BUILT_IN else registered(registry.metrics, metric)
    )


def _logger_named(logger: str | type[Logger]) -> AbstractContextManager[str]:
    return registered(registry.loggers, logger)


def check_metric(metric: str | type[MetricPlugin], **arguments: Any) -> None:
    """Raise one `AssertionError` that lists every check a metric fails; takes the arguments of `examine_metric`."""
    examine_metric(metric, **arguments).raise_failures()


def check_logger(logger: str | type[Logger], **arguments: Any) -> None:
    """Raise one `AssertionError` that lists every check a logger fails; takes the arguments of `examine_logger`."""
    examine_logger(logger, **arguments).raise_failures()


def examine_metric(
    metric: str | type[MetricPlugin], *, only: Sequence[str] = (), tell: Callable[[Outcome], None] | None = None
) -> Report:
    """Check a metric, a registered name or a class, on matrices of all shapes and on a small run, and report.

    Raises `UsageError` for an unknown name.
    """
    _refuse_wrong_types("metric", metric, (str, type), options=None, only=only, tell=tell)
    chosen = checks_named(METRIC_CHECKS, only)
    with _metric_named(metric) as name:
        subject = metric_checks.MetricSubject(name)
        return examine(name, "metric", chosen, subject, tell, own=subject.own)


def examine_logger(
    logger: str | type[Logger], *, only: Sequence[str] = (), tell: Callable[[Outcome], None] | None = None
) -> Report:
    """Check a logger, a registered name or a class, with the reports of a small run, and report.

    Raises `UsageError` for an unknown name, and if the package of the logger is not installed.
    """
    _refuse_wrong_types("logger", logger, (str, type), options=None, only=only, tell=tell)
    chosen = checks_named(LOGGER_CHECKS, only)
    with _logger_named(logger) as name:
        subject = logger_checks.LoggerSubject(name)
        return examine(name, "logger", chosen, subject, tell, own=subject.own)
